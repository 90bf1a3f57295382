package sessiontest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/internal/rpc"
	"tensile/stress/internal/scenario"
)

// A node of the sessions scenario is a process. Commands go through its link,
// operations through a connection of package rpc.

// nodeConfig is what the parent tells a node to be.
type nodeConfig struct {
	Name   string            `json:"name"`
	Nodes  []string          `json:"nodes"`
	Listen string            `json:"listen"`
	Seeds  []string          `json:"seeds"`
	Peers  map[string]string `json:"peers"`
	Secret []byte            `json:"secret"`
}

// nodeCommand is one of its fields.
type nodeCommand struct {
	Start      bool            `json:"start,omitempty"`
	Unreached  map[string]bool `json:"unreached,omitempty"` // nodes to which no datagram may go
	Replicated []string        `json:"replicated,omitempty"`
	Within     time.Duration   `json:"within,omitempty"` // bound of the latter
	Load       *workload       `json:"load,omitempty"`
	Control    *controlCommand `json:"control,omitempty"`
}

// nodeReply answers any command.
type nodeReply struct {
	Subject    string    `json:"subject"`    // Go type
	Operations string    `json:"operations"` // where operations are taken
	Abilities  abilities `json:"abilities"`
	Why        string    `json:"why,omitempty"` // it is not replicated
	Account    *account  `json:"account,omitempty"`
	Address    string    `json:"address,omitempty"` // of the control
}

// openSite is where the test of a kit can be executed again as a node. In a
// node it is nil, and the node has ended.
func openSite(tb testing.TB, start func(testing.TB, Config) Store) *proc.Site {
	site := proc.At(tb, "session node")
	if !site.Child() {
		return site
	}
	site.Serve(func(l *proc.Link) error {
		n := &childNode{tb: tb, start: start, unreached: make(map[string]bool)}
		err := l.Config(&n.cfg)
		if err == nil {
			err = errors.Join(proc.Serve(l, n.command), n.close())
		}
		return err
	})
	return nil
}

// childNode is the side of the node.
type childNode struct {
	tb    testing.TB
	start func(testing.TB, Config) Store
	cfg   nodeConfig

	once       sync.Once
	err        error // of opening
	store      Store
	control    atomic.Pointer[control] // nil before it was asked for
	operations net.Listener

	mu        sync.Mutex
	unreached map[string]bool
}

func (n *childNode) command(c nodeCommand) (any, error) {
	if c.Unreached != nil {
		n.mu.Lock()
		n.unreached = c.Unreached
		n.mu.Unlock()
		return nodeReply{}, nil
	}
	if c.Load != nil {
		a, err := n.offer(*c.Load)
		return nodeReply{Account: a}, err
	}
	if c.Control != nil {
		addr, err := n.commandControl(*c.Control)
		return nodeReply{Address: addr}, err
	}
	n.once.Do(n.open)
	if n.err != nil {
		return nil, n.err
	}
	reply := nodeReply{
		Subject: scenario.TypeName(n.store), Operations: n.operations.Addr().String(), Abilities: abilitiesOf(n.store),
	}
	if replicated, ok := n.store.(Replicated); ok && c.Replicated != nil {
		ctx, cancel := context.WithTimeout(context.Background(), c.Within)
		defer cancel()
		if err := replicated.Replicated(ctx, c.Replicated); err != nil {
			reply.Why = err.Error()
		}
	}
	return reply, nil
}

func (n *childNode) open() {
	if n.operations, n.err = net.Listen("tcp", "127.0.0.1:0"); n.err != nil {
		return
	}
	n.store = n.start(n.tb, Config{
		Name: n.cfg.Name, Nodes: n.cfg.Nodes, Listen: n.cfg.Listen, Seeds: n.cfg.Seeds, Peers: n.cfg.Peers,
		Secret: n.cfg.Secret,
		Reach: func(name string) bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return !n.unreached[name] && (name != "" || len(n.unreached) == 0)
		},
	})
	if n.store == nil {
		n.err = fmt.Errorf("there is no store")
		return
	}
	go rpc.Serve(n.operations, func(body []byte, reply func([]byte)) {
		op, ok := decodeOp(body)
		if !ok {
			panic("tensile: an operation that nobody has sent")
		}
		go func() { reply(op.on(n.storeFor(op.control))) }()
	})
}

// storeFor is the store that operations and loads are for: the subject, or the control.
func (n *childNode) storeFor(control bool) Store {
	if control {
		return n.control.Load()
	}
	return n.store
}

func (n *childNode) close() error {
	if n.store == nil {
		return nil
	}
	err := n.store.Close()
	if c := n.control.Load(); c != nil {
		err = errors.Join(err, c.Close())
	}
	return err
}

// opKind is what an operation does.
type opKind byte

const (
	opGet opKind = iota + 1
	opPut
	opDelete
)

// forControl is set in the kind of an operation, on its way, that is for the control.
const forControl = 0x80

// operation is one on its way to a node.
type operation struct {
	kind    opKind
	key     string
	value   []byte
	ttl     time.Duration
	within  time.Duration
	control bool // it is for the control
}

func (o *operation) encode() []byte {
	b := make([]byte, 0, 1+8+8+2+len(o.key)+len(o.value))
	kind := byte(o.kind)
	if o.control {
		kind |= forControl
	}
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, uint64(o.ttl))
	b = binary.LittleEndian.AppendUint64(b, uint64(o.within))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(o.key)))
	b = append(b, o.key...)
	return append(b, o.value...)
}

func decodeOp(b []byte) (o *operation, ok bool) {
	const head = 1 + 8 + 8 + 2
	if len(b) < head {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint16(b[17:]))
	if len(b) < head+n {
		return nil, false
	}
	o = &operation{
		kind: opKind(b[0] &^ forControl), control: b[0]&forControl != 0,
		ttl:    time.Duration(binary.LittleEndian.Uint64(b[1:])),
		within: time.Duration(binary.LittleEndian.Uint64(b[9:])), key: string(b[head : head+n]),
		value: append([]byte(nil), b[head+n:]...),
	}
	return o, true
}

// outcome is what became of an operation.
type outcome byte

const (
	opDone    outcome = iota + 1 // acknowledged, or found
	opAbsent                     // a read found nothing
	opRefused                    // it had no effect
	opFailed                     // a write may have had its effect, or may yet
)

// on performs the operation on a store and encodes what came of it.
func (o *operation) on(s Store) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), o.within)
	defer cancel()
	r := o.perform(ctx, s, s.Errors())
	if r.err != nil {
		return append([]byte{byte(r.outcome)}, r.err.Error()...)
	}
	return append([]byte{byte(r.outcome)}, r.value...)
}

// perform performs the operation on a store.
func (o *operation) perform(ctx context.Context, s Store, errs Errors) result {
	var value []byte
	var err error
	switch o.kind {
	case opGet:
		value, err = s.Get(ctx, o.key)
	case opPut:
		err = s.Put(ctx, o.key, o.value, o.ttl)
	case opDelete:
		err = s.Delete(ctx, o.key)
	}
	switch {
	case err == nil:
		return result{outcome: opDone, value: value}
	case o.kind == opGet && errs.NotFound != nil && errors.Is(err, errs.NotFound):
		return result{outcome: opAbsent}
	case errs.Refused != nil && errors.Is(err, errs.Refused):
		return result{outcome: opRefused, err: err}
	}
	return result{outcome: opFailed, err: err}
}

// result is what came of an operation. err is not nil unless it is
// done or absent.
type result struct {
	outcome outcome
	value   []byte
	err     error
}

func decodeResult(b []byte) result {
	switch o := outcome(append(b, 0)[0]); o {
	case opDone:
		return result{outcome: o, value: b[1:]}
	case opAbsent:
		return result{outcome: o}
	case opRefused, opFailed:
		return result{outcome: o, err: errors.New(string(b[1:]))}
	}
	return result{outcome: opFailed, err: fmt.Errorf("a reply of %d bytes that is none", len(b))}
}
