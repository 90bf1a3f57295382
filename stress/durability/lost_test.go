package durability

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/powercut"
	"tensile/stress/internal/proc"
	"tensile/stress/storagetest"
)

// confirmed is how many messages are published before the power goes.
const confirmed = 1_000

// TestJetStreamLost counts what JetStream has confirmed and a power cut loses, where it writes nothing
// of what was not synced. With sync_interval: always that must be nothing.
func TestJetStreamLost(t *testing.T) {
	for name, always := range map[string]bool{"defaults": false, "sync always": true} {
		t.Run(name, func(t *testing.T) {
			lost := lostBy(t, openJetStream(always))
			t.Logf("of %d messages that were confirmed %d are lost", confirmed, lost)
			note(t, fmt.Sprintf("%s: of %d messages that were confirmed %d are lost", t.Name(), confirmed, lost))
			if always && lost > 0 {
				t.Errorf("%d of %d messages are lost, though each was synced", lost, confirmed)
			}
		})
	}
}

// lostBy is how many confirmed records a log loses at worst.
func lostBy(t *testing.T, open func(dir string) (storagetest.Log, error)) int {
	const size = 100
	var mu sync.Mutex
	lost := 0
	read := func(dir string, n int, _ bool) (records int, err error) {
		l, err := open(dir)
		if err != nil {
			return 0, err
		}
		all, err := l.Records()
		if err != nil {
			return 0, err
		}
		return len(all), l.Close()
	}
	kit := &powercut.Kit[int, int]{
		Prepare: func(dir string, _ int) error {
			_, err := read(dir, 0, false)
			return err
		},
		Run: func(dir string, n int, say powercut.Say) error {
			l, err := open(dir)
			if err != nil {
				return err
			}
			for i := range n {
				if err := l.Append(powercut.Value(i, size)); err != nil {
					return err
				}
			}
			say.Confirmed(0, "")
			return nil
		},
		Look: read,
		Judge: func(n int, l powercut.Ledger, found int) *powercut.Violation {
			mu.Lock()
			defer mu.Unlock()
			if l[0].Confirmed() {
				lost = max(lost, n-found)
			}
			return nil
		},
		Smaller:    func(int) []int { return nil },
		Concurrent: func(int) bool { return false },
		Heavy:      func(int) bool { return true },
		Conditions: func(int) powercut.Conditions { return powercut.Conditions{} },
		Operations: func(n int) []string { return []string{fmt.Sprintf("publish %d messages", n)} },
	}
	site := proc.At(t, powercut.Role)
	if site.Child() {
		site.Serve(kit.Serve)
		return 0
	}
	tester, err := powercut.New(kit, site, powercut.Options{Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	f, err := tester.Try(t.Context(), confirmed, powercut.Scope{})
	if err == nil && f != nil {
		err = fmt.Errorf("%s: %s", f.Why.Kind, f.Why.Text)
	}
	if err != nil {
		t.Error(err)
	}
	if err := tester.Close(); err != nil {
		t.Error(err)
	}
	return lost
}
