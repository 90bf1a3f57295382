package session

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRestartsInHaste restarts two or three nodes before what the first one had is
// replicated anew. What the partitions held of which two replicas are gone is
// lost, and said to be; everything else goes on by itself.
func TestRestartsInHaste(t *testing.T) {
	for _, c := range []struct {
		nodes []string
		apart time.Duration
	}{
		{[]string{"a", "b"}, 0}, {[]string{"a", "b"}, 100 * time.Millisecond}, {[]string{"b", "c"}, 300 * time.Millisecond},
		{[]string{"a", "b"}, 3 * time.Second}, {[]string{"a", "b", "c"}, 0},
		{[]string{"b", "c", "d"}, 200 * time.Millisecond},
		{[]string{"b", "c", "d"}, 700 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v %v apart", c.nodes, c.apart), func(t *testing.T) {
			withNodes(t, 4, Config{}, func(t *testing.T, w *world) {
				const n = 40
				versions := make(map[string]Version)
				for i := range n {
					key := fmt.Sprint(i)
					v, err := w.store("a").Put(t.Context(), key, []byte("old"), 0)
					require.NoError(t, err)
					versions[key] = v
				}
				w.restart(c.apart, c.nodes...)
				require.Empty(t, w.unserved(20*time.Second))
				w.replicated(w.names...)
				lost := 0
				for key, before := range versions {
					got, err := w.store("b").Get(t.Context(), key)
					if err == nil {
						assert.Equal(t, "old", string(got.Value))
						continue
					}
					require.ErrorIs(t, err, ErrLost)
					lost++
					if lost%2 == 0 {
						v, err := w.store("c").Put(t.Context(), key, []byte("new"), 0)
						require.NoError(t, err)
						assert.Positive(t, v.Compare(before), "versions rise across a loss")
						got, err = w.store("b").Get(t.Context(), key)
						require.NoError(t, err)
						assert.Equal(t, "new", string(got.Value))
					}
				}
				if c.apart == 0 {
					assert.Positive(t, lost, "the fault is to show")
				}
				require.NoError(t, w.store("d").DeclareLost(t.Context()))
				for key := range versions {
					if _, err := w.store("a").Get(t.Context(), key); err != nil {
						assert.ErrorIs(t, err, ErrNotFound)
					}
				}
			})
		})
	}
}

// TestSurvivorIsNotBelieved has two replicas acknowledge a write and lose their
// memory, while the third has an older state. Nobody may read that, nor get a
// version that follows from it.
func TestSurvivorIsNotBelieved(t *testing.T) {
	withNodes(t, 4, Config{SyncEvery: time.Hour}, func(t *testing.T, w *world) {
		const key = "k"
		has := w.replicasOf(key)
		require.NoError(t, putOnly(t, w.store(has[0]), key, []byte("older"), 0))
		w.isolate(has[2], true)
		var acknowledged Version
		for range 5 {
			v, err := w.store(has[0]).Put(t.Context(), key, []byte("acknowledged"), 0)
			require.NoError(t, err)
			acknowledged = v
		}
		w.isolate(has[2], false)
		w.restart(0, has[0], has[1])
		w.replicated(w.names...)
		for _, name := range w.names {
			_, err := w.store(name).Get(t.Context(), key)
			assert.ErrorIs(t, err, ErrLost, "at %s", name)
		}
		v, err := w.store(has[0]).Put(t.Context(), key, []byte("new"), 0)
		require.NoError(t, err)
		assert.Positive(t, v.Compare(acknowledged), "versions rise, though nobody knows the last one")
	})
}

// TestNothingOldIsStoredAnew holds up the second phase of a write until its
// partition has begun anew: it may have had an effect before that, and
// must not have one again.
func TestNothingOldIsStoredAnew(t *testing.T) {
	withNodes(t, 4, Config{Timeout: 20 * time.Second}, func(t *testing.T, w *world) {
		const key = "k"
		has := w.replicasOf(key)
		writer := w.store(has[2])
		var free atomic.Bool
		w.intercept(func(from, _ *Store, request []byte) ([]byte, bool) {
			return nil, !free.Load() && from == writer && request[0] == msgOperations && request[1] == opStore
		})
		ended := make(chan error)
		go func() { ended <- putOnly(t, writer, key, []byte("v"), 0) }()
		time.Sleep(100 * time.Millisecond)
		w.restart(0, has[0], has[1])
		w.replicated(w.names...)
		free.Store(true)
		assert.ErrorIs(t, <-ended, ErrUncertain)
		time.Sleep(simTimeout)
		_, err := w.store(has[0]).Get(t.Context(), key)
		assert.ErrorIs(t, err, ErrLost)
	})
}

// TestNodesThatStayAway loses two of five nodes at once and for good. Nobody can
// tell that from their being cut off, until it is declared.
func TestNodesThatStayAway(t *testing.T) {
	withNodes(t, 5, Config{}, func(t *testing.T, w *world) {
		w.leave("d")
		w.leave("e")
		assert.NotEmpty(t, w.unserved(30*time.Second), "what both of them had waits for them")
		s := w.store("a")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := s.DeclareLost(ctx)
		assert.ErrorIs(t, err, ErrNoQuorum)
		assert.ErrorContains(t, err, `"d" "e"`)
		assert.ErrorIs(t, s.DeclareLost(t.Context(), "b"), ErrConfig, "b is alive")
		require.NoError(t, s.DeclareLost(t.Context(), "d", "e"))
		assert.Empty(t, w.unserved(10*time.Second))
		w.start("d")
		w.start("e")
		w.replicated(w.names...)
	})
}

// TestNobodyCutOffIsGivenUp cuts one node off for a long time while another is
// restarted: what only these two had must wait for the one that still has it.
func TestNobodyCutOffIsGivenUp(t *testing.T) {
	withNodes(t, 4, Config{}, func(t *testing.T, w *world) {
		const n = 100
		for i := range n {
			require.NoError(t, putOnly(t, w.store("a"), fmt.Sprint(i), []byte("old"), 0))
		}
		w.isolate("c", true)
		w.restart(0, "b")
		time.Sleep(10 * time.Minute)
		waiting := 0
		for i := range n {
			if _, err := w.store("a").Get(t.Context(), fmt.Sprint(i)); err != nil {
				require.ErrorIs(t, err, ErrNoQuorum, "nobody knows that it is lost")
				waiting++
			}
		}
		assert.Positive(t, waiting, "the fault is to show")
		w.isolate("c", false)
		w.replicated(w.names...)
		for i := range n {
			got, err := w.store("d").Get(t.Context(), fmt.Sprint(i))
			require.NoError(t, err, "of two replicas one never lost its memory")
			assert.Equal(t, "old", string(got.Value))
		}
	})
}

// TestDeclareDead has one node stay away for good while another is restarted. Once
// that is declared, the rest is served; and what was lost is said to be.
func TestDeclareDead(t *testing.T) {
	withNodes(t, 4, Config{}, func(t *testing.T, w *world) {
		const n = 100
		for i := range n {
			require.NoError(t, putOnly(t, w.store("a"), fmt.Sprint(i), []byte("old"), 0))
		}
		w.leave("c")
		w.restart(0, "b")
		assert.NotEmpty(t, w.unserved(time.Minute), "c may be cut off")
		s := w.store("a")
		assert.ErrorIs(t, s.DeclareDead(t.Context(), "b"), ErrConfig, "b is alive")
		require.NoError(t, s.DeclareDead(t.Context(), "c"))
		assert.Empty(t, w.unserved(10*time.Second))
		count := func(want error) (lost int) {
			for i := range n {
				if _, err := s.Get(t.Context(), fmt.Sprint(i)); err != nil {
					assert.ErrorIs(t, err, want)
					lost++
				}
			}
			return lost
		}
		lost := count(ErrLost)
		assert.Positive(t, lost, "the fault is to show")
		require.NoError(t, s.DeclareLost(t.Context()))
		assert.Equal(t, lost, count(ErrNotFound))
	})
}

// TestSwornPartitionDoesNotVote: who has sworn not to vote in an epoch does not
// come to, by whatever it takes over.
func TestSwornPartitionDoesNotVote(t *testing.T) {
	before := viewOf(1, "a", "b", "c")
	for _, bar := range []bool{false, true} {
		var p partition
		p.enter(2, false, 0, false)
		votes, _, barred := p.testify(bar, false)
		assert.False(t, votes)
		assert.Equal(t, bar, barred)
		p.hear(before, "b", 0)
		p.hear(before, "c", 0)
		assert.Equal(t, !bar, p.votes)
		p.enter(3, true, 0, true)
		assert.True(t, p.votes, "in the next epoch it may")
	}
}
