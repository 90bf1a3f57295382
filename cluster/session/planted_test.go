package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFaultsAreFound plants faults in the store and expects histories that are
// not linearizable. Most are planted on the way: a store that believes a forged
// answer behaves as one that has not asked.
func TestFaultsAreFound(t *testing.T) {
	for _, c := range []struct {
		fault string
		plant func(*world)
	}{
		{"answers reads from one replica", func(w *world) {
			w.intercept(func(from, _ *Store, request []byte) ([]byte, bool) {
				return forge(from, request, func(kind byte, _ record) bool { return kind == opRead })
			})
		}},
		{"acknowledges before the majority has it", acknowledgesEarly},
		{"skips the write-back", func(w *world) {
			w.intercept(func(from, _ *Store, request []byte) ([]byte, bool) {
				return forge(from, request, func(kind byte, r record) bool {
					return kind == opStore && r.version.Writer != from.writer
				})
			})
		}},
		{"forgets tombstones at once", forgetsTombstones},
	} {
		t.Run(c.fault, func(t *testing.T) {
			const most = 60
			for seed := range uint64(most) {
				found := ""
				synctest.Test(t, func(t *testing.T) {
					h, _ := stressed(t, seed, c.plant)
					found = h.violation()
				})
				if found != "" {
					t.Logf("seed %d: %s", seed, found)
					return
				}
			}
			assert.Fail(t, fmt.Sprintf("not found in %d runs", most))
		})
	}
}

// TestAmnesia takes away the memory of one of the two replicas that have
// acknowledged a write, and then the other. What is left has never heard of the
// write and must not say so.
func TestAmnesia(t *testing.T) {
	for _, planted := range []bool{false, true} {
		t.Run(fmt.Sprintf("planted %t", planted), func(t *testing.T) {
			within(t, Config{SyncEvery: time.Hour}, func(t *testing.T, w *world) {
				const key = "k"
				w.amnesia = planted
				has := w.replicasOf(key)
				w.isolate(has[2], true)
				_, err := w.store(has[0]).Put(t.Context(), key, []byte("v"), 0)
				require.NoError(t, err)
				w.crash(has[0])
				s := w.start(has[0])
				if st := s.state.Load(); st.view == nil {
					<-st.changed
				}
				w.isolate(has[2], false)
				w.isolate(has[1], true)
				_, err = s.Get(t.Context(), key)
				if planted {
					assert.ErrorIs(t, err, ErrNotFound, "the fault is to show")
					return
				}
				assert.ErrorIs(t, err, ErrNoQuorum)
				w.isolate(has[1], false)
				got, err := s.Get(t.Context(), key)
				require.NoError(t, err)
				assert.Equal(t, "v", string(got.Value))
			})
		})
	}
}

// acknowledgesEarly has two of a node's three peers never get what it writes.
func acknowledgesEarly(w *world) {
	w.intercept(func(from, to *Store, request []byte) ([]byte, bool) {
		return forge(from, request, func(kind byte, _ record) bool {
			return kind == opStore && (from.cfg.Name[0]+to.cfg.Name[0])%3 != 0
		})
	})
}

func forgetsTombstones(w *world) {
	w.background.Go(func() {
		for !w.over() {
			time.Sleep(20 * time.Millisecond)
			for _, name := range w.names {
				if s := w.store(name); s != nil {
					forgetTombstones(s)
				}
			}
		}
	})
}

func forgetTombstones(s *Store) {
	for i := range s.parts {
		p := &s.parts[i]
		p.mu.Lock()
		for key, r := range p.records {
			if r.deleted {
				p.drop(key, r)
			}
		}
		p.mu.Unlock()
	}
}

// forge answers a batch in the place of the peer if lies holds for any of its
// operations: reads from the node's own replica, and stores not at all.
func forge(from *Store, request []byte, lies func(kind byte, r record) bool) (reply []byte, forged bool) {
	d := &decoder{rest: request}
	if d.byte() != msgOperations {
		return nil, false
	}
	for len(d.rest) > 0 {
		kind, _ := d.byte(), d.uvarint()
		var key []byte
		var r record
		if kind == opStore {
			d.token()
			key, r = d.record()
		} else {
			key = d.bytes(MaxKey)
		}
		forged = forged || lies(kind, r)
		p := &from.parts[partitionOf(key)]
		p.mu.Lock()
		a := answer{status: statusDone, found: p.records[string(key)], mark: p.mark, fence: p.mark}
		p.mu.Unlock()
		reply = appendAnswer(reply, kind, key, &a)
	}
	return reply, forged
}
