package nodes

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/node"
)

// Look is what a node process answers to "look".
type Look struct {
	Members map[string]node.State
	Calls   map[string]Call // of the members named
}

// Call is what came of a call.
type Call struct {
	Err   string        `json:",omitempty"` // empty if it was answered
	Late  bool          `json:",omitempty"` // it was not answered in time
	Wrong bool          `json:",omitempty"` // it was answered by something else than its reply
	Took  time.Duration // until it was answered, or given up
}

// look calls each of the members named, all at once, and answers what came of
// it, and what the node holds of the others.
func (c *child) look(o Order) (any, error) {
	if !c.started.Load() {
		return nil, errors.New("it is no node yet")
	}
	l := Look{Calls: make(map[string]Call)}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, to := range o.To {
		all.Go(func() {
			call := c.traffic.callFor(to, o.Seq, o.Patience)
			mu.Lock()
			defer mu.Unlock()
			l.Calls[to] = call
		})
	}
	all.Wait()
	l.Members = c.members()
	return l, nil
}

// callFor calls a member with a message that is like no other, and gives up
// after patience.
func (t *traffic) callFor(to string, seq uint64, patience time.Duration) Call {
	request := make([]byte, payload.SmallRequest)
	payload.FillRequest(request, payload.NewRequestID(0, payload.NodeNumber(t.self), payload.NodeNumber(to), seq), 0)
	want := make([]byte, len(request))
	payload.Invert(want, request)
	began := time.Now()
	ended := make(chan Call, 1)
	go t.node.Call(to, request, func(got []byte, err error) {
		call := Call{Took: time.Since(began)}
		if err != nil {
			call.Err = err.Error()
		} else if string(got) != string(want) {
			call.Wrong, call.Err = true, fmt.Sprintf("got %x, and not the reply to its request, %x", got, want)
		}
		select {
		case ended <- call:
		default: // it was given up
		}
	})
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case call := <-ended:
		return call
	case <-late.C:
		return Call{Err: fmt.Sprintf("no answer after %v", patience), Late: true, Took: patience}
	}
}

// silence has the node send no datagrams to some addresses, and to all others
// again.
func (c *child) silence(o Order) (any, error) {
	c.damage.mu.Lock()
	defer c.damage.mu.Unlock()
	c.damage.muted = make(map[string]bool)
	for _, addr := range o.To {
		c.damage.muted[addr] = true
	}
	return nil, nil
}

// maySend is node.Config.MaySend.
func (d *damager) maySend(addr string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.muted[addr] && !d.cut.out[addr]
}
