package cluster

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// observer is a node without sockets that knows peers as alive.
func observer(t *testing.T, peers ...string) *Node {
	cfg, err := config("self").withDefaults()
	require.NoError(t, err)
	n := &Node{cfg: cfg, peers: make(map[string]*peer), links: make(map[*link]struct{})}
	n.ctx, n.cancel = context.WithCancel(t.Context())
	n.routes.Store(new(map[string]*link))
	n.clock.Store(1)
	for _, name := range peers {
		p := &peer{identity: identity{name, 1, "127.0.0.1:1"}, accusers: make(map[string]int64)}
		p.ctx, p.cancel = context.WithCancel(n.ctx)
		conn, _ := net.Pipe() // nothing is read or written
		keys, _ := pair(t)
		p.in = newLink(n, conn, keys, name, false)
		n.peers[name] = p
	}
	return n
}

// live lets time pass in ticks of some length; the peers named in silent say
// nothing.
func (n *Node) live(d, gap time.Duration, silent ...string) {
	for ; d > 0; d -= gap {
		for name, p := range n.peers {
			quiet := false
			for _, s := range silent {
				quiet = quiet || s == name
			}
			if !quiet && p.in != nil {
				p.in.heard.Store(true)
			}
		}
		n.look(gap, false)
	}
}

// accuse has another node say again and again that it does not hear a peer.
func (n *Node) accuse(by, who string) {
	n.accused(by, n.peers[who].identity, false)
}

func TestASilentPeerIsDeadOnceMostSaySo(t *testing.T) {
	n := observer(t, "b", "c", "d")
	n.live(time.Second, tick, "b")
	assert.Equal(t, Alive, n.peers["b"].state, "nobody else has noticed anything")
	n.accuse("c", "b")
	n.live(tick, tick, "b")
	assert.Equal(t, Failed, n.peers["b"].state, "two of three")
	assert.Equal(t, Alive, n.peers["c"].state)
}

func TestOldAccusationsDoNotCount(t *testing.T) {
	n := observer(t, "b", "c", "d")
	n.accuse("c", "b")
	n.live(time.Duration(accusationValid), tick)
	n.live(2*time.Second, tick, "b")
	assert.Equal(t, Alive, n.peers["b"].state)
}

func TestAPeerThatIsHeardIsNotDeadWhateverTheOthersSay(t *testing.T) {
	n := observer(t, "b", "c", "d")
	for range 100 {
		n.accuse("c", "b")
		n.accuse("d", "b")
		n.live(tick, tick)
	}
	assert.Equal(t, Alive, n.peers["b"].state)
}

func TestSilentWithin500ms(t *testing.T) {
	n := observer(t, "b")
	n.live(silenceBase+2*tick, tick, "b")
	assert.Equal(t, Failed, n.peers["b"].state)
	assert.Less(t, silenceBase+4*tick, 500*time.Millisecond)
}

func TestAllOthersSilentIsAnIslandNotADeadlock(t *testing.T) {
	n := observer(t, "b", "c", "d")
	n.live(time.Second, tick, "b", "c", "d")
	for _, p := range n.peers {
		assert.Equal(t, Failed, p.state, p.name)
	}
}

func TestANodeThatWasStoppedAccusesNobody(t *testing.T) {
	n := observer(t, "b")
	n.live(time.Second, tick)
	n.look(time.Hour, false) // stopped, and continued
	n.wasStopped()
	assert.Equal(t, Alive, n.peers["b"].state)
	n.live(silenceBase/2, tick, "b") // what the peer has sent takes a moment to be read
	assert.Equal(t, Alive, n.peers["b"].state)
	n.live(time.Second, tick)
	assert.Equal(t, Alive, n.peers["b"].state)
}

func TestANodeThatIsStarvedIsPatient(t *testing.T) {
	n := observer(t, "b")
	n.live(time.Second, 200*time.Millisecond, "b")
	assert.Equal(t, Alive, n.peers["b"].state, "so may be the other, and it has hardly listened")
	n.live(3*time.Second, 200*time.Millisecond, "b")
	assert.Equal(t, Failed, n.peers["b"].state, "but it has now and then")
}

func TestANodeThatWasStoppedIsAsQuickAsBefore(t *testing.T) {
	n := observer(t, "b", "c", "d")
	n.look(time.Hour, false)
	n.wasStopped()
	n.live(time.Second, tick)
	n.live(silenceBase, tick, "b")
	n.accuse("c", "b")
	n.live(tick, tick, "b")
	assert.Equal(t, Failed, n.peers["b"].state)
}

func TestSilencesThatEndMakePatient(t *testing.T) {
	n := observer(t, "b", "c")
	for range 10 {
		n.live(200*time.Millisecond, tick, "c")
		n.live(tick, tick)
	}
	n.live(900*time.Millisecond, tick, "b")
	n.accuse("c", "b")
	assert.Equal(t, Alive, n.peers["b"].state, "c was silent for 200 ms again and again, so b may be for longer")
	n.live(400*time.Millisecond, tick, "b")
	n.accuse("c", "b")
	n.live(tick, tick, "b")
	assert.Equal(t, Failed, n.peers["b"].state)
	n.live(time.Minute, tick)
	assert.Less(t, n.slack, tick, "what was long ago is forgotten")
}

func TestPatienceHasAnEnd(t *testing.T) {
	n := observer(t, "b")
	n.slack = silenceMost
	n.live(silenceMost-tick, tick, "b")
	assert.Equal(t, Alive, n.peers["b"].state)
	n.live(2*tick, tick, "b")
	assert.Equal(t, Failed, n.peers["b"].state)
}

func TestThoseGoneAreForgotten(t *testing.T) {
	n := observer(t, "b", "c")
	n.mu.Lock()
	n.fail(n.peers["b"], ErrUnreachable)
	n.mu.Unlock()
	n.live(forgetAfter-time.Second, 2*tick)
	assert.Contains(t, n.peers, "b")
	n.live(2*time.Second, 2*tick)
	assert.NotContains(t, n.peers, "b")
	assert.Contains(t, n.peers, "c")
	n.wg.Wait()
}
