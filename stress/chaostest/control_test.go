package chaostest

import "testing"

// TestTheControlIsSound: what subjects are judged by passes the kit itself.
func TestTheControlIsSound(t *testing.T) {
	t.Setenv("STRESS_OUT", t.TempDir())
	t.Setenv("STRESS_SCALE", "2000")
	TestWorkers(t, openControl)
}
