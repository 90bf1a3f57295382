package cluster

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAReplyFindsItsCallOnly(t *testing.T) {
	var p pending
	ended := make(map[int]int)
	ids := make(map[int]uint64)
	old := make(map[uint64]bool)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 10_000 {
		if random.IntN(3) > 0 || len(ids) == 0 {
			id := p.add(func([]byte, error) { ended[i]++ }, 1, i)
			require.False(t, old[id], "id %d is used again", id)
			ids[i], old[id] = id, true
			continue
		}
		for call, id := range ids {
			done, charge, ok := p.take(id)
			require.True(t, ok)
			assert.Equal(t, call, charge)
			done(nil, nil)
			assert.Equal(t, 1, ended[call])
			_, _, ok = p.take(id)
			assert.False(t, ok, "a second reply finds nothing")
			delete(ids, call)
			break
		}
	}
	assert.Len(t, p.all(), len(ids))
	_, _, ok := p.take(1 << 40)
	assert.False(t, ok)
}

func TestOverdue(t *testing.T) {
	var p pending
	ids := make([]uint64, 100)
	for i := range ids {
		ids[i] = p.add(func([]byte, error) {}, int64(100+i), 10)
	}
	late, charge := p.overdue(99)
	assert.Empty(t, late)
	assert.Zero(t, charge)
	_, _, ok := p.take(ids[3])
	require.True(t, ok)
	late, charge = p.overdue(109)
	assert.Len(t, late, 9)
	assert.Equal(t, 90, charge)
	late, _ = p.overdue(109)
	assert.Empty(t, late)
	late, _ = p.overdue(1000)
	assert.Len(t, late, 90)
	late, _ = p.overdue(1000)
	assert.Empty(t, late)
}
