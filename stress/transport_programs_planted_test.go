package stress_test

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"tensile/cluster"
	"tensile/stress/node"
)

// TestPlantedTransportPrograms shows that programs find what no load meets.
func TestPlantedTransportPrograms(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaughtWaiting(t, "TestFaultyTransport$/^programs", []fault{
		{"numbers come again", "was given the reply to"},
		{"no deadline", "messaging.deadline: a call of node-"},
		{"drops beyond the window", "messages for which Send of node-"},
		{"forgets calls at the end", "never ended"},
	}, processes)
	mustBeCaught(t, "TestFaultyTransport$/^programs", []fault{
		{"a goroutine for each large call", "goroutines more than 3 equal rounds ago"},
		{"calls again", "was handled 2 times"},
		{"room for each stranger", "strangers, who have proved nothing"},
		{"ends calls again at the end", "ended twice"},
	}, processes)
}

// lateCalls are the faults of calls that take long.
type lateCalls struct {
	mu     sync.Mutex
	open   map[*lateCall]bool
	tables map[string]*[1 << 16]*lateCall
	next   map[string]uint16
	room   [][]byte // for strangers
}

// lateCall is a call on its way.
type lateCall struct {
	done  func([]byte, error)
	ended bool // by one who does not tell others
}

// plantInLateCalls begins what goes on beside calls.
func (f *faultyNode) plantInLateCalls() {
	f.timed.open, f.timed.tables, f.timed.next = make(map[*lateCall]bool),
		make(map[string]*[1 << 16]*lateCall), make(map[string]uint16)
	if planted != "room for each stranger" {
		return
	}
	descriptors := func() int { all, _ := os.ReadDir("/proc/self/fd"); return len(all) }
	usual := descriptors() + 40
	go func() {
		for {
			select {
			case <-f.ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
			f.timed.mu.Lock()
			for n := descriptors() - usual; len(f.timed.room) < n; {
				f.timed.room = append(f.timed.room, make([]byte, 8<<20))
			}
			f.timed.mu.Unlock()
		}
	}()
}

// callLate makes a call with a fault of those that take long. It reports false if none of
// them is planted.
func (f *faultyNode) callLate(to string, request []byte, done func([]byte, error)) bool {
	switch planted {
	case "numbers come again":
		f.callNumbered(to, request, done)
	case "a goroutine for each large call":
		if len(request) >= 1<<10 {
			go func() { <-f.ended }()
		}
		f.Node.Call(to, request, done)
	case "calls again":
		f.callAgain(to, bytes.Clone(request), done)
	case "forgets calls at the end", "ends calls again at the end":
		f.callUntilTheEnd(to, request, done)
	default:
		return false
	}
	return true
}

// callNumbered gives calls numbers of 16 bits, and each back when its time is up.
func (f *faultyNode) callNumbered(to string, request []byte, done func([]byte, error)) {
	l := &f.timed
	c := &lateCall{done: done}
	l.mu.Lock()
	t := l.tables[to]
	if t == nil {
		t = new([1 << 16]*lateCall)
		l.tables[to] = t
	}
	for t[l.next[to]] != nil {
		l.next[to]++
	}
	id := l.next[to]
	l.next[to]++
	t[id] = c
	l.mu.Unlock()
	take := func() *lateCall {
		l.mu.Lock()
		defer l.mu.Unlock()
		c := t[id]
		t[id] = nil
		return c
	}
	expired := time.AfterFunc(f.cfg.CallTimeout, func() {
		l.mu.Lock()
		mine := t[id] == c
		if mine {
			t[id] = nil
		}
		l.mu.Unlock()
		if mine {
			done(nil, cluster.ErrTimeout)
		}
	})
	f.Node.Call(to, request, func(reply []byte, err error) {
		if holder := take(); holder != nil {
			if holder == c {
				expired.Stop()
			}
			holder.done(reply, err)
		}
	})
}

// callAgain makes a call once more that was lost with its connection.
func (f *faultyNode) callAgain(to string, request []byte, done func([]byte, error)) {
	began := time.Now()
	f.Node.Call(to, request, func(reply []byte, err error) {
		if !errors.Is(err, f.Node.Errors().Unreachable) || !f.alive(to) || time.Since(began) < time.Millisecond {
			done(reply, err)
			return
		}
		time.AfterFunc(20*time.Millisecond, func() { f.Node.Call(to, request, done) })
	})
}

// callUntilTheEnd knows which calls are in flight when the node ends.
func (f *faultyNode) callUntilTheEnd(to string, request []byte, done func([]byte, error)) {
	c := &lateCall{done: done}
	f.timed.mu.Lock()
	f.timed.open[c] = true
	f.timed.mu.Unlock()
	f.Node.Call(to, request, func(reply []byte, err error) {
		f.timed.mu.Lock()
		delete(f.timed.open, c)
		forgotten := c.ended
		f.timed.mu.Unlock()
		if !forgotten {
			done(reply, err)
		}
	})
}

// endLate is for the end of the node.
func (f *faultyNode) endLate() {
	l := &f.timed
	l.mu.Lock()
	var open []*lateCall
	for c := range l.open {
		c.ended = planted == "forgets calls at the end"
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		if planted == "ends calls again at the end" {
			c.done(nil, cluster.ErrClosed)
		}
	}
}

// callTimeout is how long the faulty node has the one below give calls.
func callTimeout(cfg node.Config) time.Duration {
	if planted == "no deadline" || planted == "numbers come again" {
		return time.Hour
	}
	return cfg.CallTimeout
}
