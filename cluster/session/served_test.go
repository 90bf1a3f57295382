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
