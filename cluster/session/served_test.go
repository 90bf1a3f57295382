package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestServedWithoutOne has a node stay away for good, and another one's clock be
// wrong.
func TestServedWithoutOne(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		for i := range 100 {
			require.NoError(t, putOnly(t, w.store("a"), fmt.Sprint(i), nil, 0))
		}
		w.leave("c")
		w.stepClock("b", -time.Hour)
		w.startAll()
		assert.Equal(t, []string{"a", "b", "d"}, w.up())
		assert.Empty(t, w.unserved(10*time.Second))
	})
}

// TestMembersThatDoNotHearEachOther: of three members one is restarted, and the link
// between the other two never heals. Only those outside can ask both.
func TestMembersThatDoNotHearEachOther(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		w.crash("a")
		w.replicated("b", "c", "d")
		w.sever("b", "d", true)
		w.crash("c")
		w.startAll()
		assert.Empty(t, w.unserved(servedWithin))
		assert.Equal(t, []string{"a", "b", "c", "d"}, names(w.store("a").state.Load().view.members))
	})
}

func names(members []member) (all []string) {
	for _, m := range members {
		all = append(all, m.name)
	}
	return all
}
