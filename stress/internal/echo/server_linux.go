package echo

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// loops is a server of a few threads, each of which waits for what comes on its
// connections and answers it. A goroutine for each connection asks the kernel
// three times for each frame, and is woken by another thread: then the server
// takes more of the processors than the pools do that are to be measured.
type loops struct {
	addr string
	all  []*loop
	mu   sync.Mutex
	next int
}

// loop is one of the threads.
type loop struct {
	epoll  int
	mu     sync.Mutex
	open   map[int32]*conn // by descriptor
	served int64
}

type conn struct {
	id   int
	part []byte // of a frame that has not come whole
}

func listen() (server, error) {
	// Keep-alives would cost as much as the rest of a connection.
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &loops{addr: listener.Addr().String()}
	for range max(1, runtime.NumCPU()/2) { // the rest is for those who ask
		epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return nil, errors.Join(os.NewSyscallError("epoll_create", err), listener.Close())
		}
		s.all = append(s.all, &loop{epoll: epoll, open: make(map[int32]*conn)})
	}
	file, err := listener.(*net.TCPListener).File()
	if err = errors.Join(err, listener.Close()); err != nil { // its descriptor was duplicated
		return nil, err
	}
	go s.accept(file)
	for _, l := range s.all {
		go l.run()
	}
	return s, nil
}

// accept hands the connections that come to the loops.
func (s *loops) accept(listener *os.File) {
	defer runtime.KeepAlive(listener) // or else it is closed when it is collected
	listening := int(listener.Fd())
	_ = syscall.SetNonblock(listening, false) // it does not fail for a descriptor that is open
	for {
		fd, _, err := syscall.Accept4(listening, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			time.Sleep(time.Millisecond) // out of descriptors for a moment: the dialler is told by its time-out
			continue
		}
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) // it is slower without
		s.mu.Lock()
		s.next++
		id := s.next
		s.mu.Unlock()
		s.all[id%len(s.all)].add(fd, id)
	}
}

// add has the loop answer what comes on a connection.
func (l *loop) add(fd, id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[int32(fd)] = &conn{id: id}
	if syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd,
		&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}) != nil {
		l.end(int32(fd))
	}
}

// run is the thread.
func (l *loop) run() {
	runtime.LockOSThread()
	events := make([]syscall.EpollEvent, 256)
	buffer := make([]byte, 64*frameSize)
	for {
		n, err := syscall.EpollWait(l.epoll, events, -1)
		if err != nil {
			continue // a signal
		}
		l.mu.Lock()
		for _, e := range events[:n] {
			if c := l.open[e.Fd]; c != nil && !l.answer(int(e.Fd), c, buffer) {
				l.end(e.Fd)
			}
		}
		l.mu.Unlock()
	}
}

// answer answers what has come on a connection, and tells whether it goes on.
func (l *loop) answer(fd int, c *conn, buffer []byte) bool {
	held := copy(buffer, c.part)
	n, err := syscall.Read(fd, buffer[held:])
	if err != nil {
		return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
	}
	if n == 0 {
		return false
	}
	n += held
	whole := answer(buffer[:n])
	c.part = append(c.part[:0], buffer[whole:n]...)
	if whole == 0 {
		return true
	}
	// One whose replies fill the buffers of the kernel has never read any.
	written, err := syscall.Write(fd, buffer[:whole])
	l.served += int64(written / frameSize)
	return err == nil && written == whole
}

// end closes a connection.
func (l *loop) end(fd int32) {
	delete(l.open, fd)
	_ = syscall.Close(int(fd)) // the other side has gone or is being sent away
}

func (s *loops) count() Stats {
	stats := Stats{Addr: s.addr}
	s.mu.Lock()
	stats.Accepted = s.next
	s.mu.Unlock()
	for _, l := range s.all {
		l.mu.Lock()
		stats.Open += len(l.open)
		stats.Served += l.served
		l.mu.Unlock()
	}
	return stats
}

func (s *loops) connections() (ids []int) {
	for _, l := range s.all {
		l.mu.Lock()
		for _, c := range l.open {
			ids = append(ids, c.id)
		}
		l.mu.Unlock()
	}
	slices.Sort(ids) // a map has no order of its own, and the seed is to decide
	return ids
}

func (s *loops) reset(id int) bool {
	l := s.all[id%len(s.all)]
	l.mu.Lock()
	defer l.mu.Unlock()
	for fd, c := range l.open {
		if c.id == id {
			// A reset, as from a crash; a plain end will do.
			_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
			l.end(fd)
			return true
		}
	}
	return false
}
