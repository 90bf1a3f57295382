package conntest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// The faults that a faulty server may have.
const (
	answersOneARead  = "answers one request for each read"
	takesPiece       = "takes a piece for a request"
	flushesLate      = "writes replies when nothing is left to read"
	countsFromFirst  = "counts a connection from its first request"
	leavesSilent     = "leaves open who hung up without a request"
	leavesUnwritable = "leaves open what it could not write to"
	leavesInRequest  = "leaves open who hung up in the middle of a request"
	keepsResets      = "keeps a goroutine for each reset"
	keepsGoings      = "keeps a goroutine for who hung up before the reply"
	timesOldSlot     = "has the timer of who was reset close who has the slot"
	closesOldSlot    = "closes the slot once more"
	writesUnderLock  = "writes under the lock of all"
	waitsForPart     = "waits at Close for requests that were begun"
	waitsForReader   = "waits at Close for replies to be read"
	spinsAtAccept    = "calls Accept again whatever it says"
	sleepsAtAccept   = "neither goes on nor returns when Accept has failed"
	returnsAtReset   = "returns from Serve when a connection was reset"
	endsAtReset      = "ends all when one was reset"
	keepsState       = "keeps the state of a slot"
	sharesFrame      = "has one frame for all"
	answersBeside    = "answers each request in a goroutine"
	answersTwice     = "answers again what was begun"
	losesAtFull      = "drops replies that do not fit"
	remembersResets  = "remembers the address of each reset"
	dropsAtHalf      = "drops requests when the peer has closed its half"
	ignoresHalf      = "waits for the peer to close the other half"
	leavesPoller     = "leaves a descriptor to wait by"
)

// faulty is a server with a goroutine for each connection that is sound, but for the
// fault that it is told to have.
type faulty struct {
	fault string

	mu       sync.Mutex
	listener net.Listener
	slots    []*faultyConn // nil for one that is free
	states   []State       // by slot, for keepsState
	frame    [FrameSize]byte
	writing  sync.Mutex
	closed   bool
	serving  sync.WaitGroup
	over     chan struct{}
	known    map[string]bool // for remembersResets
}

type faultyConn struct {
	net.Conn
	in    *bufio.Reader
	state *State
	slot  int
	part  bool // a request was begun
	kept  []byte
}

func newFaulty(fault string) *faulty {
	return &faulty{fault: fault, over: make(chan struct{}), known: make(map[string]bool)}
}

func (s *faulty) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listener = l
	if s.fault == leavesPoller {
		openPoller()
	}
	s.mu.Unlock()
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
		case s.fault == spinsAtAccept:
			continue
		case s.fault == sleepsAtAccept && !errors.Is(err, net.ErrClosed):
			<-s.over
			return err
		case errors.Is(err, syscall.EMFILE):
			select {
			case <-time.After(5 * time.Millisecond):
				continue
			case <-s.over:
				return net.ErrClosed
			}
		default:
			return err
		}
		c := &faultyConn{Conn: conn, in: bufio.NewReaderSize(conn, 4*FrameSize), state: new(State), slot: -1}
		if s.fault == countsFromFirst {
			go s.answer(c)
			continue
		}
		if !s.enter(c) {
			_ = conn.Close()
			continue
		}
		s.serving.Go(func() { s.answer(c) })
	}
}

// enter gives a connection the first slot that is free.
func (s *faulty) enter(c *faultyConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if c.slot = slices.Index(s.slots, nil); c.slot < 0 {
		c.slot = len(s.slots)
		s.slots = append(s.slots, nil)
		s.states = append(s.states, State{})
	}
	s.slots[c.slot] = c
	if s.fault == keepsState {
		c.state = &s.states[c.slot]
	}
	return true
}

func (s *faulty) answer(c *faultyConn) {
	var frame [FrameSize]byte
	err := s.answerAll(c, &frame)
	reset := errors.Is(err, syscall.ECONNRESET)
	_, unwritable := err.(unwritten)
	switch {
	case s.fault == leavesUnwritable && unwritable && !s.shut():
		return
	case s.fault == leavesInRequest && c.part && !s.shut():
		return
	case s.fault == leavesSilent && *c.state == (State{}) && !c.part && !s.shut():
		return
	case s.fault == remembersResets && reset:
		s.mu.Lock()
		s.known[c.RemoteAddr().String()] = true
		s.mu.Unlock()
	case s.fault == ignoresHalf && err == io.EOF && !s.shut():
		<-s.over
	case s.fault == returnsAtReset && reset:
		_ = s.listener.Close()
	case s.fault == endsAtReset && reset:
		s.mu.Lock()
		for _, other := range s.slots {
			if other != nil {
				_ = other.Close()
			}
		}
		s.mu.Unlock()
	case s.fault == keepsResets && reset, s.fault == keepsGoings && unwritable:
		s.serving.Go(func() { <-s.over })
	}
	s.leave(c, reset)
}

// unwritten is an error of Write.
type unwritten struct{ error }

func (u unwritten) Unwrap() error { return u.error }

// answerAll answers until the connection ends, and says why.
func (s *faulty) answerAll(c *faultyConn, frame *[FrameSize]byte) error {
	switch s.fault {
	case sharesFrame:
		frame = &s.frame
	case dropsAtHalf:
		return s.answerBehind(c)
	}
	for first := true; ; first = false {
		if err := s.next(c, frame); err != nil {
			return err
		}
		if first && s.fault == countsFromFirst {
			if !s.enter(c) {
				return net.ErrClosed
			}
			s.serving.Add(1)
			defer s.serving.Done()
		}
		c.state.Answer(frame)
		if err := s.write(c, frame[:]); err != nil {
			return unwritten{err}
		}
	}
}

// answerBehind reads ahead of what it answers, and answers no more when it has read to
// the end.
func (s *faulty) answerBehind(c *faultyConn) error {
	requests, over, done := make(chan [FrameSize]byte, 1000), make(chan struct{}), make(chan struct{})
	defer close(done)
	s.serving.Go(func() {
		defer close(over)
		var frame [FrameSize]byte
		for s.next(c, &frame) == nil {
			select {
			case requests <- frame:
			case <-done:
				return
			}
		}
	})
	for {
		select {
		case <-over:
			return io.EOF
		case frame := <-requests:
			time.Sleep(time.Millisecond)
			c.state.Answer(&frame)
			if _, err := c.Conn.Write(frame[:]); err != nil {
				return unwritten{err}
			}
		}
	}
}

// next reads a request.
func (s *faulty) next(c *faultyConn, frame *[FrameSize]byte) error {
	switch s.fault {
	case takesPiece:
		_, err := c.Conn.Read(frame[:])
		return err
	case answersOneARead:
		for {
			var chunk [4 * FrameSize]byte
			n, err := c.Conn.Read(chunk[:])
			if err != nil {
				return err
			}
			if c.kept = append(c.kept, chunk[:n]...); len(c.kept) >= FrameSize {
				copy(frame[:], c.kept)
				c.kept = c.kept[FrameSize:]
				return nil
			}
		}
	}
	n, err := io.ReadFull(c.in, frame[:1])
	if n > 0 {
		s.begun(c, true)
		_, err = io.ReadFull(c.in, frame[1:])
	}
	if err == nil {
		s.begun(c, false)
	}
	return err
}

// begun notes whether a request has begun, and not ended.
func (s *faulty) begun(c *faultyConn, part bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.part = part
}

func (s *faulty) write(c *faultyConn, reply []byte) (err error) {
	switch s.fault {
	case flushesLate:
		if c.kept = append(c.kept, reply...); c.in.Buffered() > 0 {
			return nil
		}
		reply, c.kept = c.kept, nil
	case writesUnderLock:
		s.writing.Lock()
		defer s.writing.Unlock()
	case answersBeside:
		text := slices.Clone(reply)
		s.serving.Go(func() { _, _ = c.Conn.Write(text) })
		return nil
	case losesAtFull:
		_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	}
	_, err = c.Conn.Write(reply)
	if s.fault == losesAtFull && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if s.fault == answersTwice && c.in.Buffered() > 0 {
		_, err = c.Conn.Write(reply)
	}
	return err
}

func (s *faulty) shut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// leave ends a connection and frees its slot.
func (s *faulty) leave(c *faultyConn, reset bool) {
	_ = c.Conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := c.slot
	if slot < 0 {
		return
	}
	s.slots[slot] = nil
	if s.fault == timesOldSlot && reset {
		time.AfterFunc(time.Second, func() { s.closeSlot(slot) })
	}
	if s.fault == closesOldSlot {
		s.serving.Go(func() { s.closeSlot(slot) })
	}
}

func (s *faulty) closeSlot(slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.slots[slot]; at != nil {
		_ = at.Close()
	}
}

func (s *faulty) Close() error {
	s.mu.Lock()
	s.closed = true
	close(s.over)
	_ = s.listener.Close()
	for _, c := range s.slots {
		if c == nil || s.fault == waitsForPart && c.part {
			continue
		}
		if s.fault == waitsForReader {
			_ = c.SetReadDeadline(time.Now())
			continue
		}
		_ = c.Conn.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return nil
}
