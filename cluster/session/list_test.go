package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestClusterGrowsByRestarts restarts two of three nodes with a longer list and
// starts the fourth, while the first still has the shorter one. It must use the
// fourth as the others do.
func TestClusterGrowsByRestarts(t *testing.T) {
	withNodes(t, 3, Config{}, func(t *testing.T, w *world) {
		short := w.names
		w.nodes["a"].list = short
		w.add("d")
		for _, name := range []string{"b", "c"} {
			w.crash(name)
			w.start(name)
			w.replicated(short...)
		}
		w.start("d")
		w.replicated(w.names...)
		a := w.store("a")
		const n = 200
		for i := range n {
			key := fmt.Sprint(i)
			require.NoError(t, putOnly(t, a, key, nil, 0))
			copies := 0
			for _, name := range w.names {
				p := &w.store(name).parts[partitionOf(key)]
				p.mu.Lock()
				if _, ok := p.records[key]; ok {
					copies++
				}
				p.mu.Unlock()
			}
			require.GreaterOrEqual(t, copies, majority, "acknowledged with too few copies")
		}
		w.crash("a")
		for i := range n {
			_, err := w.store("b").Get(t.Context(), fmt.Sprint(i))
			require.NoError(t, err)
		}
		w.nodes["a"].list = nil
		w.start("a")
		w.replicated(w.names...)
	})
}

// TestListsThatDifferFoundNothing starts a cluster whose nodes do not agree on who
// they are.
func TestListsThatDifferFoundNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := emptyWorld(t, 1, Config{})
		defer w.close()
		for _, name := range []string{"a", "b", "c", "d"} {
			w.add(name)
		}
		w.nodes["a"].list = []string{"a", "b", "c"}
		for _, name := range w.names {
			w.start(name)
		}
		time.Sleep(10 * time.Second)
		for _, name := range w.names {
			err := putOnly(t, w.store(name), "k", nil, 0)
			assert.ErrorIs(t, err, ErrNoQuorum)
			assert.ErrorContains(t, err, "differ from those of this node", "at %s", name)
		}
		w.crash("a")
		w.nodes["a"].list = nil
		w.start("a")
		w.replicated(w.names...)
	})
}
