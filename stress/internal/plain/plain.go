// Package plain has calls by net/rpc, over one connection: what the controls are made of
// of scenarios with several processes. Every Go program can call like that, so no subject
// has an excuse to be far slower, and none is red for being no faster.
package plain

import (
	"context"
	"net"
	"net/rpc"
	"sync"
)

// Request is what is sent to another process.
type Request struct {
	From string
	Body []byte

	done func([]byte, error)
}

// service is what net/rpc calls.
type service struct{ handle func(Request) []byte }

// Do answers a request.
func (s *service) Do(r *Request, reply *[]byte) error {
	*reply = s.handle(*r)
	return nil
}

// Serve answers the requests of every connection until the listener is closed. handle is
// called concurrently.
func Serve(l net.Listener, handle func(Request) []byte) {
	server := rpc.NewServer()
	if err := server.RegisterName("Plain", &service{handle}); err != nil {
		panic(err) // the service is as net/rpc wants it
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go server.ServeConn(conn)
	}
}

// Client makes requests. Its methods are safe for concurrent use.
type Client struct {
	from  string
	calls *rpc.Client
	conn  *watched
	ended chan *rpc.Call
	quit  chan struct{}
}

// Dial connects to where Serve listens. No more than most requests may be in flight.
func Dial(ctx context.Context, from, addr string, most int) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Client{from: from, conn: &watched{Conn: conn, lost: make(chan struct{})},
		ended: make(chan *rpc.Call, most), quit: make(chan struct{})}
	c.calls = rpc.NewClient(c.conn)
	go c.collect()
	return c, nil
}

// Go sends a request. It calls done once, with the reply or with an error: then the
// request may have been carried out. done may call Go, and must not wait.
func (c *Client) Go(body []byte, done func(reply []byte, err error)) {
	c.calls.Go("Plain.Do", &Request{From: c.from, Body: body, done: done}, new([]byte), c.ended)
}

func (c *Client) collect() {
	for {
		select {
		case call := <-c.ended:
			call.Args.(*Request).done(*call.Reply.(*[]byte), call.Error)
		case <-c.quit:
			return
		}
	}
}

// Lost is closed when the connection has ended.
func (c *Client) Lost() <-chan struct{} { return c.conn.lost }

// Close ends the connection. No request may be in flight.
func (c *Client) Close() {
	_ = c.calls.Close() // it may be lost already
	<-c.conn.lost
	close(c.quit)
}

// watched is a connection whose end is seen.
type watched struct {
	net.Conn
	once sync.Once
	lost chan struct{}
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.once.Do(func() { close(w.lost) })
	}
	return n, err
}
