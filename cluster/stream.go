package cluster

import (
	"net"
	"sync"
)

// stream is a connection of gossip: what is written to it goes in sealed frames.
// As with any connection one goroutine may read, and one write.
type stream struct {
	net.Conn
	seal   *direction
	in     *frameReader
	unread []byte
	stop   func() bool // the end of the node need not close it any more; may be nil
	once   sync.Once
	closed chan struct{}
}

func newStream(conn net.Conn, keys session) *stream {
	return &stream{Conn: conn, seal: keys.out, in: newFrameReader(conn, keys.in, frameTarget), closed: make(chan struct{})}
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (n int, err error) {
	if len(s.unread) == 0 {
		if s.unread, err = s.in.next(); err != nil {
			return 0, err
		}
	}
	n = copy(b, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

// Write implements net.Conn.
func (s *stream) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		part := b[:min(len(b), frameTarget)]
		frame, err := sealFrame(s.seal, append(newFrame(len(part)), part...))
		if err == nil {
			_, err = s.Conn.Write(frame)
		}
		if err != nil {
			return n, err
		}
		recycle(frame)
		n += len(part)
		b = b[len(part):]
	}
	return n, nil
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.once.Do(func() {
		if s.stop != nil {
			s.stop()
		}
		close(s.closed)
	})
	return s.Conn.Close()
}
