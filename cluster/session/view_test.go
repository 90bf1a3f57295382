package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func viewOf(epoch uint64, names ...string) *view {
	v := &view{epoch: epoch, after: epoch - 1}
	for i, name := range names {
		v.members = append(v.members, member{name, uint64(i + 1)})
	}
	v.place()
	return v
}

func (v *view) names(p int) (names []string) {
	for _, at := range v.table[p] {
		names = append(names, v.members[at].name)
	}
	return names
}

func TestPlacementIsEven(t *testing.T) {
	for n := 3; n <= 16; n++ {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprint("node-", i))
		}
		v := viewOf(1, names...)
		counts := make(map[string]int)
		for p := range partitions {
			three := v.names(p)
			assert.True(t, three[0] != three[1] && three[1] != three[2] && three[0] != three[2])
			for _, name := range three {
				counts[name]++
			}
		}
		share := float64(replicas*partitions) / float64(n)
		for _, name := range names {
			assert.InEpsilon(t, share, counts[name], 0.2, "%s of %d nodes", name, n)
		}
	}
}

// TestPlacementMovesLittle: a node that goes gives up its own places and no
// other, and one that comes takes places only from those it displaces.
func TestPlacementMovesLittle(t *testing.T) {
	before, after := viewOf(1, "a", "b", "c", "d", "e"), viewOf(2, "a", "b", "d", "e")
	for p := range partitions {
		had, has := before.names(p), after.names(p)
		kept := 0
		for _, name := range had {
			for _, other := range has {
				if name == other {
					kept++
				}
			}
		}
		if before.rankOf(p, "c") >= 0 {
			assert.Equal(t, replicas-1, kept)
		} else {
			assert.Equal(t, had, has)
		}
	}
	restarted := &view{epoch: 2, members: before.with(member{"c", 77})}
	restarted.place()
	assert.Equal(t, before.table, restarted.table, "a new life has the places of the old one")
	assert.Equal(t, 2, restarted.index(77))
	assert.Equal(t, -1, restarted.index(3))
}

func TestChainKeepsTheLatest(t *testing.T) {
	var c chain
	for epoch := range uint64(20) {
		c = c.then(viewOf(epoch+1, "a", "b", "c"))
	}
	assert.Len(t, c, keptViews)
	assert.Equal(t, uint64(20), c.epoch())
	assert.Equal(t, uint64(19), c.before().epoch)

	d := &decoder{rest: appendChain(nil, c)}
	got := d.chain()
	assert.NoError(t, d.end())
	assert.Equal(t, c.String(), got.String())
}

func (c chain) String() (text string) {
	for _, v := range c {
		text += v.String() + "\n"
	}
	return text
}
