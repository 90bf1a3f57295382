package conntest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"tensile/stress/internal/pipe"
)

// wire is the server's end of a connection in memory, an EventConn.
type wire struct {
	*pipe.Conn
	peer *peer

	// Under the lock of the model. Over TCP closed is what the peer has seen.
	accepted bool
	refused  bool // the listener was closed before it was accepted
	closed   bool // by the server
	reset    bool // by the peer
	writing  int  // calls of Write under way
}

var _ EventConn = (*wire)(nil)

// Read is that of the connection. When the peer has reset it, what had come in may
// still be read, and then the error is that of a socket.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	return n, w.saw("read", err)
}

func (w *wire) Write(b []byte) (int, error) {
	m := w.peer.m
	m.mu.Lock()
	w.writing++
	m.moves++
	m.mu.Unlock()
	n, err := w.Conn.Write(b)
	m.mu.Lock()
	w.writing--
	m.mu.Unlock()
	return n, w.saw("write", err)
}

// saw counts a move, and gives an error its shape.
func (w *wire) saw(op string, err error) error {
	m := w.peer.m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves++
	if w.reset && !w.closed && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)) {
		return &net.OpError{Op: op, Net: networkMemory, Err: os.NewSyscallError(op, syscall.ECONNRESET)}
	}
	return err
}

// Close is called by the server.
func (w *wire) Close() error {
	w.peer.ends()
	return w.Conn.Close()
}

// line is a listener in memory.
type line struct {
	m       *model
	waiting chan *wire
	fails   chan error
	closed  chan struct{}
	end     sync.Once
	began   chan struct{} // closed by the first Accept
	first   sync.Once

	// Under the lock of the model.
	failed  int       // calls of Accept, one after the other
	since   time.Time // when it failed first
	waits   bool      // a call of Accept is under way
	stopped bool      // no more is accepted
}

// lineRoom is more than a program has connections.
const lineRoom = 4096

func newLine(m *model) *line {
	return &line{m: m, waiting: make(chan *wire, lineRoom), fails: make(chan error, lineRoom),
		closed: make(chan struct{}), began: make(chan struct{})}
}

// errExhausted is what Accept of a socket returns when there are no descriptors left.
var errExhausted = &net.OpError{Op: "accept", Net: networkMemory, Err: os.NewSyscallError("accept4", syscall.EMFILE)}

func (l *line) Accept() (net.Conn, error) {
	l.first.Do(func() { close(l.began) })
	l.m.mu.Lock()
	l.waits = true
	l.m.mu.Unlock()
	for {
		select { // as of a socket, nothing is accepted after Close
		case <-l.closed:
			return nil, l.fail(net.ErrClosed)
		default:
		}
		select {
		case <-l.closed:
			return nil, l.fail(net.ErrClosed)
		case err := <-l.fails:
			return nil, l.fail(err)
		case w := <-l.waiting:
			if l.accepts(w) {
				return w, nil
			}
			l.refuse(w)
		}
	}
}

// accepts tells whether it is not too late for a connection.
func (l *line) accepts(w *wire) bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.stopped {
		return false
	}
	w.accepted, l.failed, l.waits = true, 0, false
	l.m.moves++
	return true
}

// mostWaits is for how many milliseconds, in virtual time, stop waits.
const mostWaits = 100

// stop has nothing be accepted any more, and waits until the server has taken in what it
// has accepted. Many servers count a connection, with a WaitGroup that Close waits for,
// when they have accepted it: which is a misuse of the WaitGroup just when Close is called,
// and is said to be one at once in a bubble of virtual time. It does no harm otherwise.
func (l *line) stop() {
	for range mostWaits {
		l.m.mu.Lock()
		l.stopped = true
		over := l.waits || !l.m.serves
		l.m.mu.Unlock()
		if over {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// A server that calls Accept again when it has failed does so in vain if that was for
// good: more often than this within a second is a loop that takes a processor.
const mostFailures = 1000

// fail counts that Accept has failed.
func (l *line) fail(err error) error {
	m := l.m
	m.mu.Lock()
	m.moves++
	l.waits = false
	if l.failed == 0 || time.Since(l.since) > time.Second {
		l.failed, l.since = 0, time.Now()
	}
	l.failed++
	spins := l.failed > mostFailures
	m.mu.Unlock()
	if spins {
		m.Violate("close", "Accept has failed %d times within a second, with %q, and Serve goes on calling it",
			mostFailures, err)
	}
	return err
}

// offer hands the server's end of a connection to Accept.
func (l *line) offer(w *wire) {
	select {
	case <-l.closed:
		l.refuse(w)
		return
	default:
	}
	l.waiting <- w
	select {
	case <-l.closed: // perhaps too late for Close to see it
		l.drop()
	default:
	}
}

// Close has Accept fail, and ends what was not accepted.
func (l *line) Close() error {
	l.end.Do(func() { close(l.closed) })
	l.drop()
	return nil
}

func (l *line) drop() {
	for {
		select {
		case w := <-l.waiting:
			l.refuse(w)
		default:
			return
		}
	}
}

func (l *line) refuse(w *wire) {
	l.m.mu.Lock()
	w.refused = true
	l.m.moves++
	l.m.mu.Unlock()
	_ = w.Conn.Close() // never fails
}

// Addr is that of the kit's listeners in memory.
func (l *line) Addr() net.Addr { return new(pipe.Listener).Addr() }
