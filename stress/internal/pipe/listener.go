package pipe

import (
	"net"
	"sync"
)

// Listener accepts the connections that Dial makes. Its methods are safe for
// concurrent use.
type Listener struct {
	waiting chan *Conn
	end     sync.Once
	closed  chan struct{}
}

// Listen returns a listener with room for as many connections not yet accepted
// as a TCP socket has.
func Listen() *Listener {
	return &Listener{waiting: make(chan *Conn, 4096), closed: make(chan struct{})}
}

// Dial makes a connection and hands its other end to Accept. It waits while
// too many are not accepted yet, and returns net.ErrClosed after Close.
func (l *Listener) Dial() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	a, b := New()
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case l.waiting <- b:
	}
	select {
	case <-l.closed: // perhaps too late for Close to see it
		l.drop()
	default:
	}
	return a, nil
}

// Accept waits for a connection, which is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case c := <-l.waiting:
		return c, nil
	}
}

// Close makes Accept and Dial return net.ErrClosed, and closes what was not
// accepted.
func (l *Listener) Close() error {
	l.end.Do(func() { close(l.closed) })
	l.drop()
	return nil
}

func (l *Listener) drop() {
	for {
		select {
		case c := <-l.waiting:
			_ = c.Close() // never fails
		default:
			return
		}
	}
}

// Addr is the same for all listeners.
func (l *Listener) Addr() net.Addr { return address{} }
