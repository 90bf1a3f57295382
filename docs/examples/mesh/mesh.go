// Package mesh is a cluster in which every node holds a connection to every other. Nodes
// authenticate with a shared secret. A node detects by its connections which others are
// alive, and calls them over these connections.
package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

// Errors of Start and of calls.
var (
	ErrSecret       = errors.New("mesh: the other end has another secret")
	ErrNameTaken    = errors.New("mesh: the name is taken")
	ErrAddressTaken = errors.New("mesh: the address is taken")
	ErrUnreachable  = errors.New("mesh: unreachable")
	ErrOverloaded   = errors.New("mesh: too much is in flight")
	ErrTimeout      = errors.New("mesh: no reply in time")
)

// State is the state in which a node lists another.
type State string

// The states of a node.
const (
	Alive  State = "alive"
	Failed State = "failed"
	Left   State = "left"
)

// Config configures a node.
type Config struct {
	Name    string
	Listen  string
	Seeds   []string // addresses of nodes that run already
	Secret  []byte
	Window  int           // bytes of calls in flight to one node
	Timeout time.Duration // of a call
	// Handle is called for each request, one at a time for each calling node, and with a
	// nil reply for messages. It must not block.
	Handle func(from string, body []byte, reply func([]byte))
	Dial   func(ctx context.Context, addr string) (net.Conn, error)
}

// Node is a member of a cluster. It is safe for concurrent use.
type Node struct {
	cfg      Config
	self     identity
	tls      *tls.Config
	listener net.Listener
	ctx      context.Context
	stop     context.CancelFunc
	work     sync.WaitGroup

	mu    sync.Mutex
	peers map[string]*peer
}

// greeting is the first frame of a connection, and answer the second.
type greeting struct {
	From identity
	To   string // who is meant, in which life; "" by one that does not know yet
	Life uint64
}

type answer struct {
	Taken   bool // the name is
	Members []identity
}

// Start starts a node, which joins the cluster of its seeds.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	n := &Node{cfg: cfg, peers: make(map[string]*peer)}
	var err error
	if n.tls, err = credentials(cfg.Secret); err != nil {
		return nil, err
	}
	if n.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w: %w", ErrAddressTaken, err)
		}
		return nil, err
	}
	n.self = identity{cfg.Name, n.listener.Addr().String(), rand.Uint64()}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.work.Go(n.accept)
	if err := n.join(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// join asks a seed for the members, and connects to all of them.
func (n *Node) join(ctx context.Context) (err error) {
	for _, seed := range n.cfg.Seeds {
		var c *conn
		var told answer
		if c, told, err = n.reach(ctx, seed, greeting{From: n.self}); err != nil {
			continue
		}
		c.end(net.ErrClosed)
		for _, m := range told.Members {
			if err := n.admit(m); err != nil {
				return err
			}
		}
		for _, p := range n.all() {
			select {
			case <-p.known:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	return err
}

// reach dials a node and greets it.
func (n *Node) reach(ctx context.Context, addr string, g greeting) (*conn, answer, error) {
	var told answer
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := n.cfg.Dial(ctx, addr)
	if err != nil {
		return nil, told, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })() // it takes too long
	over := tls.Client(raw, n.tls)
	if err := over.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, told, err
	}
	c := newConn(over)
	if err = c.put(hello, g); err == nil {
		err = c.get(welcome, &told)
	}
	if err == nil && told.Taken {
		err = fmt.Errorf("%w: %s", ErrNameTaken, g.From.Name)
	}
	if err != nil {
		c.end(err)
		return nil, told, err
	}
	return c, told, nil
}

func (n *Node) accept() {
	for n.ctx.Err() == nil {
		raw, err := n.listener.Accept()
		if err != nil {
			time.Sleep(time.Millisecond) // too many files, it may be
			continue
		}
		n.work.Go(func() { n.serve(raw) })
	}
}

// serve answers the frames of a connection.
func (n *Node) serve(raw net.Conn) {
	defer func() { _ = raw.Close() }()
	defer context.AfterFunc(n.ctx, func() { _ = raw.Close() })()
	_ = raw.SetDeadline(time.Now().Add(patience)) // as below, the next step tells
	c := newConn(tls.Server(raw, n.tls))
	var g greeting
	if c.get(hello, &g) != nil || g.To != "" && (g.To != n.self.Name || g.Life != n.self.Life) {
		return
	}
	taken := n.admit(g.From) != nil // first: of two that join at a time, one is told of the other
	told := answer{Taken: taken, Members: n.members(g.From.Name)}
	if c.put(welcome, told) != nil || told.Taken {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	n.work.Go(c.write)
	defer c.end(net.ErrClosed)
	for {
		k, id, body, err := c.read()
		if err != nil {
			return
		}
		answer := func(b []byte) { _ = c.send(reply, id, b, false) } // a caller that is gone knows
		switch k {
		case ping:
			_ = c.send(pong, 0, nil, true)
		case message:
			n.cfg.Handle(g.From.Name, body, nil)
		case request:
			n.cfg.Handle(g.From.Name, body, answer)
		case leave:
			n.left(g.From)
			answer(nil)
		}
	}
}

// members returns the nodes to which a new node should connect.
func (n *Node) members(not string) []identity {
	all := []identity{n.self}
	for _, p := range n.all() {
		p.mu.Lock()
		if p.Name != not && (p.state == Alive || p.state == "") {
			all = append(all, p.identity)
		}
		p.mu.Unlock()
	}
	return all
}

func (n *Node) all() (all []*peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		all = append(all, p)
	}
	return all
}

// admit adds a node, unless there is another of that name.
func (n *Node) admit(m identity) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m.Name == n.self.Name {
		return fmt.Errorf("%w: %s", ErrNameTaken, m.Name)
	}
	if was := n.peers[m.Name]; was != nil {
		if was.Life == m.Life {
			return nil
		}
		was.mu.Lock()
		defer was.mu.Unlock()
		if was.state == Alive || was.state == "" {
			return fmt.Errorf("%w: %s", ErrNameTaken, m.Name)
		}
		was.forget()
	}
	ctx, forget := context.WithCancel(n.ctx)
	p := &peer{identity: m, node: n, forget: forget, known: make(chan struct{}), calls: make(map[uint64]*call)}
	n.peers[m.Name] = p
	n.work.Go(func() { p.keep(ctx) })
	return nil
}

// left notes that a node leaves.
func (n *Node) left(m identity) {
	if p := n.peer(m.Name); p != nil && p.Life == m.Life {
		p.forget()
		p.set(Left, nil)
	}
}

func (n *Node) peer(name string) *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peers[name]
}

// Addr returns the address at which the node listens.
func (n *Node) Addr() string { return n.self.Addr }

// Members returns the state of every other node that was ever reached.
func (n *Node) Members() map[string]State {
	all := make(map[string]State)
	for _, p := range n.all() {
		p.mu.Lock()
		if p.state != "" {
			all[p.Name] = p.state
		}
		p.mu.Unlock()
	}
	return all
}

// Call sends a request. done is called once, with the reply or an error; the
// reply is valid until it returns.
func (n *Node) Call(to string, body []byte, done func(reply []byte, err error)) {
	err := fmt.Errorf("%w: %s", ErrUnreachable, to)
	if p := n.peer(to); p != nil {
		err = p.call(request, body, done)
	}
	if err != nil {
		done(nil, err)
	}
}

// Send sends a message that has no reply. It waits while too much is in flight.
func (n *Node) Send(to string, body []byte) error {
	if p := n.peer(to); p != nil {
		p.mu.Lock()
		c := p.conn
		p.mu.Unlock()
		if c != nil {
			return c.send(message, 0, body, false)
		}
	}
	return fmt.Errorf("%w: %s", ErrUnreachable, to)
}

// Leave tells all others that the node leaves, and closes it.
func (n *Node) Leave(ctx context.Context) error {
	var told sync.WaitGroup
	for _, p := range n.all() {
		told.Add(1)
		if p.call(leave, nil, func([]byte, error) { told.Done() }) != nil {
			told.Done() // it cannot be told
		}
	}
	done := make(chan struct{})
	go func() { told.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	return errors.Join(ctx.Err(), n.Close())
}

// Close ends the node at once.
func (n *Node) Close() error {
	n.stop()
	err := n.listener.Close()
	n.work.Wait()
	return err
}
