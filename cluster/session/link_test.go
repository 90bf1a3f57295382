package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOneBrokenLink breaks one of the links for good. That is no reason for another
// view; a node that dies is one even so, and so is one that comes back.
func TestOneBrokenLink(t *testing.T) {
	withNodes(t, 5, Config{}, func(t *testing.T, w *world) {
		epoch := func() uint64 { return w.store("d").state.Load().view.epoch }
		for i := range 100 {
			require.NoError(t, putOnly(t, w.store("a"), fmt.Sprint(i), nil, 0))
		}
		w.sever("a", "b", true)
		time.Sleep(time.Minute)
		assert.Equal(t, uint64(1), epoch())
		assert.Empty(t, w.unserved(5*time.Second))

		w.crash("c")
		began := time.Now()
		w.replicated("a", "b", "d", "e")
		assert.Less(t, time.Since(began), 10*time.Second)
		w.start("c")
		w.replicated(w.names...)
		assert.Equal(t, uint64(3), epoch())
		assert.Empty(t, w.unserved(5*time.Second))
	})
}

// TestMostLinksOfANodeBroken: who is heard by one node only is left out, and does
// not come and go.
func TestMostLinksOfANodeBroken(t *testing.T) {
	withNodes(t, 5, Config{}, func(t *testing.T, w *world) {
		others := []string{"b", "c", "d"}
		for _, other := range others {
			w.sever("a", other, true)
		}
		time.Sleep(time.Minute)
		assert.Equal(t, uint64(2), w.store("d").state.Load().view.epoch)
		for _, other := range others {
			w.sever("a", other, false)
		}
		w.replicated(w.names...)
	})
}

// TestFoundedWithABrokenLink: the node with the lowest name does not hear all
// others, and another one founds the cluster.
func TestFoundedWithABrokenLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := emptyWorld(t, 1, Config{})
		defer w.close()
		for _, name := range []string{"a", "b", "c", "d"} {
			w.add(name)
		}
		w.sever("a", "b", true)
		time.Sleep(simTimeout)
		for _, name := range w.names {
			w.start(name)
		}
		w.replicated(w.names...)
		assert.Empty(t, w.unserved(5*time.Second))
	})
}
