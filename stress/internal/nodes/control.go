package nodes

import (
	"context"
	"errors"
	"net"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/rpc"
	"tensile/stress/internal/scenario"
	"tensile/stress/node"
)

// control is what the subject is judged beside: the plainest call, over one connection
// to each other process. It has no members, no secret, no deadlines and no windows.
type control struct {
	traffic
	listener net.Listener
	members  map[string]*rpc.Client
}

// errControlRoom is the error of a control for which there is no room, which never comes:
// it tells the load that Call does not wait.
var errControlRoom = errors.New("control: there is no room")

func (c *control) Errors() node.Errors {
	return node.Errors{Unreachable: rpc.ErrLost, Overloaded: errControlRoom}
}

func (c *control) Call(to string, request []byte, done func([]byte, error)) {
	c.members[to].Go(request, done)
}

// callerNames are those of all that a request can name.
var callerNames = proc.NodeNames(256)

// openControl has the control of this process listen, and answers its address.
func (c *child) openControl(Order) (any, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	of := &control{listener: l, members: make(map[string]*rpc.Client)}
	of.traffic.self, of.traffic.timeout, of.traffic.node = c.name, c.traffic.timeout, of
	c.control = of
	go rpc.Serve(l, func(request []byte, reply func([]byte)) {
		from := "" // as the request says
		if id, _, ok := payload.ReadRequest(request, 0); ok {
			from = callerNames[id.From()]
		}
		of.handle(from, request, reply)
	})
	return l.Addr().String(), nil
}

// connectControl connects it to the others.
func (c *child) connectControl(o Order) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
	defer cancel()
	for name, addr := range o.Peers {
		client, err := rpc.Dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		c.control.members[name] = client
	}
	return nil, nil
}

func (c *child) closeControl(Order) (any, error) {
	for _, client := range c.control.members {
		client.Close()
	}
	err := c.control.listener.Close()
	c.control = nil
	return nil, err
}

// loaded is the traffic of an order: that of the subject, or of the control.
func (c *child) loaded(o Order) *traffic {
	if o.Control {
		return &c.control.traffic
	}
	return &c.traffic
}

// OpenControls opens a control in the process of each of the nodes.
func (k *Nodes) OpenControls(ctx context.Context, names []string) bool {
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
		if err := k.Ask(ctx, name, Order{Do: "connect control", Peers: to}, nil); err != nil {
			k.Fail("%s: the control of %s: %v", k.ID, name, err)
			return false
		}
	}
	return true
}

// CloseControls closes them.
func (k *Nodes) CloseControls(ctx context.Context, names []string) {
	for _, name := range names {
		if err := k.Ask(ctx, name, Order{Do: "close control"}, nil); err != nil {
			k.Fail("%s: the control of %s: %v", k.ID, name, err)
		}
	}
}
