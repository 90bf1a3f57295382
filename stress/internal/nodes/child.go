package nodes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
	"tensile/stress/node"
)

// Order is what the kit has a node process do. Each is answered once it is
// done.
type Order struct {
	Do string `json:"do"` // a key of nodeOrders

	Start *Start   `json:"start,omitempty"`
	To    []string `json:"to,omitempty"`
	From  []string `json:"from,omitempty"` // of "cut": addresses, as To then
	// Of "look": a number for its calls, and how long each may take.
	Seq      uint64        `json:"seq,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`

	Load    *Load             `json:"load,omitempty"`
	Control bool              `json:"control,omitempty"` // the load is for the control
	Peers   map[string]string `json:"peers,omitempty"`   // addresses of the controls of other processes

	Batch *Batch        `json:"batch,omitempty"`
	Pace  time.Duration `json:"pace,omitempty"` // how often the node is asked for what it holds
}

// Start is the part of a node.Config that crosses to another process.
type Start struct {
	Name   string   `json:"name"`
	Bind   string   `json:"bind"`
	Seeds  []string `json:"seeds"`
	Secret []byte   `json:"secret"`
	Window int      `json:"window,omitempty"` // bytes; Window where it does not matter
	// CallTimeout is that of the node's Config; 0 for the one of small loads.
	CallTimeout time.Duration `json:"call_timeout,omitempty"`
	// Proxies are the addresses that lead to others.
	Proxies map[string]string `json:"proxies,omitempty"`
}

// Event is what a node process tells when what its node, or its control, holds has changed.
type Event struct {
	Members map[string]node.State `json:"members,omitempty"`
	// Lost is a process to which the connection of the control has ended; then nothing
	// is said of members.
	Lost string `json:"lost,omitempty"`
}

// child is a node process.
type child struct {
	tb    testing.TB
	link  *proc.Link
	start func(testing.TB, node.Config) (node.Node, error)

	baseline measure.Baseline
	subject  node.Node
	started  atomic.Bool // whether there is one
	ended    atomic.Bool // whether it was told to end
	name     string
	traffic  traffic
	control  atomic.Pointer[control] // nil while there is none
	damage   damager
	peaks    peaks
	looks    *time.Ticker
	watching sync.WaitGroup
	unwatch  context.CancelFunc
}

var nodeOrders = map[string]func(c *child, o Order) (any, error){
	"start":   (*child).begin,
	"pace":    (*child).pace,
	"ping":    (*child).ping,
	"intrude": (*child).intrude,
	"leave":   (*child).leave,
	"close":   (*child).close,
	"serve":   (*child).serve,
	"served":  (*child).served,
	"closed":  (*child).closedLoad,
	"open":    (*child).openLoad,
	"flight":  (*child).flight,
	"release": (*child).release,
	"one-way": (*child).oneWay,
	"flood":   (*child).flood,
	"refused": (*child).refused,
	"damage":  (*child).damageNext,
	"look":    (*child).look,
	"mute":    (*child).silence,
	"cut":     (*child).cutOff,

	"open control":    (*child).openControl,
	"connect control": (*child).connectControl,
	"close control":   (*child).closeControl,

	"beat": func(*child, Order) (any, error) { return nil, nil },

	"make":     (*child).make,
	"program":  (*child).programState,
	"answer":   (*child).giveReplies,
	"never":    (*child).giveNever,
	"forget":   (*child).forget,
	"usage":    (*child).usage,
	"follow":   (*child).follow,
	"followed": (*child).followed,
	"hello":    (*child).hello,
}

// Serve is the life of a node process.
func Serve(tb testing.TB, start func(testing.TB, node.Config) (node.Node, error)) func(*proc.Link) error {
	return func(l *proc.Link) error {
		c := &child{tb: tb, link: l, start: start}
		return proc.Serve(l, func(o Order) (any, error) {
			do := nodeOrders[o.Do]
			if do == nil {
				return nil, fmt.Errorf("no order %q", o.Do)
			}
			return do(c, o)
		})
	}
}

// launch calls the user's start, which may end its goroutine by failing the
// test.
func (c *child) launch(
	s Start, handle func(string, []byte, func([]byte)), dial func(context.Context, string) (net.Conn, error),
) (n node.Node, err error) {
	done := make(chan struct{})
	err = errors.New("start failed the test of the node process")
	go func() {
		defer close(done)
		n, err = c.start(c.tb, node.Config{Name: s.Name, Bind: s.Bind, Seeds: s.Seeds, Secret: s.Secret,
			Window: cmp.Or(s.Window, Window), CallTimeout: cmp.Or(s.CallTimeout, callTimeout), Handle: handle, Dial: dial,
			MaySend: c.damage.maySend})
	}()
	<-done
	if n == nil && err == nil {
		err = errors.New("start returned neither a node nor an error")
	}
	return n, err
}

// begin starts the node of this process and answers its address.
func (c *child) begin(o Order) (any, error) {
	c.baseline = measure.TakeBaseline()
	c.name = o.Start.Name
	c.traffic.self, c.traffic.timeout = o.Start.Name, cmp.Or(o.Start.CallTimeout, callTimeout)
	c.damage.proxies = o.Start.Proxies
	node, err := c.launch(*o.Start, c.traffic.handle, c.damage.dial)
	if err != nil {
		return nil, err
	}
	c.subject = node
	c.traffic.node = node
	c.started.Store(true)
	c.looks = time.NewTicker(o.Pace)
	c.beginWatch()
	errs := node.Errors()
	return Started{node.Addr(), scenario.TypeName(node),
		Offers{errs.Unauthenticated != nil, errs.NameTaken != nil, errs.AddressTaken != nil}}, nil
}

// Started is what the process of a node that has been started answers.
type Started struct {
	Addr, Type string
	Offers     Offers
}

// Offers are the optional parts of a node, as its errors tell.
type Offers struct{ Secret, Names, Addresses bool }

// How often a node is asked for what it holds of the others: it adds to the time
// until the kit knows. To look often takes a part of the processors, so that is
// done only while a kit measures such a time.
const (
	LookOften  = time.Millisecond
	LookSeldom = 10 * time.Millisecond
)

// pace changes how often that is.
func (c *child) pace(o Order) (any, error) {
	c.looks.Reset(o.Pace)
	return nil, nil
}

// members are the others that the node knows.
func (c *child) members() map[string]node.State {
	all := make(map[string]node.State)
	for _, m := range c.subject.Members() {
		all[m.Name] = m.State
	}
	delete(all, c.name)
	return all
}

func (c *child) beginWatch() {
	ctx, cancel := context.WithCancel(context.Background())
	c.unwatch = cancel
	c.watching.Go(func() { c.watch(ctx) })
}

// watch tells the kit whenever what the node holds of the others has changed.
func (c *child) watch(ctx context.Context) {
	var told map[string]node.State
	for {
		now := c.members()
		if !maps.Equal(now, told) {
			_ = c.link.Emit(Event{Members: now}) // a kit that is gone ends this process
			told = now
		}
		select {
		case <-c.looks.C:
		case <-ctx.Done():
			return
		}
	}
}

// ping calls each of the members named and answers what went wrong, by name.
func (c *child) ping(o Order) (any, error) {
	size := payload.SmallRequest
	if o.Load != nil {
		size = o.Load.Size
	}
	wrong := make(map[string]string)
	for _, to := range o.To {
		if err := c.traffic.callOnce(to, size); err != nil {
			wrong[to] = err.Error()
		}
	}
	return wrong, nil
}

// Intrusion is what came of a node that was not to get in.
type Intrusion struct {
	Accepted        bool
	Err             string
	Unauthenticated bool
	NameTaken       bool
	AddressTaken    bool
	Members         []string // that it had learnt
	Served          bool     // its call was answered
}

// intrude starts another node in this process.
func (c *child) intrude(o Order) (any, error) {
	node, err := c.launch(*o.Start, func(string, []byte, func([]byte)) {},
		func(ctx context.Context, addr string) (net.Conn, error) {
			return Dialer.DialContext(ctx, "tcp", addr)
		})
	if err != nil {
		e := c.subject.Errors()
		is := func(want error) bool { return want != nil && errors.Is(err, want) }
		return Intrusion{Err: err.Error(), Unauthenticated: is(e.Unauthenticated), NameTaken: is(e.NameTaken),
			AddressTaken: is(e.AddressTaken)}, nil
	}
	in := Intrusion{Accepted: true}
	for _, m := range node.Members() {
		if m.Name != o.Start.Name {
			in.Members = append(in.Members, m.Name)
		}
	}
	for _, to := range o.To {
		t := traffic{self: o.Start.Name, node: node, timeout: cmp.Or(o.Start.CallTimeout, callTimeout)}
		in.Served = in.Served || t.callOnce(to, payload.MinRequest) == nil
	}
	return in, node.Close()
}

// Ended is what has come of a node that was told to leave, or to close.
type Ended struct {
	measure.Leaks
	// Members are those that it knew when it was told.
	Members map[string]node.State
	// Unsupported says that a node cannot leave, and goes on.
	Unsupported bool
}

func (c *child) leave(Order) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
	defer cancel()
	return c.end(func() error { return c.subject.Leave(ctx) })
}

func (c *child) close(Order) (any, error) { return c.end(c.subject.Close) }

// end ends the node and answers what it has left behind.
func (c *child) end(how func() error) (any, error) {
	c.unwatch()
	c.watching.Wait()
	c.peaks.end()
	out := Ended{Members: c.members()}
	c.ended.Store(true)
	switch err := how(); {
	case errors.Is(err, errors.ErrUnsupported):
		out.Unsupported = true
		c.ended.Store(false)
		c.beginWatch()
		return out, nil
	case err != nil:
		return nil, err
	}
	c.looks.Stop()
	c.damage.drop()
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
	defer cancel()
	runtime.GC()
	out.Leaks = c.baseline.Leaks(ctx)
	return out, nil
}
