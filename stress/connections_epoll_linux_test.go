package stress_test

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"tensile/stress/conntest"
)

func init() { openIdleTCP = func() conntest.Server { return newPolled() } }

// polled is a server of TCP connections that keeps one goroutine for all of them, which
// waits for the kernel to say which have something to read. Those have one each, until
// they are answered.
type polled struct {
	mu       sync.Mutex
	listener net.Listener
	open     map[int32]*polledConn // by descriptor
	closed   bool
	epoll    int
	wake     [2]int // a pipe, to end the wait
	done     sync.WaitGroup
}

type polledConn struct {
	conn    net.Conn
	raw     syscall.RawConn
	fd      int
	session conntest.State
	begun   []byte // a request of which some is missing
}

func newPolled() *polled { return &polled{open: make(map[int32]*polledConn)} }

func (s *polled) Serve(l net.Listener) error {
	if err := s.begin(l); err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		if err := s.add(conn); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
}

func (s *polled) begin(l net.Listener) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = l
	if s.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if err = syscall.Pipe2(s.wake[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return errors.Join(err, syscall.Close(s.epoll))
	}
	if err = s.watch(syscall.EPOLL_CTL_ADD, s.wake[0]); err != nil {
		return err
	}
	s.done.Go(s.poll)
	return nil
}

// watch has the kernel say once that there is something to read.
func (s *polled) watch(how, fd int) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: int32(fd)}
	return syscall.EpollCtl(s.epoll, how, fd, &event)
}

func (s *polled) add(conn net.Conn) error {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	return errors.Join(raw.Control(func(fd uintptr) {
		s.open[int32(fd)] = &polledConn{conn: conn, raw: raw, fd: int(fd)}
		err = s.watch(syscall.EPOLL_CTL_ADD, int(fd))
	}), err)
}

func (s *polled) poll() {
	events := make([]syscall.EpollEvent, 128)
	for {
		n, err := syscall.EpollWait(s.epoll, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd == int32(s.wake[0]) {
				return
			}
			s.mu.Lock()
			if c := s.open[e.Fd]; c != nil && !s.closed {
				s.done.Go(func() { s.serve(c) })
			}
			s.mu.Unlock()
		}
	}
}

// serve answers what has come in, and has the kernel say when there is more.
func (s *polled) serve(c *polledConn) {
	goes := c.answer()
	s.mu.Lock()
	defer s.mu.Unlock()
	if goes && s.watch(syscall.EPOLL_CTL_MOD, c.fd) == nil {
		return
	}
	delete(s.open, int32(c.fd))
	_ = c.conn.Close() // the other end has gone, or Close did it
}

// answer answers what has come in, a request at most, and says whether the connection
// goes on.
func (c *polledConn) answer() bool {
	var frame [conntest.FrameSize]byte
	have := copy(frame[:], c.begun)
	var n int
	var failed error
	err := c.raw.Read(func(fd uintptr) bool {
		n, failed = syscall.Read(int(fd), frame[have:])
		return true // what is not there yet is waited for by poll
	})
	switch {
	case errors.Is(failed, syscall.EAGAIN):
		return true
	case err != nil || failed != nil || n <= 0:
		return false
	}
	if have += n; have < len(frame) {
		c.begun = append([]byte(nil), frame[:have]...)
		return true
	}
	c.begun = nil
	c.session.Answer(&frame)
	_, err = c.conn.Write(frame[:])
	return err == nil
}

func (s *polled) Close() error {
	s.mu.Lock()
	s.closed = true
	err := s.listener.Close()
	_, written := syscall.Write(s.wake[1], []byte{0})
	for fd, c := range s.open {
		_ = c.conn.Close() // its goroutine, if it has one, ends by it
		delete(s.open, fd)
	}
	s.mu.Unlock()
	s.done.Wait()
	return errors.Join(err, written, syscall.Close(s.epoll), syscall.Close(s.wake[0]), syscall.Close(s.wake[1]))
}
