package nats

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tensile/stress/node"
)

// calls are the requests of one node to others, and of others to it. A request
// goes to the subject kind.to and is answered at reply.from.to.number.
type calls struct {
	nc    *nats.Conn
	cfg   node.Config
	stop  chan struct{}
	swept sync.WaitGroup

	mu      sync.Mutex
	room    *sync.Cond // of windows
	last    uint64
	waiting map[uint64]*waiting
	onWay   map[string]int // bytes to each member
	closed  bool
}

// waiting is a call that was not answered yet.
type waiting struct {
	to    string
	size  int
	since time.Time
	done  func([]byte, error)
}

// The kinds of requests.
const (
	kindCall  = "call"
	kindSend  = "send"  // its reply comes when it was handed over
	kindHello = "hello" // its reply is an address
)

var (
	errUnreachable = errors.New("nats: unreachable")
	errTimeout     = errors.New("nats: the call was not answered in time")
	errNodeClosed  = errors.New("nats: the node is closed")
)

// overhead is what a request takes of a window beside its body.
const overhead = 64

func newCalls(nc *nats.Conn, cfg node.Config, addr string) (*calls, error) {
	c := &calls{
		nc: nc, cfg: cfg, stop: make(chan struct{}), waiting: make(map[uint64]*waiting), onWay: make(map[string]int),
	}
	c.room = sync.NewCond(&c.mu)
	for subject, handle := range map[string]nats.MsgHandler{
		kindCall + "." + cfg.Name: func(m *nats.Msg) {
			// a caller that is gone is told by its own side
			cfg.Handle(sender(m), m.Data, func(reply []byte) { _ = m.Respond(reply) })
		},
		kindSend + "." + cfg.Name: func(m *nats.Msg) {
			cfg.Handle(sender(m), m.Data, nil)
			_ = m.Respond(nil)
		},
		kindHello + "." + cfg.Name:   func(m *nats.Msg) { _ = m.Respond([]byte(addr)) },
		"reply." + cfg.Name + ".*.*": c.answered,
	} {
		sub, err := nc.Subscribe(subject, handle)
		if err != nil {
			return nil, err
		}
		if err := sub.SetPendingLimits(-1, -1); err != nil { // windows bound them
			return nil, err
		}
	}
	c.swept.Go(c.sweep)
	return c, nil
}

// sender is the name of the node that waits for a reply.
func sender(m *nats.Msg) string {
	from, _, _ := strings.Cut(strings.TrimPrefix(m.Reply, "reply."), ".")
	return from
}

// call sends a request once there is room for it in the window of its receiver.
func (c *calls) call(kind, to string, body []byte, done func([]byte, error)) {
	size := len(body) + overhead
	c.mu.Lock()
	for !c.closed && c.onWay[to] > 0 && c.onWay[to]+size > c.cfg.Window {
		c.room.Wait()
	}
	if c.closed {
		c.mu.Unlock()
		done(nil, errNodeClosed)
		return
	}
	c.last++
	id := c.last
	c.waiting[id] = &waiting{to, size, time.Now(), done}
	c.onWay[to] += size
	c.mu.Unlock()
	reply := "reply." + c.cfg.Name + "." + to + "." + strconv.FormatUint(id, 10)
	if err := c.nc.PublishRequest(kind+"."+to, reply, body); err != nil {
		c.finish(id, nil, err)
	}
}

// answered takes a reply in, or the word of a server that nobody is there.
func (c *calls) answered(m *nats.Msg) {
	id, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 10, 64)
	if err != nil {
		return // nobody waits for it
	}
	const nobody = "503"
	if len(m.Data) == 0 && m.Header.Get("Status") == nobody {
		c.finish(id, nil, fmt.Errorf("%w: %w", errUnreachable, nats.ErrNoResponders))
		return
	}
	c.finish(id, m.Data, nil)
}

func (c *calls) finish(id uint64, reply []byte, err error) {
	c.mu.Lock()
	w := c.waiting[id]
	c.forget(id)
	c.mu.Unlock()
	if w != nil {
		w.done(reply, err)
	}
}

// forget is called with the lock held.
func (c *calls) forget(id uint64) {
	if w := c.waiting[id]; w != nil {
		delete(c.waiting, id)
		c.onWay[w.to] -= w.size
		c.room.Broadcast()
	}
}

// sweep ends calls whose time is over.
func (c *calls) sweep() {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			c.endAll(errTimeout, func(w *waiting) bool { return time.Since(w.since) > c.cfg.CallTimeout })
		case <-c.stop:
			return
		}
	}
}

// end ends the calls to a member that is gone.
func (c *calls) end(to string) {
	go c.endAll(fmt.Errorf("%w: %s is gone", errUnreachable, to), func(w *waiting) bool { return w.to == to })
}

func (c *calls) endAll(err error, which func(*waiting) bool) {
	var over []*waiting
	c.mu.Lock()
	for id, w := range c.waiting {
		if which(w) {
			over = append(over, w)
			c.forget(id)
		}
	}
	c.mu.Unlock()
	for _, w := range over {
		w.done(nil, err)
	}
}

// hello asks a member for its address.
func (c *calls) hello(to string) (addr string, err error) {
	done := make(chan struct{})
	c.call(kindHello, to, nil, func(reply []byte, e error) {
		addr, err = string(reply), e
		close(done)
	})
	<-done
	return addr, err
}

func (c *calls) close() {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	close(c.stop)
	c.swept.Wait()
	c.endAll(errNodeClosed, func(*waiting) bool { return true })
}
