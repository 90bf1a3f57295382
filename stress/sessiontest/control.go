package sessiontest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net"
	"sync"
	"time"

	"tensile/stress/internal/plain"
	"tensile/stress/internal/scenario"
)

// control is the store beside which the subject is judged: the plainest majority store.
// Each session is on three nodes, and what two of them say holds. It waits for all that are
// there, or requests to the slowest would pile up. Its nodes are fixed, it takes no time to
// live, and it makes up for no loss.
type control struct {
	self     int
	listener net.Listener
	others   []*plain.Client // by node; nil for this one

	mu  sync.Mutex
	all map[string]controlValue
}

// controlValue is a value with the number of its write: the greater is the later.
type controlValue struct {
	number uint64
	value  []byte
}

const (
	controlCopies   = 3
	controlMajority = 2
	// copyFlight is how many requests of copyAll are in flight, and controlFlight how
	// many of all at most: of an open load on a machine that stalls there are many.
	copyFlight    = 1000
	controlFlight = 1 << 17
)

var (
	errControlNotFound = errors.New("control: there is no such session")
	errControlMinority = errors.New("control: two nodes of a session do not answer")
)

func (*control) Errors() Errors { return Errors{NotFound: errControlNotFound} }

// A request is a number, the length of a key in two bytes, the key and a value. Number 0
// asks for what there is. The reply is the number and the value that there is then.
func controlRequest(key string, v controlValue) []byte {
	b := make([]byte, 0, 8+2+len(key)+len(v.value))
	b = binary.LittleEndian.AppendUint64(b, v.number)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	return append(append(b, key...), v.value...)
}

// take carries out a request at this node.
func (c *control) take(request []byte) (reply []byte) {
	number, value := binary.LittleEndian.Uint64(request), request[10:]
	key := value[:binary.LittleEndian.Uint16(request[8:])]
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.all[string(key)]
	if number > now.number {
		now = controlValue{number, bytes.Clone(value[len(key):])}
		c.all[string(key)] = now
	}
	return append(binary.LittleEndian.AppendUint64(nil, now.number), now.value...)
}

// ask sends a request to the nodes of a session. It returns the latest that at least two of
// them have answered, and whether all have the same.
func (c *control) ask(ctx context.Context, key string, v controlValue) (latest controlValue, same bool, err error) {
	replies, request := make(chan []byte, controlCopies), controlRequest(key, v)
	for _, node := range c.nodesOf(key) {
		if node == c.self {
			replies <- c.take(request)
			continue
		}
		c.others[node].Go(request, func(reply []byte, _ error) { replies <- reply }) // nil if it is lost
	}
	answered := 0
	same = true
	for range controlCopies {
		var reply []byte
		select {
		case reply = <-replies:
		case <-ctx.Done():
			return latest, false, ctx.Err()
		}
		if reply == nil {
			continue
		}
		one := controlValue{binary.LittleEndian.Uint64(reply), reply[8:]}
		same = same && (answered == 0 || one.number == latest.number)
		if one.number > latest.number {
			latest = one
		}
		answered++
	}
	if answered < controlMajority {
		return latest, false, errControlMinority
	}
	return latest, same, nil
}

// nodesOf are the nodes of a session.
func (c *control) nodesOf(key string) (nodes [controlCopies]int) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(key)) // it never fails
	for i := range nodes {
		nodes[i] = (int(hash.Sum32()) + i) % len(c.others)
	}
	return nodes
}

// Put writes with a number that is greater than what two nodes have, and not that of
// another node.
func (c *control) Put(ctx context.Context, key string, value []byte, _ time.Duration) error {
	now, _, err := c.ask(ctx, key, controlValue{})
	if err != nil {
		return err
	}
	nodes := uint64(len(c.others))
	_, _, err = c.ask(ctx, key, controlValue{(now.number/nodes+1)*nodes + uint64(c.self), value})
	return err
}

// Get makes sure that two nodes have what it returns.
func (c *control) Get(ctx context.Context, key string) ([]byte, error) {
	v, same, err := c.ask(ctx, key, controlValue{})
	if err == nil && !same {
		_, _, err = c.ask(ctx, key, v)
	}
	if err != nil {
		return nil, err
	}
	if v.number == 0 {
		return nil, errControlNotFound
	}
	return v.value, nil
}

// Delete writes a session without a value, as the plainest store does.
func (c *control) Delete(ctx context.Context, key string) error { return c.Put(ctx, key, nil, 0) }

// copyAll has all other nodes of each session here have what is here, and returns once
// those that are there have it.
func (c *control) copyAll() {
	c.mu.Lock()
	requests := make(map[string][]byte, len(c.all))
	for key, v := range c.all {
		requests[key] = controlRequest(key, v)
	}
	c.mu.Unlock()
	room := make(chan struct{}, copyFlight)
	for key, request := range requests {
		for _, node := range c.nodesOf(key) {
			if node != c.self {
				room <- struct{}{}
				c.others[node].Go(request, func([]byte, error) { <-room })
			}
		}
	}
	for range cap(room) {
		room <- struct{}{}
	}
}

func (c *control) Close() error {
	for _, other := range c.others {
		if other != nil {
			other.Close()
		}
	}
	return c.listener.Close()
}

// controlCommand is what a node is to do with its control: one of its fields.
type controlCommand struct {
	Open  bool              `json:"open,omitempty"`  // answered with the address of the control
	Peers map[string]string `json:"peers,omitempty"` // addresses of the others, by name, to connect to
	Copy  bool              `json:"copy,omitempty"`  // see copyAll
}

// commandControl carries out a command.
func (n *childNode) commandControl(c controlCommand) (addr string, err error) {
	of := n.control.Load()
	switch {
	case c.Open:
		of = &control{all: make(map[string]controlValue), others: make([]*plain.Client, len(n.cfg.Nodes))}
		if of.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
		go plain.Serve(of.listener, func(r plain.Request) []byte { return of.take(r.Body) })
		addr = of.listener.Addr().String()
	case c.Copy:
		if of != nil { // a node that came back has nothing to copy
			of.copyAll()
		}
		return "", nil
	default:
		ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
		defer cancel()
		for i, name := range n.cfg.Nodes {
			if name == n.cfg.Name {
				of.self = i
			} else if of.others[i], err = plain.Dial(ctx, n.cfg.Name, c.Peers[name], controlFlight); err != nil {
				return "", err
			}
		}
	}
	n.control.Store(of)
	return addr, nil
}

// controlled opens a control in the process of each node, unless there is one, and tells
// whether they are there.
func (c *cluster) controlled(ctx context.Context) error {
	if c.controls {
		return nil
	}
	peers := make(map[string]string)
	for _, n := range c.nodes {
		reply, err := n.ask(ctx, nodeCommand{Control: &controlCommand{Open: true}})
		if err != nil {
			return err
		}
		peers[n.name] = reply.Address
	}
	c.controls = true
	return everyNode(c.nodes, func(n *member) error {
		_, err := n.ask(ctx, nodeCommand{Control: &controlCommand{Peers: peers}})
		return err
	})
}
