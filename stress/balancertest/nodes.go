package balancertest

import (
	"context"
	"maps"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/validate"
)

// connections opens N real ones over four node processes by the default
// strategy, and asks the nodes how many each got. Then a node is killed, and
// a fifth joins.
func (k *kit) connections(ctx context.Context, t *testing.T) {
	names := proc.NodeNames(nodeCount)
	b := k.start(t, DefaultStrategy, names)
	if b == nil {
		return
	}
	c := &nodeConnections{kit: k, b: b, servers: make(map[string]*echo.Server), survival: 100}
	defer c.close()
	for _, name := range names {
		if !c.serve(name) {
			return
		}
	}
	wave := k.N
	if limit := k.Environment().DescriptorLimit; limit != nil {
		if fit := int(*limit) - scenario.SpareFiles; fit < nodeCount {
			k.Fail("balancing: the descriptor limit is %d, must be %d or more", *limit, scenario.SpareFiles+nodeCount)
			return
		} else if fit < wave {
			// Waves of the same size, each a multiple of the nodes.
			waves := (wave + fit - 1) / fit
			wave = (wave + waves - 1) / waves
			k.Note("%d connections were opened in %d waves of up to %d held at once: the descriptor limit is %d.",
				k.N, waves, wave, *limit)
		}
	}
	began := time.Now()
	k.UnderLoad(func() {
		for c.total < k.N {
			c.closeConns()
			if !c.dial(ctx, min(wave, k.N-c.total)) || !c.counted(ctx, "a wave") {
				return
			}
		}
	})
	took := time.Since(began)
	if c.total < k.N || k.Failed() {
		return
	}
	k.Measured("connections", float64(c.total))
	c.even("all", c.accepted, names)
	k.Measured("survival", c.survival)
	k.Note("%d connections opened in %.1f s, and counted at the nodes.", c.total, took.Seconds())

	// The last wave is there. Its part on one node is lost, and dialled again.
	lost := names[1]
	rest := slices.Delete(slices.Clone(names), 1, 2)
	c.servers[lost].Kill()
	if !k.must(b.Down(lost), DefaultStrategy, "Down") || !c.redial(ctx, lost) ||
		!c.counted(ctx, "after a node was killed") {
		return
	}
	c.even("after a node process was killed", c.open, rest)

	all := append(rest, "node-4")
	if !c.serve("node-4") || !k.must(b.Join(Node{"node-4", 1}), DefaultStrategy, "Join") {
		return
	}
	n := len(c.conns)
	c.closeConns()
	if c.dial(ctx, n) && c.counted(ctx, "after a node joined") {
		c.even("after a node process joined", c.open, all)
	}
}

// diallers dial at the same time. A strategy that counts may be off by as many.
const diallers = 8

// noKeepAlive makes connections without keep-alives, which take longer than the
// rest.
var noKeepAlive = net.Dialer{KeepAlive: -1}

// nodeConnections are real connections, and the nodes they lead to.
type nodeConnections struct {
	*kit
	b       Balancer
	servers map[string]*echo.Server

	mu    sync.Mutex
	conns []nodeConn // held
	total int        // ever opened

	// What the nodes said last.
	accepted, open map[string]int
	survival       float64 // of the connections held, at worst, in percent
	spread         float64 // at worst, in percent of a share
}

type nodeConn struct {
	*net.TCPConn
	pick Pick
	key  uint64
}

func (c *nodeConnections) serve(name string) bool {
	server, err := echo.Start()
	if err != nil {
		c.Fail("%v", err)
		return false
	}
	c.servers[name] = server
	c.OnInterrupt(server.Kill)
	return true
}

// dial opens n more.
func (c *nodeConnections) dial(ctx context.Context, n int) bool {
	keys := make([]uint64, n)
	for i := range keys {
		keys[i] = c.key(c.total + i)
	}
	c.total += n
	return c.dialKeys(ctx, keys)
}

func (c *nodeConnections) dialKeys(ctx context.Context, keys []uint64) bool {
	var next atomic.Int64
	var failed atomic.Bool
	var all sync.WaitGroup
	for range diallers {
		all.Go(func() {
			defer c.Recovered("dialling")
			for !failed.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(keys) {
					return
				}
				if !c.dialOne(keys[i]) {
					failed.Store(true)
				}
			}
		})
	}
	all.Wait()
	return !failed.Load() && ctx.Err() == nil
}

func (c *nodeConnections) dialOne(key uint64) bool {
	p, err := c.b.Pick(key)
	if !c.must(err, DefaultStrategy, "Pick") {
		return false
	}
	server := c.servers[p.Node()]
	if server == nil {
		c.Violate("dead", "%s: a connection was given to %q, which is not a node that is up", DefaultStrategy, p.Node())
		return false
	}
	conn, err := noKeepAlive.Dial("tcp", server.Addr)
	if err != nil {
		c.Fault("%s: dialling %s: %v", DefaultStrategy, p.Node(), err)
		return false
	}
	c.mu.Lock()
	c.conns = append(c.conns, nodeConn{conn.(*net.TCPConn), p, key})
	c.mu.Unlock()
	return true
}

// redial replaces the connections to a node that is gone.
func (c *nodeConnections) redial(ctx context.Context, lost string) bool {
	delete(c.servers, lost)
	var keys []uint64
	c.conns = slices.DeleteFunc(c.conns, func(conn nodeConn) bool {
		gone := conn.pick.Node() == lost
		if gone {
			conn.end()
			keys = append(keys, conn.key)
		}
		return gone
	})
	return c.dialKeys(ctx, keys)
}

// end closes with a reset, which leaves no port waiting for stragglers.
func (c nodeConn) end() {
	_ = c.SetLinger(0) // fails only where the other side was faster
	_ = c.Close()
	c.pick.Done()
}

func (c *nodeConnections) closeConns() {
	for _, conn := range c.conns {
		conn.end()
	}
	c.conns = c.conns[:0]
}

// counted waits until the nodes have as many connections as are held, for as long as these
// come, and keeps what they say.
func (c *nodeConnections) counted(ctx context.Context, when string) bool {
	held := make(map[string]int)
	for _, conn := range c.conns {
		held[conn.pick.Node()]++
	}
	survived, failed := 0, false
	same := wait.Progress(ctx, scenario.Settle, func() (int, bool) {
		var err error
		if survived, err = c.ask(held); err != nil {
			c.Fail("%v", err)
			failed = true
		}
		return survived, failed || maps.Equal(c.open, held)
	})
	if failed || ctx.Err() != nil {
		return false
	}
	c.survival = min(c.survival, 100*float64(survived)/float64(len(c.conns)))
	if !same {
		c.Violate("survival", "%s: %v connections are open at the nodes, %v were opened", when, c.open, held)
	}
	return same
}

// ask asks the nodes what they have, and returns how many of the connections that are held are
// open there.
func (c *nodeConnections) ask(held map[string]int) (survived int, err error) {
	c.accepted, c.open = make(map[string]int), make(map[string]int)
	for name, server := range c.servers {
		stats, err := server.Stats()
		if err != nil {
			return 0, err
		}
		c.accepted[name] = stats.Accepted
		if stats.Open > 0 {
			c.open[name] = stats.Open
		}
		survived += min(stats.Open, held[name])
	}
	return survived, nil
}

// even judges what the nodes have counted.
func (c *nodeConnections) even(when string, counts map[string]int, names []string) {
	total := 0
	for _, name := range names {
		total += counts[name]
	}
	share := float64(total) / float64(len(names))
	allowed := share * tightPercent / 100
	if c.hashes() {
		// At a small N chance alone exceeds the figure: five standard deviations are
		// left to it.
		p := 1 / float64(len(names))
		allowed = max(float64(total)*spreadAtBase/validate.BaseScale, 5*math.Sqrt(float64(total)*p*(1-p)))
	}
	c.balance(DefaultStrategy, "real connections, "+when, counts, names, allowed)
	for _, name := range names {
		off := max(math.Abs(float64(counts[name])-share)-diallers, 0)
		c.spread = max(c.spread, 100*off/share)
		if off > allowed {
			c.Violate("uneven", "%s, real connections, %s: %s counted %d of %d, its share is %.0f",
				DefaultStrategy, when, name, counts[name], total, share)
		}
	}
	c.tight("connections_spread", c.spread)
}

func (c *nodeConnections) close() {
	c.closeConns()
	for _, server := range c.servers {
		if err := server.Close(); err != nil {
			c.Fail("%v", err)
		}
	}
}
