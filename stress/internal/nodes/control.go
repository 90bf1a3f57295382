package nodes

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"tensile/stress/internal/plain"
	"tensile/stress/internal/scenario"
	"tensile/stress/node"
)

// control is what the subject is judged beside: a plain call over one connection to each
// other process. It has no members, no secret, no deadlines and no windows.
type control struct {
	traffic
	closing  atomic.Bool
	listener net.Listener
	members  map[string]*plain.Client
}

// Errors of a control that never come: they tell the load that Call does not wait.
var errControlRoom, errControlGone = errors.New("control: there is no room"), errors.New("control: nobody is there")

func (c *control) Errors() node.Errors {
	return node.Errors{Unreachable: errControlGone, Overloaded: errControlRoom}
}

func (c *control) Call(to string, request []byte, done func([]byte, error)) {
	c.members[to].Go(request, done)
}

// answer answers a request, which the control never holds back.
func (c *control) answer(r plain.Request) (reply []byte) {
	c.handle(r.From, r.Body, func(b []byte) { reply = bytes.Clone(b) })
	return reply
}

// openControl has the control of this process listen, and answers its address.
func (c *child) openControl(Order) (any, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	of := &control{listener: l, members: make(map[string]*plain.Client)}
	of.traffic.self, of.traffic.timeout, of.traffic.node = c.name, c.traffic.timeout, of
	c.control.Store(of)
	go plain.Serve(l, of.answer)
	return l.Addr().String(), nil
}

// connectControl connects it to the others.
func (c *child) connectControl(o Order) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
	defer cancel()
	of := c.control.Load()
	for name, addr := range o.Peers {
		client, err := plain.Dial(ctx, c.name, addr, o.Load.Each)
		if err != nil {
			return nil, err
		}
		of.members[name] = client
		go func() {
			if <-client.Lost(); !of.closing.Load() {
				_ = c.link.Emit(Event{Lost: name}) // a kit that is gone ends this process
			}
		}()
	}
	c.control.Store(of)
	return nil, nil
}

func (c *child) closeControl(Order) (any, error) {
	of := c.control.Swap(nil)
	of.closing.Store(true)
	for _, client := range of.members {
		client.Close()
	}
	return nil, of.listener.Close()
}

// loaded is the traffic of an order: that of the subject, or of the control.
func (c *child) loaded(o Order) *traffic {
	if o.Control {
		return &c.control.Load().traffic
	}
	return &c.traffic
}

// OpenControls opens a control in the process of each of the nodes. Each has no more than
// most calls in flight to another.
func (k *Nodes) OpenControls(ctx context.Context, names []string, most int) bool {
	k.mu.Lock()
	k.lost = make(map[[2]string]time.Time)
	k.mu.Unlock()
	peers := make(map[string]string)
	for _, name := range names {
		var addr string
		if err := k.Ask(ctx, name, Order{Do: "open control"}, &addr); err != nil {
			k.Fail("%s: the control of %s: %v", k.ID, name, err)
			return false
		}
		peers[name] = addr
	}
	for _, name := range names {
		to := make(map[string]string)
		for _, other := range Others(names, name) {
			to[other] = peers[other]
		}
		if err := k.Ask(ctx, name, Order{Do: "connect control", Peers: to, Load: &Load{Each: most}}, nil); err != nil {
			k.Fail("%s: the control of %s: %v", k.ID, name, err)
			return false
		}
	}
	return true
}

// lostControl keeps when the control of a node has lost its connection to another. It is
// called with the lock held.
func (k *Nodes) lostControl(by, about string) {
	k.lost[[2]string{by, about}] = time.Now()
	close(k.changed)
	k.changed = make(chan struct{})
}

// ControlsLost waits until the controls of some nodes have lost their connections to
// another, and returns when the last had.
func (k *Nodes) ControlsLost(ctx context.Context, by []string, about string) (last time.Time, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	ok = k.await(ctx, func() bool {
		last = time.Time{}
		for _, name := range by {
			at, lost := k.lost[[2]string{name, about}]
			if !lost {
				return false
			}
			if at.After(last) {
				last = at
			}
		}
		return true
	})
	if !ok {
		k.Fail("%s: the control of a node did not see that %s is dead for %v", k.ID, about, scenario.Settle)
	}
	return last, ok
}

// CloseControls closes them.
func (k *Nodes) CloseControls(ctx context.Context, names []string) {
	for _, name := range names {
		if err := k.Ask(ctx, name, Order{Do: "close control"}, nil); err != nil {
			k.Fail("%s: the control of %s: %v", k.ID, name, err)
		}
	}
}
