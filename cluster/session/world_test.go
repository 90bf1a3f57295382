package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// world is a cluster in memory, for tests in a synctest bubble: nodes that
// crash with the loss of their memory, and links between them that delay,
// lose, double and reorder what is on them. All time in it is virtual.
//
// Every link draws from a source of its own, so that a seed gives the same
// faults to the n-th message of a link, whatever the others do.
type world struct {
	t     testing.TB
	seed  uint64
	cfg   Config
	names []string

	mu    sync.Mutex
	nodes map[string]*node
	links map[[2]string]*link

	// Faults of the store itself, planted to be found.
	tamper  func(from *Store, to *Store, request []byte) (reply []byte, forged bool)
	amnesia bool
	ended   bool

	background sync.WaitGroup
}

// node is a name with the life that it has now, if any.
type node struct {
	store  *Store
	last   uint64 // instance of the life before
	life   int
	paused bool
	since  time.Time    // of paused
	held   []func()     // deliveries while it is paused
	away   bool         // it has crashed and does not come back by itself
	step   atomic.Int64 // ns by which its clock is ahead
	list   []string     // its Config.Nodes; nil for all nodes
}

// link is one direction between two nodes.
type link struct {
	random   *rand.Rand
	cut      bool
	severed  bool      // it is cut for good
	since    time.Time // of cut
	min, max time.Duration
	loss     float64 // share of messages that are lost
	double   float64 // share of requests that arrive twice
}

var (
	errLost    = errors.New("no reply in time")
	errRefused = errors.New("connection refused")
)

const (
	// simTimeout is after what time a lost request or reply is given up.
	simTimeout = 1600 * time.Millisecond
	// simSuspicion is how long a node is silent before it is believed dead.
	simSuspicion = 300 * time.Millisecond
)

// newWorld starts n nodes, which are ready when it returns.
func newWorld(t testing.TB, seed uint64, n int, cfg Config) *world {
	w := emptyWorld(t, seed, cfg)
	for i := range n {
		w.add(string(rune('a' + i)))
	}
	for _, name := range w.names {
		w.start(name)
	}
	w.replicated(w.names...)
	return w
}

// emptyWorld has no nodes.
func emptyWorld(t testing.TB, seed uint64, cfg Config) *world {
	return &world{t: t, seed: seed, cfg: cfg, nodes: make(map[string]*node), links: make(map[[2]string]*link)}
}

// add has a node that is not started yet.
func (w *world) add(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = append(slices.Clone(w.names), name)
	w.nodes[name] = &node{}
	for _, other := range w.names {
		for _, ends := range [][2]string{{name, other}, {other, name}} {
			w.links[ends] = &link{
				random: rand.New(rand.NewPCG(w.seed, hash(ends[0]+" "+ends[1]))),
				min:    100 * time.Microsecond, max: time.Millisecond,
			}
		}
	}
}

// start gives a name a new life, without memory.
func (w *world) start(name string) *Store {
	cfg := w.cfg
	w.mu.Lock()
	n := w.nodes[name]
	w.mu.Unlock()
	cfg.Name, cfg.Nodes = name, w.names
	if n.list != nil {
		cfg.Nodes = n.list
	}
	if cfg.Clock == nil {
		cfg.Clock = func() time.Time { return time.Now().Add(time.Duration(n.step.Load())) }
	}
	s, err := New(cfg)
	require.NoError(w.t, err)
	w.mu.Lock()
	n.life++
	n.store, n.away = s, false
	life := n.life
	if w.amnesia && n.last != 0 {
		s.instance = n.last
	}
	w.mu.Unlock()
	s.Start(&port{w, name, life})
	return s
}

// crash ends the life of a node.
func (w *world) crash(name string) {
	w.mu.Lock()
	n := w.nodes[name]
	s := n.store
	w.mu.Unlock()
	last := uint64(0)
	if s != nil {
		last = s.standing().instance
	}
	w.mu.Lock()
	n.last = cmp.Or(last, n.last)
	n.store, n.paused, n.held = nil, false, nil
	n.life++
	w.mu.Unlock()
	if s != nil {
		_ = s.Close() // always nil
	}
}

func (w *world) close() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.background.Wait()
	for _, name := range w.names {
		w.crash(name)
	}
	time.Sleep(10 * simTimeout) // until nothing is on its way, for in a bubble that has ended no time passes
}

// intercept has tamper answer requests in the place of those they are meant for.
func (w *world) intercept(tamper func(from, to *Store, request []byte) (reply []byte, forged bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tamper = tamper
}

func (w *world) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// store is that of a node, or nil while it is down.
func (w *world) store(name string) *Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[name].store
}

// pause holds everything that goes to and comes from a node.
func (w *world) pause(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nodes[name]
	n.paused, n.since = true, time.Now()
}

func (w *world) resume(name string) {
	w.mu.Lock()
	n := w.nodes[name]
	held := n.held
	n.paused, n.held = false, nil
	w.mu.Unlock()
	for _, deliver := range held {
		go deliver()
	}
}

// cut ends or restores one direction between two nodes.
func (w *world) cut(from, to string, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.links[[2]string{from, to}]
	if cut = cut || l.severed; cut != l.cut {
		l.cut, l.since = cut, time.Now()
	}
}

// isolate cuts a node off in both directions, or joins it again.
func (w *world) isolate(name string, cut bool) {
	for _, other := range w.names {
		if other != name {
			w.cut(name, other, cut)
			w.cut(other, name, cut)
		}
	}
}

// shape changes all links.
func (w *world) shape(change func(*link)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		change(l)
	}
}

// heal undoes everything but crashes, links that were severed and clocks.
func (w *world) heal() {
	w.shape(func(l *link) {
		l.cut, l.min, l.max, l.loss, l.double = l.severed, 100*time.Microsecond, time.Millisecond, 0, 0
	})
	for _, name := range w.names {
		w.resume(name)
	}
}

// replicated waits until everything is replicated over exactly these nodes.
func (w *world) replicated(on ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, name := range on {
		if err := w.store(name).Replicated(ctx, on...); err != nil {
			require.NoError(w.t, err, "seed %d\n%s", w.seed, w.describe())
		}
	}
}

// replicasOf is the nodes that hold a key, as the first node sees it.
func (w *world) replicasOf(key string) (names []string) {
	v := w.store(w.names[0]).state.Load().view
	for _, at := range v.table[partitionOf(key)] {
		names = append(names, v.members[at].name)
	}
	return names
}

// describe says how far each node is.
func (w *world) describe() (text string) {
	for _, name := range w.names {
		s := w.store(name)
		if s == nil {
			text += name + " is down\n"
			continue
		}
		st := s.state.Load()
		s.mu.Lock()
		text += fmt.Sprintf("%s#%x: lacks %d partitions, heard %v, ",
			name, s.instance>>48, len(s.lacking(st.chain.epoch())), s.heard)
		s.mu.Unlock()
		for _, v := range st.chain {
			text += v.String() + "; "
		}
		text += "\n"
	}
	return text
}

// port is the Network of one life of a node.
type port struct {
	w    *world
	name string
	life int
}

func (p *port) Alive(name string) bool {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nodes[name]
	out, in := w.links[[2]string{p.name, name}], w.links[[2]string{name, p.name}]
	silent := out.cut && in.cut && time.Since(out.since) > simSuspicion && time.Since(in.since) > simSuspicion
	return n.store != nil && !silent && !(n.paused && time.Since(n.since) > simSuspicion)
}

func (p *port) Go(to string, request []byte, done func([]byte, error)) {
	w := p.w
	request = slices.Clone(request)
	ended := make(chan struct{})
	var once sync.Once
	end := func(reply []byte, err error) {
		once.Do(func() {
			close(ended)
			if w.lives(p.name, p.life) {
				done(reply, err)
			}
		})
	}
	go func() {
		timeout := time.NewTimer(simTimeout)
		defer timeout.Stop()
		select {
		case <-timeout.C:
			end(nil, errLost)
		case <-ended:
		}
	}()
	serve := func() {
		target := w.store(to)
		if target == nil {
			w.carry(to, p.name, func() { end(nil, errRefused) })
			return
		}
		w.mu.Lock()
		tamper, source := w.tamper, w.nodes[p.name].store
		w.mu.Unlock()
		if tamper != nil && source != nil {
			if reply, forged := tamper(source, target, request); forged {
				w.carry(to, p.name, func() { end(reply, nil) })
				return
			}
		}
		reply, err := target.Handle(p.name, request)
		w.carry(to, p.name, func() { end(reply, err) })
	}
	w.carry(p.name, to, serve)
	if w.doubles(p.name, to) {
		w.carry(p.name, to, serve)
	}
}

func (w *world) lives(name string, life int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[name].life == life
}

func (w *world) doubles(from, to string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.links[[2]string{from, to}]
	return l.random.Float64() < l.double
}

// carry delivers over a link, or does not.
func (w *world) carry(from, to string, deliver func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.links[[2]string{from, to}]
	lost := l.random.Float64() < l.loss || l.cut
	delay := l.min + time.Duration(l.random.Int64N(int64(l.max-l.min)+1))
	if lost {
		return
	}
	// Not time.AfterFunc: the race detector of Go 1.26 does not bear it that timers of
	// a bubble start so many goroutines (go.dev/issue/78156).
	go func() {
		time.Sleep(delay)
		w.hold(from, func() { w.hold(to, deliver) })
	}()
}

// hold delivers once a node is not paused. What is held at a crash is lost.
func (w *world) hold(name string, deliver func()) {
	w.mu.Lock()
	if n := w.nodes[name]; n.paused {
		n.held = append(n.held, deliver)
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	deliver()
}
