package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"tensile/stress/internal/links"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/rpc"
	"tensile/stress/internal/wait"
)

// cluster is nodes of a session store, each in a process of its own.
type cluster struct {
	site   *proc.Site
	secret []byte
	output func(name string) *os.File // for what a node prints
	onKill func(kill func())          // told how to end each process

	nodes    []*member
	controls bool         // each has a control
	links    *links.Links // nil if nodes reach each other directly

	state struct {
		sync.Mutex
		cuts      [nodeCount][nodeCount]bool // imposed, by sender and receiver
		subject   string                     // its type; empty until a node has told
		abilities abilities
	}
}

// member is a node, seen from the harness.
type member struct {
	name   string
	index  int
	listen string
	peers  map[string]string
	seeds  []string

	mu      sync.Mutex
	process *proc.Process // nil while there is none
	client  *rpc.Client
	paused  bool
}

// grace is what a node is given beyond the time of an operation to say that the
// time is over.
const grace = 500 * time.Millisecond

// do has the node perform an operation within d.
func (n *member) do(ctx context.Context, d time.Duration, op operation) result {
	n.mu.Lock()
	c := n.client
	n.mu.Unlock()
	if c == nil {
		return result{outcome: opRefused, err: rpc.ErrLost} // it was not sent
	}
	ctx, cancel := context.WithTimeout(ctx, d+grace)
	defer cancel()
	op.within = d
	reply, err := c.Call(ctx, op.encode())
	if err != nil {
		return result{outcome: opFailed, err: err}
	}
	return decodeResult(reply)
}

func (n *member) get(ctx context.Context, d time.Duration, key string) result {
	return n.do(ctx, d, operation{kind: opGet, key: key})
}

func (n *member) put(ctx context.Context, d time.Duration, key string, value []byte) result {
	return n.do(ctx, d, operation{kind: opPut, key: key, value: value})
}

// alive tells whether the node has a process that is not stopped.
func (n *member) alive() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process != nil && !n.paused
}

// reached tells whether what is sent to the node arrives there, as far as its
// connection shows.
func (n *member) reached() bool {
	n.mu.Lock()
	c := n.client
	n.mu.Unlock()
	if c == nil {
		return false
	}
	select {
	case <-c.Lost():
		return false
	default:
		return true
	}
}

// kill ends the node with SIGKILL, and returns when it is gone. Until then
// operations are sent to it, as to any other.
func (n *member) kill() {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p != nil {
		p.Kill()
	}
	if _, client := n.leave(); client != nil {
		client.Close()
	}
}

// leave takes the process out of the node.
func (n *member) leave() (*proc.Process, *rpc.Client) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, client := n.process, n.client
	n.process, n.client, n.paused = nil, nil, false
	return p, client
}

// pause stops the process of the node, or has it go on.
func (n *member) pause(stop bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return nil
	}
	n.paused = stop
	if stop {
		return n.process.Signal(proc.Stop)
	}
	return n.process.Signal(proc.Continue)
}

// ask has the node carry out a command.
func (n *member) ask(ctx context.Context, c nodeCommand) (reply nodeReply, err error) {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p == nil {
		return reply, fmt.Errorf("node %s is not there", n.name)
	}
	err = p.Ask(ctx, c, &reply)
	return reply, err
}

// form starts the nodes of a new cluster, with links between them if linked, and
// returns when all of them take operations.
func (c *cluster) form(ctx context.Context, linked bool) error {
	names := proc.NodeNames(nodeCount)
	c.nodes, c.links, c.controls = nil, nil, false
	c.state.cuts = [nodeCount][nodeCount]bool{}
	if linked {
		var err error
		if c.links, err = links.New(nodeCount); err != nil {
			return err
		}
	}
	for i, name := range names {
		listen, err := proc.FreeAddr()
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, &member{name: name, index: i, listen: listen, peers: make(map[string]string)})
	}
	for _, n := range c.nodes {
		for _, peer := range c.nodes {
			if n == peer {
				continue
			}
			n.peers[peer.name] = peer.listen
			if linked {
				c.links.Target(peer.index, peer.listen)
				n.peers[peer.name] = c.links.Addr(n.index, peer.index)
			}
		}
	}
	return c.begin(ctx, c.nodes[0])
}

// begin starts all nodes: first is to begin a cluster, which the others join by it.
func (c *cluster) begin(ctx context.Context, first *member) error {
	for _, n := range c.nodes {
		n.seeds = nil
		if n != first {
			n.seeds = []string{n.peers[first.name]}
		}
	}
	err := c.restart(ctx, c.nodes...)
	for _, n := range c.nodes { // for those that come back
		n.seeds = slices.Sorted(maps.Values(n.peers))
	}
	return errors.Join(err, c.ready(ctx))
}

// again kills all nodes, and begins a cluster by the same names and addresses.
func (c *cluster) again(ctx context.Context, first *member) error {
	_ = everyNode(c.nodes, func(n *member) error { n.kill(); return nil })
	return errors.Join(c.heal(ctx), c.begin(ctx, first))
}

// restart starts nodes, which must not be there.
func (c *cluster) restart(ctx context.Context, nodes ...*member) error {
	return everyNode(nodes, func(n *member) error {
		if err := c.start(ctx, n); err != nil {
			return fmt.Errorf("node %s did not start: %w", n.name, err)
		}
		c.tell(ctx, n)
		return nil
	})
}

// everyNode calls do with all nodes at once.
func everyNode(nodes []*member, do func(*member) error) error {
	errs := make([]error, len(nodes))
	wait.All(len(nodes), func(i int) { errs[i] = do(nodes[i]) })
	return errors.Join(errs...)
}

func (c *cluster) start(ctx context.Context, n *member) error {
	p, err := c.site.Start(nodeConfig{
		Name: n.name, Nodes: proc.NodeNames(nodeCount), Listen: n.listen, Seeds: n.seeds, Peers: n.peers, Secret: c.secret,
	}, proc.Options{Output: c.output(n.name)})
	if err != nil {
		return err
	}
	c.onKill(p.Kill)
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, tries)
	defer cancel()
	reply, err := n.ask(ctx, nodeCommand{Start: true})
	if err != nil {
		return err
	}
	client, err := rpc.Dial(ctx, reply.Operations)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.client = client
	n.mu.Unlock()
	c.state.Lock()
	defer c.state.Unlock()
	c.state.subject, c.state.abilities = reply.Subject, reply.Abilities
	return nil
}

// ready waits until each node takes operations.
func (c *cluster) ready(ctx context.Context) error {
	return everyNode(c.running(), func(n *member) error {
		probe := operation{kind: opPut, key: "probe-" + n.name, value: []byte("probe")}
		if r := c.eventually(ctx, n, probe); r.outcome != opDone {
			return fmt.Errorf("node %s does not take a write after %v: %w", n.name, tries, r.err)
		}
		return nil
	})
}

// eventually tries an operation until it is done, or a read finds nothing.
func (c *cluster) eventually(ctx context.Context, n *member, op operation) (r result) {
	ctx, cancel := context.WithTimeout(ctx, tries)
	defer cancel()
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		r = n.do(ctx, time.Second, op)
		if r.outcome == opDone || r.outcome == opAbsent {
			return r
		}
		select {
		case <-ctx.Done():
			return r
		case <-pause.C:
		}
	}
}

// disband ends all nodes, as they end by themselves when they are told to.
func (c *cluster) disband() error {
	err := everyNode(c.nodes, func(n *member) error {
		p, client := n.leave()
		if client != nil {
			client.Close()
		}
		if p == nil {
			return nil
		}
		if err := p.Close(); err != nil {
			return fmt.Errorf("node %s did not end when it was told to: %w", n.name, err)
		}
		return nil
	})
	c.end()
	return err
}

// end ends whatever is left.
func (c *cluster) end() {
	for _, n := range c.nodes {
		n.kill()
	}
	c.nodes = nil
	if c.links != nil {
		_ = c.links.Close() // it carries nothing any more
		c.links = nil
	}
}

// running are the nodes that are there.
func (c *cluster) running() []*member {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *member) bool { return !n.alive() })
}

// replicated waits until everything is fully replicated over the nodes, or as
// long as that may take where the subject cannot tell. Where nodes share a server
// there is nothing to wait for. The error is why it is not.
func (c *cluster) replicated(ctx context.Context, nodes []*member, within time.Duration) error {
	switch can := c.abilities(); {
	case can.Replicates:
	case can.Shares:
		return nil
	default:
		select {
		case <-time.After(within):
		case <-ctx.Done():
		}
		return nil
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
	}
	return everyNode(nodes, func(n *member) error {
		ctx, cancel := context.WithTimeout(ctx, within+grace)
		defer cancel()
		reply, err := n.ask(ctx, nodeCommand{Replicated: names, Within: within})
		if reply.Why != "" {
			err = errors.New(reply.Why)
		}
		if err != nil {
			return fmt.Errorf("%s says: %w", n.name, err)
		}
		return nil
	})
}

// cut holds back what one node sends to another, or lets it go.
func (c *cluster) cut(ctx context.Context, from, to *member, cut bool) {
	c.links.Cut(from.index, to.index, cut)
	c.state.Lock()
	c.state.cuts[from.index][to.index] = cut
	c.state.Unlock()
	c.tell(ctx, from)
}

// tell has a node know to whom its datagrams may go.
func (c *cluster) tell(ctx context.Context, n *member) {
	unreached := make(map[string]bool)
	c.state.Lock()
	for i, to := range c.nodes {
		if c.state.cuts[n.index][i] {
			unreached[to.name] = true
		}
	}
	c.state.Unlock()
	if n.alive() {
		_, _ = n.ask(ctx, nodeCommand{Unreached: unreached}) // one that has just died sends nothing
	}
}

// pair cuts both directions between two nodes, or joins them again.
func (c *cluster) pair(ctx context.Context, a, b *member, cut bool) {
	var both sync.WaitGroup
	both.Go(func() { c.cut(ctx, a, b, cut) })
	both.Go(func() { c.cut(ctx, b, a, cut) })
	both.Wait()
}

// isolate cuts a node off from all others, or joins it to them again.
func (c *cluster) isolate(ctx context.Context, n *member, cut bool) {
	for _, other := range c.others(n) {
		c.pair(ctx, n, other, cut)
	}
}

// others are all nodes but one.
func (c *cluster) others(but *member) []*member {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *member) bool { return n == but })
}

// heal undoes all faults of links, and continues nodes that were stopped.
func (c *cluster) heal(ctx context.Context) error {
	c.links.Heal()
	c.state.Lock()
	c.state.cuts = [nodeCount][nodeCount]bool{}
	c.state.Unlock()
	return everyNode(c.nodes, func(n *member) error {
		if err := n.pause(false); err != nil {
			return fmt.Errorf("node %s can not be continued: %w", n.name, err)
		}
		c.tell(ctx, n)
		return nil
	})
}
