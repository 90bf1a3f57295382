package session

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var lasting = flag.Int("lasting", 12, "number of simulated runs under faults that last; with -short a third")

// lastingRun is longer than any record is remembered.
const (
	lastingRun  = 40 * time.Second // virtual
	lastingLife = 4 * time.Second
	// servedWithin is how long after the last fault everything is served that a
	// majority holds.
	servedWithin = 30 * time.Second
)

// TestLinearizableUnderLastingFaults has a link that never heals or a node that
// stays away, two and three restarts at any distance, clocks that step by up to an
// hour, and pauses and cuts besides.
// What is lost may be refused, and nothing else: within a bound after the last
// fault all that a majority holds is served, and new sessions everywhere.
func TestLinearizableUnderLastingFaults(t *testing.T) {
	operations, lost, runs := 0, 0, 0
	for seed := range uint64(inShort(*lasting)) {
		if *only >= 0 && uint64(*only) != seed {
			continue
		}
		runs++
		synctest.Test(t, func(t *testing.T) {
			h, refused, wrong := endured(t, seed, nil)
			require.Empty(t, wrong, "seed %d", seed)
			require.Empty(t, h.violation(), "seed %d", seed)
			operations, lost = operations+h.size(), lost+refused
		})
	}
	t.Logf("%d histories, %d operations, %d sessions lost", runs, operations, lost)
}

// endured runs clients and lasting faults. It returns what the clients saw, how
// many sessions are lost in the end, and what is not served that should be.
func endured(t *testing.T, seed uint64, plant func(*world)) (h *history, refused int, wrong string) {
	often := []time.Duration{300 * time.Millisecond, 3 * time.Second}[seed%2]
	w := newWorld(t, seed, 4+int(seed%2), Config{Timeout: time.Second, TombstoneLife: lastingLife, SyncEvery: often})
	defer w.close()
	if plant != nil {
		plant(w)
	}
	h = newHistory()
	end := w.clients(h)
	defer end()
	random := rand.New(rand.NewPCG(seed, 3))
	order := random.Perm(len(w.names))
	at := func(i int) string { return w.names[order[i]] }
	// The first keeps its memory: if nobody does, what is founded is another cluster.
	switch random.IntN(3) {
	case 0:
		w.sever(at(1), at(2), true)
	case 1:
		w.leave(at(3))
	}
	for began := time.Now(); time.Since(began) < lastingRun; {
		w.lastingFault(random, at)
	}
	w.heal()
	w.startAll()
	end()
	w.declareAway()
	if wrong = w.unserved(servedWithin); wrong != "" {
		return h, 0, wrong + "\n" + w.describe()
	}
	until := time.Now().Add(servedWithin)
	for _, name := range w.up() {
		for key := range simKeys {
			_, err := get(w.store(name), h, simClients, fmt.Sprint(key))
			// Members that were left out are still coming back.
			for errors.Is(err, ErrNoQuorum) && time.Now().Before(until) {
				_, err = get(w.store(name), h, simClients, fmt.Sprint(key))
			}
			if err != nil {
				assert.ErrorIs(t, err, ErrLost, "seed %d", seed)
				refused++
			}
		}
	}
	return h, refused, ""
}

// lastingFault is one more fault beside those that last.
func (w *world) lastingFault(random *rand.Rand, at func(int) string) {
	lasts := func(most time.Duration) { time.Sleep(time.Duration(random.Int64N(int64(most)))) }
	some := func() string { return at(random.IntN(len(w.names))) }
	switch random.IntN(7) {
	case 0, 1: // two or three restarts in haste
		var names []string
		for i := 1; i < 3+random.IntN(2); i++ {
			if w.store(at(i)) != nil {
				names = append(names, at(i))
			}
		}
		w.restart(time.Duration(random.Int64N(int64(2*time.Second))), names...)
	case 2:
		name := some()
		w.pause(name)
		lasts(3 * time.Second)
		w.resume(name)
	case 3:
		name := some()
		w.isolate(name, true)
		lasts(4 * time.Second)
		w.isolate(name, false)
	case 4:
		w.shape(func(l *link) { l.loss, l.double = 0.3*random.Float64(), 0.3*random.Float64() })
	case 5:
		w.heal()
	case 6:
		w.stepClock(some(), time.Duration(random.Int64N(int64(2*time.Hour)))-time.Hour)
	}
	lasts(2 * time.Second)
}

// TestUnservedFinds plants stores that are not alive after the last fault.
func TestUnservedFinds(t *testing.T) {
	for _, c := range []struct {
		fault string
		kinds []byte // of the messages that get no answer
	}{
		{"nobody gives up what is lost", []byte{msgWitness}},
		{"nobody agrees on another view", []byte{msgAccept, msgFound}},
		{"nobody tells who comes back of the view", []byte{msgBeat, msgTell}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			withNodes(t, 4, Config{}, func(t *testing.T, w *world) {
				w.intercept(func(_, _ *Store, request []byte) ([]byte, bool) {
					return nil, slices.Contains(c.kinds, request[0])
				})
				w.restart(0, "a", "b")
				wrong := w.unserved(servedWithin)
				assert.Contains(t, wrong, "are not served")
				t.Log(wrong)
			})
		})
	}
}
