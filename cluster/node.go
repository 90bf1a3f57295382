package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// Node is this process as a member of a cluster. Its methods are safe for
// concurrent use.
type Node struct {
	cfg  Config
	ring keyring
	tls  *tls.Config // nil without TLS

	addr        string        // at which others reach this node
	incarnation atomic.Uint64 // changes only while it joins

	listener *net.TCPListener
	gossip   *gossip
	list     *memberlist.Memberlist
	listUse  sync.Mutex // it must not leave once it was shut down
	// clock is the time in ns that this node has been running. Time in which it was
	// stopped or starved is not included.
	clock atomic.Int64
	// routes are the links on which calls go out, by name. The map is never
	// changed but replaced.
	routes atomic.Pointer[map[string]*link]

	strangers, greeted *lobby
	refusals           refusals

	ctx    context.Context // ends when the node is closed
	cancel context.CancelFunc
	wg     goroutines
	done   chan struct{} // closed when all goroutines have ended

	mu       sync.Mutex
	err      error // why the node is closed; nil while it is open
	leaving  bool
	peers    map[string]*peer
	links    map[*link]struct{} // all that run, those among them that no peer has any more
	watchers []*watcher
	slack    time.Duration // delays seen lately
}

// Handler is called with each request and one-way message. It runs on the goroutine
// that reads the connection from that member. While it runs, other messages of that
// member wait, but not those of other members. A handler that must block copies the
// body and replies from a goroutine of its own. A panic is reported to the caller as
// ErrRemote.
type Handler func(Request)

// Request is a message of another member.
type Request struct {
	From string // name of the member
	Body []byte // valid until the handler returns
	link *link
	id   uint64

	oneWay bool
}

// OneWay reports whether the sender expects no reply.
func (r Request) OneWay() bool { return r.oneWay }

// Reply answers the request, once, from any goroutine; body is copied. It waits while
// the member does not accept what it was sent before. It returns ErrOverloaded if that
// takes longer than Config.CallTimeout, ErrUnreachable once the member is gone, or
// ErrTooLarge. It does nothing for a one-way message.
func (r Request) Reply(body []byte) error {
	if r.oneWay {
		return nil
	}
	if len(body) > r.link.node.cfg.MaxMessage {
		return r.link.node.tooLarge(body)
	}
	return r.link.reply(kindReply, r.id, body)
}

func (n *Node) tooLarge(body []byte) error {
	return fmt.Errorf("%w: %d bytes, must be up to %d", ErrTooLarge, len(body), n.cfg.MaxMessage)
}

func (n *Node) serve(r Request) {
	if n.cfg.Handler == nil {
		n.refuse(r, refusedNoHandler)
		return
	}
	defer func() {
		if value := recover(); value != nil {
			n.cfg.Log.Error("handler panicked", "from", r.From, "panic", value, "stack", string(debug.Stack()))
			n.refuse(r, refusedPanic)
		}
	}()
	n.cfg.Handler(r)
}

func (n *Node) refuse(r Request, why refusal) {
	if !r.oneWay {
		_ = r.link.reply(kindRefusal, r.id, []byte{byte(why)}) // the caller may be gone
	}
}

// Start binds the address and joins the cluster through the first seed that answers.
// It tries seeds that do not answer again until ctx ends. The errors are ErrConfig,
// ErrAddressTaken, ErrNameTaken, ErrUnauthenticated, and ErrUnreachable if no seed
// answered in time.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, peers: make(map[string]*peer), links: make(map[*link]struct{}), done: make(chan struct{}),
		strangers: newLobby(mostStrangers), greeted: newLobby(mostGreeted),
	}
	if n.ring, err = newKeyring(cfg.Secret, cfg.AcceptedSecrets); err != nil {
		return nil, err
	}
	if cfg.TLS {
		if n.tls, err = newTLS(); err != nil {
			return nil, err
		}
	}
	n.routes.Store(new(map[string]*link))
	n.clock.Store(1) // 0 is never
	if err := n.bind(); err != nil {
		return nil, err
	}
	n.incarnation.Store(uint64(time.Now().UnixNano()))
	if n.addr = cfg.Advertise; n.addr == "" {
		n.addr = n.listener.Addr().String()
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.wg.Go(n.monitor)
	n.wg.Go(n.gossip.read)
	if err := n.join(ctx); err != nil {
		n.stop(err)
		<-n.done
		return nil, err
	}
	n.cfg.Log.Info("started", "self", n.Self())
	return n, nil
}

// bind opens the listener and the socket for gossip, on the same port.
func (n *Node) bind() error {
	addr, err := net.ResolveTCPAddr("tcp", n.cfg.Bind)
	if err != nil {
		return fmt.Errorf("%w: Bind %q: %w", ErrConfig, n.cfg.Bind, err)
	}
	// A port that is free for one may be in use for the other.
	for try := 0; ; try++ {
		listener, err := net.ListenTCP("tcp", addr)
		if err == nil {
			at := listener.Addr().(*net.TCPAddr)
			var packets *net.UDPConn
			packets, err = net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone})
			if err == nil {
				n.listener, n.gossip = listener, newGossip(n, packets)
				return nil
			}
			_ = listener.Close()
		}
		if addr.Port == 0 && try < 10 {
			continue
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%w: %s: %w", ErrAddressTaken, n.cfg.Bind, err)
		}
		return fmt.Errorf("%w: Bind %q: %w", ErrConfig, n.cfg.Bind, err)
	}
}

// Name is the node's own.
func (n *Node) Name() string { return n.cfg.Name }

// Addr is the address at which others reach this node.
func (n *Node) Addr() string { return n.addr }

// Self is this node as a member.
func (n *Node) Self() Member {
	return Member{Name: n.cfg.Name, Addr: n.addr, Incarnation: n.incarnation.Load()}
}

func (n *Node) identity() identity {
	return identity{n.cfg.Name, n.incarnation.Load(), n.addr}
}

// Go sends a request and returns without waiting. done is called exactly once: with
// the reply, which is valid until done returns, or with ErrUnreachable, ErrOverloaded,
// ErrTimeout, ErrTooLarge, ErrRemote, ErrUnknownMember or ErrClosed. done may be
// called before Go returns, or on a goroutine on which other calls wait. It must not
// block, but may call Go. The request is copied.
func (n *Node) Go(to string, request []byte, done func(reply []byte, err error)) {
	if len(request) > n.cfg.MaxMessage {
		done(nil, n.tooLarge(request))
		return
	}
	l, err := n.route(to)
	if err == nil {
		_, err = l.start(kindRequest, request, done)
	}
	if err != nil {
		done(nil, err)
	}
}

// Call sends a request and waits for its reply, no longer than ctx and
// Config.CallTimeout allow. While the window to the member is full, it waits for room,
// and returns ErrOverloaded if there is none in time. If the request was sent and the
// reply has not come in time, it returns ErrTimeout. The other errors are those of Go.
func (n *Node) Call(ctx context.Context, to string, request []byte) ([]byte, error) {
	if len(request) > n.cfg.MaxMessage {
		return nil, n.tooLarge(request)
	}
	l, err := n.route(to)
	if err != nil {
		return nil, err
	}
	var reply []byte
	var failed error
	ended := make(chan struct{})
	id, err := l.startOrWait(ctx, kindRequest, request, func(b []byte, err error) {
		reply, failed = append([]byte(nil), b...), err
		close(ended)
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-ended:
		return reply, failed
	case <-ctx.Done():
	}
	if l.cancel(id) {
		return nil, fmt.Errorf("%w: %q: %w", ErrTimeout, to, ctx.Err())
	}
	<-ended // it came at the last moment
	return reply, failed
}

// Send sends a message that has no reply. It waits for room like Call, and returns once
// the message is in flight. Messages to one member arrive in order. Messages that are
// in flight when the connection breaks are lost.
func (n *Node) Send(ctx context.Context, to string, body []byte) error {
	if len(body) > n.cfg.MaxMessage {
		return n.tooLarge(body)
	}
	l, err := n.route(to)
	if err != nil {
		return err
	}
	_, err = l.startOrWait(ctx, kindOneWay, body, nil)
	return err
}

// due is when a call that begins now has taken too long, by the node's clock.
func (n *Node) due() int64 {
	now, timeout := n.clock.Load(), int64(n.cfg.CallTimeout)
	if timeout > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + timeout
}

// route returns the link to a member, or why there is none.
func (n *Node) route(to string) (*link, error) {
	if l := (*n.routes.Load())[to]; l != nil {
		return l, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[to]
	switch {
	case n.err != nil:
		return nil, n.err
	case to == n.cfg.Name:
		return nil, fmt.Errorf("%w: %q is this node itself", ErrUnknownMember, to)
	case p == nil || p.joining:
		return nil, fmt.Errorf("%w: %q", ErrUnknownMember, to)
	case p.state == Alive:
		return nil, fmt.Errorf("%w: %q: its connection broke and is not open again", ErrUnreachable, to)
	}
	return nil, fmt.Errorf("%w: %q has %v", ErrUnreachable, to, p.state)
}

// Leave tells the others that this node leaves, so that they list it as left, and
// closes it. It waits until all have heard that, or until ctx ends; then it returns the
// error of ctx.
func (n *Node) Leave(ctx context.Context) error {
	n.mu.Lock()
	if n.err != nil {
		n.mu.Unlock()
		return n.err
	}
	n.leaving = true
	links := make([]*link, 0, len(n.peers))
	for _, p := range n.peers {
		if p.state == Alive && p.out != nil {
			links = append(links, p.out)
		}
	}
	n.mu.Unlock()
	told := make(chan struct{}, len(links))
	for _, l := range links {
		tell := func([]byte, error) { told <- struct{}{} }
		go func() {
			if _, err := l.startOrWait(ctx, kindLeave, nil, tell); err != nil {
				told <- struct{}{} // it is gone, or does not listen
			}
		}()
	}
	var err error
	for range links {
		select {
		case <-told:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	n.spreadLeave()
	return errors.Join(err, n.Close())
}

// spreadLeave tells by gossip that this node leaves, unless it was closed meanwhile.
func (n *Node) spreadLeave() {
	n.listUse.Lock()
	defer n.listUse.Unlock()
	n.mu.Lock()
	closed := n.err != nil
	n.mu.Unlock()
	if !closed {
		_ = n.list.Leave(leavePatience) // if gossip does not spread, all have been told already
	}
}

// leavePatience is how long the gossip of a leave may take.
const leavePatience = 200 * time.Millisecond

// Close ends the node at once; the others list it as failed. It returns when everything
// that the node started has ended. Calls in progress end with ErrClosed.
//
// Close and Leave may be called from a function that the node calls, such as a Handler
// or one of Watch. That function has then not returned yet, so Close does not wait. Done
// is closed when everything has ended.
func (n *Node) Close() error {
	n.stop(ErrClosed)
	if !n.wg.current() {
		<-n.done
	}
	return nil
}

// Done is closed when the node has ended: by Close or Leave, or because another node has
// its name. Err says which.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err returns why the node has ended: ErrClosed, ErrNameTaken or ErrSuperseded. It
// returns nil while the node is open.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// stop ends the node without waiting for it.
func (n *Node) stop(cause error) {
	n.mu.Lock()
	if n.err != nil {
		n.mu.Unlock()
		return
	}
	n.err = cause
	if !errors.Is(cause, ErrClosed) {
		n.err = fmt.Errorf("%w: %w", ErrClosed, cause)
	}
	cause = n.err
	n.cancel()
	links := slices.Collect(maps.Keys(n.links))
	watchers := n.watchers
	n.watchers = nil
	n.routes.Store(new(map[string]*link))
	list := n.list
	n.mu.Unlock()
	n.cfg.Log.Info("ends", "cause", cause)
	_ = n.listener.Close() // read-only use: nothing can be lost
	for _, l := range links {
		l.close(cause)
	}
	for _, w := range watchers {
		w.stop()
	}
	go func() {
		if list != nil {
			n.listUse.Lock()
			_ = list.Shutdown() // returns nil always
			n.listUse.Unlock()
		}
		n.gossip.close()
		n.wg.Wait()
		close(n.done)
	}()
}
