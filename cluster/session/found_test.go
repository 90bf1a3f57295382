package session

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhoHasPromisedWaits: a node that has promised a founder neither votes nor
// takes a view from anybody else. It does not wait for one who has died forever.
func TestWhoHasPromisedWaits(t *testing.T) {
	founder, other := ballot{5, 2}, ballot{4, 3}
	agreed := func(s *Store) chain {
		return s.state.Load().chain.then(s.state.Load().view.next(s.state.Load().view.members))
	}
	founded := func(s *Store, by ballot) chain {
		v := *agreed(s).latest()
		v.epoch, v.founder = 1<<16|by.round, by
		return s.state.Load().chain.then(&v)
	}
	promise := func(t *testing.T, s *Store, by ballot) byte {
		request := appendBallot([]byte{msgFound, 1}, by)
		request = appendParts(appendParts(binary.LittleEndian.AppendUint64(request, s.list), parts{}), parts{})
		reply, err := s.Handle("b", request)
		require.NoError(t, err)
		return reply[0]
	}
	for _, c := range []struct {
		name  string
		view  func(*Store) chain
		by    ballot
		takes bool
	}{
		{"of this founder", func(s *Store) chain { return founded(s, founder) }, ballot{}, true},
		{"of another founder", func(s *Store) chain { return founded(s, other) }, ballot{}, false},
		{"of another founder, as this one says", func(s *Store) chain { return founded(s, other) }, founder, true},
		{"agreed on by those who are dead", agreed, ballot{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := idle(t)
				before := s.instance
				assert.Equal(t, voteYes, promise(t, s, founder))
				assert.Equal(t, voteNo, promise(t, s, other))
				reply, err := s.Handle("b", appendBallot([]byte{msgPromise, 1}, ballot{9, 9}))
				require.NoError(t, err)
				assert.Equal(t, voteNo, reply[0], "it has no vote")
				s.adopt(c.view(s), c.by)
				assert.Equal(t, c.takes, s.state.Load().chain.epoch() > 1)
				assert.Equal(t, before, s.instance)
				if c.takes {
					return
				}
				time.Sleep(goodbye * s.cfg.RepairAfter)
				s.adopt(c.view(s), c.by)
				assert.Greater(t, s.state.Load().chain.epoch(), uint64(1))
				assert.NotEqual(t, before, s.instance, "it is as good as restarted")
				assert.Equal(t, -1, s.state.Load().self)
			})
		})
	}
}
