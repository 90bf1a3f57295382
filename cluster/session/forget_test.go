package session

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kept is how many records of the partition of a key each of the nodes has.
func (w *world) kept(key string, on ...string) (counts []int) {
	for _, name := range on {
		p := &w.store(name).parts[partitionOf(key)]
		p.mu.Lock()
		counts = append(counts, len(p.records))
		p.mu.Unlock()
	}
	return counts
}

// change changes what nodes hold of the partition of a key.
func (w *world) change(key string, on []string, change func(*partition)) {
	for _, name := range on {
		p := &w.store(name).parts[partitionOf(key)]
		p.mu.Lock()
		change(p)
		p.mu.Unlock()
	}
}

// both runs a test on the store, and with a fault planted.
func both(t *testing.T, cfg Config, test func(t *testing.T, w *world, planted bool)) {
	for _, planted := range []bool{false, true} {
		t.Run(fmt.Sprintf("planted %t", planted), func(t *testing.T) {
			within(t, cfg, func(t *testing.T, w *world) { test(t, w, planted) })
		})
	}
}

// TestLateStoreStaysOut has a store arrive after a session was written, deleted
// and forgotten.
func TestLateStoreStaysOut(t *testing.T) {
	both(t, Config{TombstoneLife: 4 * time.Second}, func(t *testing.T, w *world, planted bool) {
		const key = "k"
		has := w.replicasOf(key)
		var mu sync.Mutex
		var late []byte
		w.intercept(func(from, to *Store, request []byte) ([]byte, bool) {
			mu.Lock()
			defer mu.Unlock()
			if late != nil || to != w.store(has[2]) || request[0] != msgOperations || request[1] != opStore {
				return nil, false
			}
			late = slices.Clone(request)
			return nil, true
		})
		require.NoError(t, putOnly(t, w.store(has[0]), key, []byte("v"), 0))
		_, err := w.store(has[1]).Delete(t.Context(), key)
		require.NoError(t, err)
		time.Sleep(20 * time.Second)
		require.Equal(t, []int{0, 0, 0}, w.kept(key, has...))
		if planted { // a replica that has no fence
			w.change(key, has, func(p *partition) { p.fence = token{} })
		}
		for _, name := range has {
			_, err := w.store(name).Handle(has[0], late)
			require.NoError(t, err)
		}
		_, err = w.store(has[0]).Get(t.Context(), key)
		if planted {
			assert.NoError(t, err, "the fault is to show")
			return
		}
		assert.ErrorIs(t, err, ErrNotFound)
		assert.NoError(t, putOnly(t, w.store(has[0]), key, []byte("again"), 0), "what begins now is not late")
	})
}

// TestStraddlingAnswers: what one replica said before a round and another after
// it does not fit together.
func TestStraddlingAnswers(t *testing.T) {
	for _, c := range []struct {
		first, second answer
		oks           int
	}{
		{answer{mark: 0, found: record{version: Version{1, 1}}}, answer{mark: 3, fence: 3}, 0},
		{answer{mark: 3, fence: 3}, answer{mark: 0, found: record{version: Version{1, 1}}}, 0},
		{answer{mark: 0, found: record{version: Version{1, 1}}}, answer{mark: 3}, 2},
		{answer{mark: 3, found: record{version: Version{1, 1}}}, answer{mark: 6, fence: 3}, 2},
	} {
		call := &call{view: viewOf(2, "a", "b", "c"), done: make(chan struct{})}
		call.answer(c.first)
		call.answer(c.second)
		oks, over := call.outcome()
		assert.True(t, over)
		assert.Equal(t, c.oks, oks, "%+v and %+v", c.first, c.second)
		assert.Equal(t, token{2, max(c.first.mark, c.second.mark)}, call.token())
	}
}

// TestForgettingReachesTwo has the last step of a round not reach one replica. It
// must not give the deletion back to the others, and forgets it when it is reached.
func TestForgettingReachesTwo(t *testing.T) {
	both(t, Config{TombstoneLife: 4 * time.Second}, func(t *testing.T, w *world, planted bool) {
		const key = "k"
		has := w.replicasOf(key)
		require.NoError(t, putOnly(t, w.store(has[0]), key, []byte("v"), 0))
		_, err := w.store(has[1]).Delete(t.Context(), key)
		require.NoError(t, err)
		w.intercept(func(_, to *Store, request []byte) ([]byte, bool) {
			return nil, request[0] == msgForget && to == w.store(has[2])
		})
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			if planted { // a replica that does not leave out what all hold
				w.change(key, has[2:], func(p *partition) {
					for key, r := range p.records {
						r.known = 0
						p.records[key] = r
						p.digest = imprint(key, r.version)
					}
				})
			}
		}
		for range 30 {
			if counts := w.kept(key, has...); planted && counts[0]+counts[1] > 0 {
				return
			} else if !planted {
				require.Equal(t, []int{0, 0, 1}, counts)
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.False(t, planted, "the fault is to show")
		w.intercept(nil)
		time.Sleep(3 * time.Second)
		assert.Equal(t, []int{0, 0, 0}, w.kept(key, has...))
	})
}

// TestForgettingTakesManyMessages has live sessions fill more than one message, and
// the names of those that are gone as well.
func TestForgettingTakesManyMessages(t *testing.T) {
	within(t, Config{TombstoneLife: 4 * time.Second}, func(t *testing.T, w *world) {
		const live, gone = 3, 300
		part, keys := partitionOf("k"), []string{"k"}
		prefix := strings.Repeat("k", MaxKey-10)
		for i, sum := 0, hash(prefix); len(keys) < live+gone; i++ {
			rest, h := fmt.Sprint(i), sum
			for _, c := range []byte(rest) {
				h = (h ^ uint64(c)) * 1099511628211 // as hash goes on
			}
			if int(mix(h)%partitions) == part {
				require.Equal(t, part, partitionOf(prefix+rest))
				keys = append(keys, prefix+rest)
			}
		}
		has := w.replicasOf("k")
		for _, key := range keys[:live] {
			require.NoError(t, putOnly(t, w.store(has[0]), key, make([]byte, MaxValue), 0))
		}
		for _, key := range keys[live:] {
			require.NoError(t, putOnly(t, w.store(has[0]), key, nil, time.Second))
		}
		var messages [msgForget + 1]atomic.Int64
		w.intercept(func(_, _ *Store, request []byte) ([]byte, bool) {
			messages[request[0]].Add(1)
			return nil, false
		})
		time.Sleep(30 * time.Second)
		assert.Equal(t, []int{live, live, live}, w.kept("k", has...))
		for _, kind := range []byte{msgHold, msgMark, msgForget} {
			assert.Greater(t, messages[kind].Load(), int64(2*gone*MaxKey/(syncSize+MaxKey)), "messages of kind %d", kind)
			assert.Less(t, messages[kind].Load(), int64(20), "messages of kind %d", kind)
		}
	})
}

// TestForgettingAroundABrokenLink breaks the link between the leader and another
// replica for good: a third one stands in.
func TestForgettingAroundABrokenLink(t *testing.T) {
	within(t, Config{TombstoneLife: 4 * time.Second}, func(t *testing.T, w *world) {
		const key = "k"
		has := w.replicasOf(key)
		w.cut(has[0], has[1], true)
		w.cut(has[1], has[0], true)
		_, err := w.store(has[2]).Delete(t.Context(), key)
		require.NoError(t, err)
		time.Sleep(20 * time.Second)
		assert.Equal(t, []int{1, 1, 1}, w.kept(key, has...), "too early for one that stands in")
		time.Sleep(40 * time.Second)
		assert.Equal(t, []int{0, 0, 0}, w.kept(key, has...))
	})
}

// TestClocksDoNotDelete has all clocks be ten minutes ahead for longer than a
// TombstoneLife.
func TestClocksDoNotDelete(t *testing.T) {
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	both(t, Config{TombstoneLife: 4 * time.Second, Clock: clock}, func(t *testing.T, w *world, planted bool) {
		const key = "k"
		has := w.replicasOf(key)
		require.NoError(t, putOnly(t, w.store(has[0]), key, []byte("v"), 3*time.Minute))
		time.Sleep(time.Second)
		ahead.Store(int64(10 * time.Minute))
		if planted { // a replica that believes its clock
			w.change(key, has, func(p *partition) {
				r := p.records[key]
				r.due = 0
				p.records[key] = r
			})
		}
		time.Sleep(time.Minute)
		_, err := w.store(has[0]).Get(t.Context(), key)
		assert.ErrorIs(t, err, ErrNotFound, "it has expired by the clock")
		ahead.Store(0)
		_, err = w.store(has[0]).Get(t.Context(), key)
		if planted {
			assert.ErrorIs(t, err, ErrNotFound, "the fault is to show")
			return
		}
		assert.NoError(t, err)
		time.Sleep(3 * time.Minute)
		assert.Equal(t, []int{0, 0, 0}, w.kept(key, has...), "and it is forgotten in the end")
	})
}
