package classics

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// Under the stock scheduler most mistakes stay hidden; a twin must never show
// any.
func TestTwinsAreSound(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Cases {
		assert.False(t, names[c.Name], "%s: a name of its own", c.Name)
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			for range 100 {
				synctest.Test(t, func(t *testing.T) { assert.Empty(t, c.Run(true)) })
			}
		})
	}
}
