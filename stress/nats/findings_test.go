package nats

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
	"tensile/stress/validate"
)

// run takes the phases of a kit that phases matches through a process of its own,
// and returns what it found.
func run(t *testing.T, kit, phases string, settings ...string) *report.Scenario {
	t.Helper()
	out := t.TempDir()
	said := tryRun(kit, phases, append(settings, "STRESS_OUT="+out)...)
	r, err := report.Load(out)
	require.NoError(t, err, "%s", said)
	for _, s := range r.Scenarios {
		if s.State != report.NotRun {
			require.NotEmpty(t, s.Phases, "no phase was run: %s", said)
			return s
		}
	}
	require.Fail(t, "no scenario was run", "%s", said)
	return nil
}

// tryRun returns what the process has printed.
func tryRun(kit, phases string, settings ...string) string {
	child := exec.Command(os.Args[0], "-test.short", "-test.v", fmt.Sprintf("-test.run=^%s$/^(%s)$", kit, phases))
	child.Env = append(os.Environ(), "STRESS_ENGINE=nats", "STRESS_SCALE=1000", "STRESS_PATIENCE=30s")
	child.Env = append(child.Env, settings...)
	said, _ := child.CombinedOutput() // the report says what failed
	return string(said)
}

// TestSound: what holds over NATS, of the phases that take no more than seconds.
func TestSound(t *testing.T) {
	for kit, phases := range map[string]string{
		"TestStressRouter":    "errors|full|order|names|grow|unregister|lives|relay|fair|panic|close",
		"TestStressQueue":     "redelivery|waiters|deadline|close|contention|reopen",
		"TestStressCluster":   "formation|conflicts|kills|leave|close",
		"TestStressTransport": "formation|sizes|one-way|dead_peer|close",
		"TestStressSessions":  "formation|small|end",
	} {
		t.Run(kit, func(t *testing.T) {
			t.Parallel()
			s := run(t, kit, phases)
			assert.Empty(t, s.Failures)
			for _, c := range s.Checks {
				if c.Verdict == validate.Passed || c.Verdict == validate.Failed {
					t.Log(c)
				}
			}
		})
	}
}

// TestFindings: what does not hold over NATS, and that the kits say so. A server
// of another version may do better; then docs/nats.md is to say so.
func TestFindings(t *testing.T) {
	for _, c := range []struct{ kit, phases, criterion, words string }{
		{"TestStressCluster", "formation|wrong_secret", "formation.secret", "a node with a wrong secret was told of node-0"},
		{"TestStressQueue", "lock", "queueing.lock", "a second process opened the log while the first had it open"},
		{"TestStressQueue", "damage", "queueing.torn", "jetstream/"}, // whatever the file was
		{
			"TestStressQueue", "disk", "queueing.disk",
			"a message was confirmed while the sync that would bring it to the disk had not ended",
		},
	} {
		t.Run(c.criterion, func(t *testing.T) {
			t.Parallel()
			s := run(t, c.kit, c.phases)
			found := false
			for _, check := range validate.FailedOf(s.Checks) {
				found = found || check.ID == c.criterion
			}
			assert.True(t, found, "%s holds now: %v", c.criterion, s.Checks)
			assert.Contains(t, fmt.Sprint(s.Failures), c.words)
		})
	}
}

// TestYours: STRESS_NATS_URL names a server, and who asks it.
func TestYours(t *testing.T) {
	s, err := start(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: "tester", Password: "p@ss"})
	require.NoError(t, err)
	t.Cleanup(func() { stop(s) })
	as := func(password string) string {
		u := url.URL{Scheme: "nats", Host: s.Addr().String(), User: url.UserPassword("tester", password)}
		return "STRESS_NATS_URL=" + u.String()
	}
	assert.Empty(t, run(t, "TestStressRouter", "errors", as("p@ss")).Failures)
	assert.Contains(t, tryRun("TestStressRouter", "errors", as("wrong"), "STRESS_OUT="+t.TempDir()),
		"Authorization Violation")
}
