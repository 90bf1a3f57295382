package stress

import (
	"cmp"
	"context"
	"encoding/json"
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
)

// nodeOrder is what the kit has a node process do. Each is answered once it is
// done.
type nodeOrder struct {
	Do string `json:"do"` // a key of nodeOrders

	Start *nodeStart `json:"start,omitempty"`
	To    []string   `json:"to,omitempty"`
	// Of "look": a number for its calls, and how long each may take.
	Seq      uint64        `json:"seq,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`

	Load *nodeLoad     `json:"load,omitempty"`
	Pace time.Duration `json:"pace,omitempty"` // how often the node is asked for what it holds
}

// nodeStart is the part of a NodeConfig that crosses to another process.
type nodeStart struct {
	Name   string   `json:"name"`
	Bind   string   `json:"bind"`
	Seeds  []string `json:"seeds"`
	Secret []byte   `json:"secret"`
	Window int      `json:"window,omitempty"` // bytes; nodeWindow where it does not matter
	// Detours are the addresses that lead to others.
	Detours map[string]string `json:"detours,omitempty"`
}

// nodeEvent is what a node process tells when what its node holds has changed.
type nodeEvent struct {
	Members map[string]NodeState `json:"members"`
}

// nodeChild is a node process.
type nodeChild struct {
	tb    testing.TB
	link  *proc.Link
	start func(testing.TB, NodeConfig) (Node, error)

	baseline measure.Baseline
	subject  Node
	started  atomic.Bool // whether there is one
	name     string
	traffic  traffic
	damage   damager
	looks    *time.Ticker
	watching sync.WaitGroup
	unwatch  context.CancelFunc
}

var nodeOrders = map[string]func(c *nodeChild, o nodeOrder) (any, error){
	"start":   (*nodeChild).begin,
	"pace":    (*nodeChild).pace,
	"ping":    (*nodeChild).ping,
	"intrude": (*nodeChild).intrude,
	"leave":   (*nodeChild).leave,
	"close":   (*nodeChild).close,
	"serve":   (*nodeChild).serve,
	"served":  (*nodeChild).served,
	"closed":  (*nodeChild).closedLoad,
	"open":    (*nodeChild).openLoad,
	"flight":  (*nodeChild).flight,
	"release": (*nodeChild).release,
	"one-way": (*nodeChild).oneWay,
	"flood":   (*nodeChild).flood,
	"refused": (*nodeChild).refused,
	"damage":  (*nodeChild).hurt,
	"look":    (*nodeChild).look,
	"mute":    (*nodeChild).silence,
}

// serveNode is the life of a node process.
func serveNode(tb testing.TB, start func(testing.TB, NodeConfig) (Node, error)) func(*proc.Link) error {
	return func(l *proc.Link) error {
		c := &nodeChild{tb: tb, link: l, start: start}
		return l.Serve(func(body json.RawMessage) (any, error) {
			var o nodeOrder
			if err := json.Unmarshal(body, &o); err != nil {
				return nil, err
			}
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
func (c *nodeChild) launch(s nodeStart, handle func(string, []byte, func([]byte)), dial func(context.Context, string) (net.Conn, error)) (node Node, err error) {
	done := make(chan struct{})
	err = errors.New("start failed the test of the node process")
	go func() {
		defer close(done)
		node, err = c.start(c.tb, NodeConfig{Name: s.Name, Bind: s.Bind, Seeds: s.Seeds, Secret: s.Secret,
			Window: cmp.Or(s.Window, nodeWindow), CallTimeout: callTimeout, Handle: handle, Dial: dial, MaySend: c.damage.maySend})
	}()
	<-done
	if node == nil && err == nil {
		err = errors.New("start returned neither a node nor an error")
	}
	return node, err
}

// begin starts the node of this process and answers its address.
func (c *nodeChild) begin(o nodeOrder) (any, error) {
	c.baseline = measure.TakeBaseline()
	c.name = o.Start.Name
	c.traffic.self = o.Start.Name
	c.damage.detours = o.Start.Detours
	node, err := c.launch(*o.Start, c.traffic.handle, c.damage.dial)
	if err != nil {
		return nil, err
	}
	c.subject = node
	c.traffic.node = node
	c.started.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	c.unwatch = cancel
	c.looks = time.NewTicker(o.Pace)
	c.watching.Go(func() { c.watch(ctx) })
	return struct {
		Addr, Type string
	}{node.Addr(), scenario.TypeName(node)}, nil
}

// How often a node is asked for what it holds of the others: it adds to the time
// until the kit knows. To look often takes a part of the processors, so that is
// done only while a kit measures such a time.
const (
	lookOften  = time.Millisecond
	lookSeldom = 10 * time.Millisecond
)

// pace changes how often that is.
func (c *nodeChild) pace(o nodeOrder) (any, error) {
	c.looks.Reset(o.Pace)
	return nil, nil
}

// watch tells the kit whenever that has changed.
func (c *nodeChild) watch(ctx context.Context) {
	defer c.looks.Stop()
	var told map[string]NodeState
	for {
		now := make(map[string]NodeState)
		for _, m := range c.subject.Members() {
			now[m.Name] = m.State
		}
		delete(now, c.name)
		if !maps.Equal(now, told) {
			_ = c.link.Emit(nodeEvent{now}) // a kit that is gone ends this process
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
func (c *nodeChild) ping(o nodeOrder) (any, error) {
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

// intrusion is what came of a node that was not to get in.
type intrusion struct {
	Accepted        bool
	Err             string
	Unauthenticated bool
	NameTaken       bool
	AddressTaken    bool
	Members         []string // that it had learnt
	Served          bool     // its call was answered
}

// intrude starts another node in this process.
func (c *nodeChild) intrude(o nodeOrder) (any, error) {
	node, err := c.launch(*o.Start, func(string, []byte, func([]byte)) {}, func(ctx context.Context, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", addr)
	})
	if err != nil {
		e := c.subject.Errors()
		is := func(want error) bool { return want != nil && errors.Is(err, want) }
		return intrusion{Err: err.Error(), Unauthenticated: is(e.Unauthenticated), NameTaken: is(e.NameTaken), AddressTaken: is(e.AddressTaken)}, nil
	}
	in := intrusion{Accepted: true}
	for _, m := range node.Members() {
		if m.Name != o.Start.Name {
			in.Members = append(in.Members, m.Name)
		}
	}
	for _, to := range o.To {
		t := traffic{self: o.Start.Name, node: node}
		in.Served = in.Served || t.callOnce(to, payload.MinRequest) == nil
	}
	return in, node.Close()
}

func (c *nodeChild) leave(nodeOrder) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
	defer cancel()
	return c.end(func() error { return c.subject.Leave(ctx) })
}

func (c *nodeChild) close(nodeOrder) (any, error) { return c.end(c.subject.Close) }

// end ends the node and answers what it has left behind.
func (c *nodeChild) end(how func() error) (any, error) {
	c.unwatch()
	c.watching.Wait()
	if err := how(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
	defer cancel()
	runtime.GC()
	return c.baseline.Leaks(ctx), nil
}
