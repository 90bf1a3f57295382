// Package rpc carries many small requests at once between the harness and a child
// process, over one connection. Requests that are made while the connection is busy are
// written together. Links of package proc are for commands; this is for load.
//
// A frame is a length, an id and a body, all little endian: uint32, uint64,
// bytes. A reply has the id of its request.
package rpc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
)

// ErrLost says that the connection is gone. A request that was on its way may
// have been carried out, or not.
var ErrLost = errors.New("connection to the child is lost")

// MaxBody bounds a body, in bytes.
const MaxBody = 1 << 20

const header = 4 + 8

// writer gathers frames and writes them on a goroutine of its own.
type writer struct {
	conn net.Conn
	mu   sync.Mutex
	buf  []byte
	wake chan struct{}
	done chan struct{}
}

func newWriter(conn net.Conn) *writer {
	w := &writer{conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) put(id uint64, body []byte) {
	w.mu.Lock()
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(body)))
	w.buf = binary.LittleEndian.AppendUint64(w.buf, id)
	w.buf = append(w.buf, body...)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) run() {
	defer close(w.done)
	var out []byte
	for range w.wake {
		// Whoever is about to put something does so first: a call of the kernel
		// costs as much as ten small requests.
		runtime.Gosched()
		w.mu.Lock()
		out, w.buf = w.buf, out[:0]
		w.mu.Unlock()
		if _, err := w.conn.Write(out); err != nil {
			_ = w.conn.Close() // the reader sees it
		}
	}
}

// end lets the goroutine go. Nothing is put any more.
func (w *writer) end() {
	close(w.wake)
	<-w.done
}

// read hands each frame to take until the connection ends. The body is valid
// until take returns.
func read(conn net.Conn, take func(id uint64, body []byte)) error {
	in := bufio.NewReaderSize(conn, 64<<10)
	var head [header]byte
	var body []byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n > MaxBody {
			return fmt.Errorf("a frame of %d bytes, must be up to %d", n, MaxBody)
		}
		if cap(body) < int(n) {
			body = make([]byte, n)
		}
		body = body[:n]
		if _, err := io.ReadFull(in, body); err != nil {
			return err
		}
		take(binary.LittleEndian.Uint64(head[4:]), body)
	}
}

// Serve answers the requests of every connection until the listener is closed.
// handle is called with each on the goroutine that reads the connection, and
// answers, once, by reply, which may be called later and from anywhere. The
// body is valid until handle returns.
func Serve(l net.Listener, handle func(body []byte, reply func([]byte))) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			w := newWriter(conn)
			// Replies may come after the end of the connection: then nobody
			// reads them, and the writer stays with the process.
			_ = read(conn, func(id uint64, body []byte) {
				handle(body, func(reply []byte) { w.put(id, reply) })
			})
			_ = conn.Close() // the harness has gone
		}()
	}
}

// Client is the harness's end of a connection. Its methods are safe for
// concurrent use.
type Client struct {
	conn net.Conn
	out  *writer
	lost chan struct{} // closed when the connection has ended

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan []byte // nil once the connection has ended
}

// Dial connects to where Serve listens.
func Dial(ctx context.Context, addr string) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, out: newWriter(conn), lost: make(chan struct{}), waiting: make(map[uint64]chan []byte)}
	go c.read()
	return c, nil
}

func (c *Client) read() {
	_ = read(c.conn, func(id uint64, body []byte) { // whatever ended it, it is lost
		c.mu.Lock()
		answered := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if answered != nil {
			answered <- append([]byte(nil), body...)
		}
	})
	_ = c.conn.Close()
	c.mu.Lock()
	waiting := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, answered := range waiting {
		close(answered)
	}
	c.out.end()
	close(c.lost)
}

// Call sends a request and waits for its reply. Where it returns the error of
// ctx, or ErrLost, the request may have been carried out.
func (c *Client) Call(ctx context.Context, body []byte) ([]byte, error) {
	answered := make(chan []byte, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return nil, ErrLost
	}
	c.last++
	id := c.last
	c.waiting[id] = answered
	c.out.put(id, body)
	c.mu.Unlock()
	select {
	case reply, ok := <-answered:
		if !ok {
			return nil, ErrLost
		}
		return reply, nil
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
		return nil, ctx.Err()
	}
}

// Lost is closed when the connection has ended.
func (c *Client) Lost() <-chan struct{} { return c.lost }

// Close ends the connection, and all calls with ErrLost.
func (c *Client) Close() {
	_ = c.conn.Close() // it may be lost already
	<-c.lost
}
