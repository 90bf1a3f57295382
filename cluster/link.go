package cluster

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
)

// callOverhead is what a call takes of the window beside its payload: about
// what it takes of the memory.
const callOverhead = 64

// link is one connection: ours, on which we call and are answered, or the
// member's, on which it calls and we answer.
type link struct {
	node   *Node
	conn   net.Conn
	member string // at the other end
	ours   bool
	in     *frameReader
	seal   *direction // of what is written

	heard atomic.Bool // something came since the last tick
	busy  atomic.Bool // a message is being handled: silence means nothing

	mu      sync.Mutex
	out     frames // to be written
	queued  int    // bytes in out, and those being written
	used    int    // bytes of the window that unanswered calls take
	pending pending
	waiting list.List     // of *waiter: those that wait for room in the window; none once err is set
	room    sync.Cond     // broadcast when queued has shrunk, and with each tick
	idle    bool          // the writer sleeps
	wake    chan struct{} // of the writer
	err     error         // why the link is closed; nil while it is open
	closed  chan struct{}

	// end is when the link of a member that has left is closed, by the node's
	// clock; 0 is never. The node's lock guards it.
	end int64
}

func newLink(n *Node, conn net.Conn, keys session, member string, ours bool) *link {
	l := &link{node: n, conn: conn, member: member, ours: ours, seal: keys.out,
		wake: make(chan struct{}, 1), closed: make(chan struct{})}
	l.in = newFrameReader(conn, keys.in, max(frameTarget, messageHeader+n.cfg.MaxMessage))
	l.room.L = &l.mu
	l.heard.Store(true) // the handshake
	return l
}

// run serves the link until it is closed. It is called with the node's lock held.
func (l *link) run() {
	l.node.links[l] = struct{}{}
	l.node.wg.Go(l.write)
	l.node.wg.Go(l.read)
}

// waiter is a blocking call or message for which there was no room.
type waiter struct {
	kind    kind
	payload []byte
	done    func([]byte, error) // nil for a one-way message
	due     int64               // by the node's clock
	id      uint64              // if it was admitted
	err     error               // why it was not
	settled chan struct{}       // closed once one of the two is set
}

func (w *waiter) settle(id uint64, err error) {
	w.id, w.err = id, err
	close(w.settled)
}

// fits reports whether another message may be sent. A message that alone exceeds the
// window may be sent if nothing else is in flight.
func (l *link) fits(payload int) bool {
	size := payload + callOverhead
	return (l.used == 0 || l.used+size <= l.node.cfg.Window) && (l.queued == 0 || l.queued+size <= l.node.cfg.Window)
}

// put queues a message for which there is room, and returns the id of its reply. It is
// called with the lock held, on an open link.
func (l *link) put(k kind, payload []byte, done func([]byte, error), due int64) (id uint64) {
	if done != nil {
		charge := len(payload) + callOverhead
		l.used += charge
		id = l.pending.add(done, due, charge)
	}
	l.gather(k, id, payload)
	return id
}

func (l *link) gather(k kind, id uint64, payload []byte) {
	l.queued += l.out.put(k, id, payload)
}

// unlock releases the lock, and wakes the writer if there is something for it.
func (l *link) unlock() {
	wake := l.idle && (len(l.out) > 0 || l.err != nil)
	if wake {
		l.idle = false
	}
	l.mu.Unlock()
	if wake {
		l.wake <- struct{}{} // has room: only the caller that ends the idling gets here
	}
}

// start sends a request, or a one-way message if done is nil, unless it would have to
// wait. If it returns an error, done is never called.
func (l *link) start(k kind, payload []byte, done func([]byte, error)) (id uint64, err error) {
	l.mu.Lock()
	switch {
	case l.err != nil:
		err = l.err
	case l.waiting.Len() > 0 || !l.fits(len(payload)):
		err = l.overloaded()
	default:
		id = l.put(k, payload, done, l.node.due())
	}
	l.unlock()
	return id, err
}

func (l *link) overloaded() error {
	return fmt.Errorf("%w: %q has %d bytes on the way and unsent, its window is %d",
		ErrOverloaded, l.member, max(l.used, l.queued), l.node.cfg.Window)
}

// startOrWait is start that waits for room until ctx ends, and no longer than a
// call may take.
func (l *link) startOrWait(
	ctx context.Context, k kind, payload []byte, done func([]byte, error),
) (id uint64, err error) {
	id, err = l.start(k, payload, done)
	if !errors.Is(err, ErrOverloaded) {
		return id, err
	}
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return 0, l.err
	}
	w := &waiter{kind: k, payload: payload, done: done, due: l.node.due(), settled: make(chan struct{})}
	at := l.waiting.PushBack(w)
	l.admit() // there may be room by now
	l.unlock()
	select {
	case <-w.settled:
		return w.id, w.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.settled: // meanwhile
		return w.id, w.err
	default:
	}
	l.waiting.Remove(at)
	return 0, fmt.Errorf("%w: %w", l.overloaded(), ctx.Err())
}

// admit lets waiters continue for which there is room now. It is called with the lock
// held.
func (l *link) admit() {
	for front := l.waiting.Front(); front != nil; front = l.waiting.Front() {
		w := front.Value.(*waiter)
		if !l.fits(len(w.payload)) {
			return
		}
		l.waiting.Remove(front)
		w.settle(l.put(w.kind, w.payload, w.done, w.due), nil)
	}
}

// turnAway refuses waiters for room, up to the first that is due later than now. It is
// called with the lock held.
func (l *link) turnAway(now int64, why error) {
	for front := l.waiting.Front(); front != nil; front = l.waiting.Front() {
		w := front.Value.(*waiter)
		if w.due > now {
			return
		}
		l.waiting.Remove(front)
		w.settle(0, why)
	}
}

// cancel gives up a call. It returns false if its reply has come already.
func (l *link) cancel(id uint64) bool {
	l.mu.Lock()
	_, charge, ok := l.pending.take(id)
	l.used -= charge
	l.admit()
	l.unlock()
	return ok
}

// expire ends calls, and waits for room, that have taken too long.
func (l *link) expire(now int64) {
	timeout := l.node.cfg.CallTimeout
	l.mu.Lock()
	late, charge := l.pending.overdue(now)
	l.used -= charge
	if front := l.waiting.Front(); front != nil && front.Value.(*waiter).due <= now {
		l.turnAway(now, fmt.Errorf("%w, and there was no room for %v", l.overloaded(), timeout))
	}
	l.admit()
	l.room.Broadcast() // those that wait there look at the clock
	l.unlock()
	if len(late) == 0 {
		return
	}
	err := fmt.Errorf("%w: %q has not answered within %v", ErrTimeout, l.member, timeout)
	for _, done := range late {
		done(nil, err)
	}
}

// reply answers a request on a link of the member's. It waits while the member does not
// accept what it was sent before, but no longer than a call may take: after that, no
// caller waits for the reply any more.
func (l *link) reply(k kind, id uint64, payload []byte) error {
	l.mu.Lock()
	defer l.unlock()
	for due := l.node.due(); l.err == nil && l.queued > l.node.cfg.Window; l.room.Wait() {
		if l.node.clock.Load() >= due {
			return fmt.Errorf("%w, and has taken none of it for %v", l.overloaded(), l.node.cfg.CallTimeout)
		}
	}
	if l.err != nil {
		return l.err
	}
	l.gather(k, id, payload)
	return nil
}

// signal sends a message that bypasses the window: the few that keep the
// cluster together.
func (l *link) signal(k kind, payload []byte) {
	l.mu.Lock()
	if l.err == nil {
		l.gather(k, 0, payload)
	}
	l.unlock()
}

// beat sends a sign of life, unless something is being sent anyway.
func (l *link) beat() {
	l.mu.Lock()
	if l.err == nil && l.queued == 0 {
		l.gather(kindBeat, 0, nil)
	}
	l.unlock()
}

// writeChunk is how much is passed to the kernel at once, so that room is noticed as it
// becomes available.
const writeChunk = 256 << 10

// write is the goroutine that writes the messages that have gathered since it last
// looked.
func (l *link) write() {
	var now frames
	for {
		l.mu.Lock()
		for len(l.out) == 0 && l.err == nil {
			l.idle = true
			l.mu.Unlock()
			<-l.wake
			l.mu.Lock()
		}
		if l.err != nil {
			l.mu.Unlock()
			return
		}
		now, l.out = l.out, now[:0]
		l.mu.Unlock()
		for i, frame := range now {
			sealed, err := sealFrame(l.seal, frame)
			if err == nil {
				err = l.flush(sealed)
			}
			if err != nil {
				l.close(err)
				return
			}
			recycle(frame)
			now[i] = nil
		}
	}
}

func (l *link) flush(frame []byte) error {
	for len(frame) > 0 {
		n, err := l.conn.Write(frame[:min(len(frame), writeChunk)])
		if err != nil {
			return err
		}
		frame = frame[n:]
		l.mu.Lock()
		l.queued -= n
		l.admit()
		l.room.Broadcast()
		l.mu.Unlock()
	}
	return nil
}

// Read reads from the connection and notes that the member was heard.
func (l *link) Read(b []byte) (int, error) {
	l.busy.Store(false)
	n, err := l.conn.Read(b)
	l.busy.Store(true)
	if n > 0 {
		l.heard.Store(true)
	}
	return n, err
}

// read is the goroutine that handles incoming frames.
func (l *link) read() {
	l.in.from = l
	var batch completions
	for {
		body, err := l.in.next()
		if err == nil && l.ours {
			err = l.answers(body, &batch)
		} else if err == nil {
			err = l.requests(body)
		}
		if err != nil {
			l.close(err)
			l.node.dropped(l)
			return
		}
	}
}

// completions are the calls of one frame that have been answered.
type completions []completion

type completion struct {
	done func([]byte, error)
	message
}

// answers handles a frame on a link of ours. The lock is taken once for all
// replies in it.
func (l *link) answers(body []byte, batch *completions) error {
	all := (*batch)[:0]
	l.mu.Lock()
	for len(body) > 0 {
		m, rest, err := nextMessage(body)
		if err == nil && m.kind != kindReply && m.kind != kindRefusal && m.kind != kindBeat {
			err = fmt.Errorf("%w: message of kind %d where replies are expected", errGarbled, m.kind)
		}
		if err != nil {
			l.mu.Unlock()
			l.complete(all)
			return err
		}
		body = rest
		if m.kind == kindBeat {
			continue
		}
		if done, charge, ok := l.pending.take(m.id); ok {
			l.used -= charge
			all = append(all, completion{done, m})
		}
	}
	l.admit()
	l.unlock()
	l.complete(all)
	*batch = all
	return nil
}

func (l *link) complete(all completions) {
	for i := range all {
		c := &all[i]
		if c.kind == kindReply {
			c.done(c.payload, nil)
		} else {
			c.done(nil, fmt.Errorf("%w: %q: %v", ErrRemote, l.member, refusalOf(c.payload)))
		}
		*c = completion{}
	}
}

func refusalOf(payload []byte) refusal {
	if len(payload) == 0 {
		return 0
	}
	return refusal(payload[0])
}

// requests handles a frame on a link of the member's.
func (l *link) requests(body []byte) error {
	for len(body) > 0 {
		m, rest, err := nextMessage(body)
		if err != nil {
			return err
		}
		body = rest
		switch m.kind {
		case kindRequest, kindOneWay:
			l.node.serve(Request{From: l.member, Body: m.payload, link: l, id: m.id, oneWay: m.kind == kindOneWay})
		case kindBeat:
		case kindLeave:
			l.node.left(l)
			_ = l.reply(kindReply, m.id, nil) // it may be gone already
		case kindKnown, kindAccuse, kindConfirm, kindGone:
			who, rest, err := cutIdentity(m.payload)
			if err != nil || len(rest) != 0 || checkName(who.name) != nil {
				return fmt.Errorf("%w: %x is no identity", errGarbled, m.payload)
			}
			switch m.kind {
			case kindKnown:
				l.node.heardOf(who)
			case kindGone:
				l.node.goes(who)
			default:
				l.node.accused(l.member, who, m.kind == kindAccuse)
			}
		default:
			return fmt.Errorf("%w: message of kind %d where requests are expected", errGarbled, m.kind)
		}
	}
	return nil
}

// close ends the link and all calls on it. The first cause counts.
func (l *link) close(cause error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = cause
	l.node.cfg.Log.Debug("link ends", "member", l.member, "ours", l.ours, "cause", cause)
	if !errors.Is(cause, ErrClosed) && !errors.Is(cause, ErrUnreachable) {
		l.err = fmt.Errorf("%w: connection to %q broke: %w", ErrUnreachable, l.member, cause)
	}
	ended := l.pending.all()
	l.turnAway(math.MaxInt64, l.err)
	l.used = 0
	l.out, l.queued = nil, 0
	close(l.closed)
	l.room.Broadcast()
	err := l.err
	l.unlock()
	closeNow(l.conn)
	for _, done := range ended {
		done(nil, err)
	}
}

// closeNow closes a connection without a closing message: that of TLS may wait, for
// seconds, for a member that reads nothing.
func closeNow(conn net.Conn) {
	if session, ok := conn.(*tls.Conn); ok {
		conn = session.NetConn()
	}
	_ = conn.Close() // nothing more is expected of it
}
