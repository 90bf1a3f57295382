package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy is a link. It listens on the loopback interface and forwards connections to its
// target, under a Condition for each direction. It buffers up to a megabyte for each
// direction of a connection, and then holds up the sender. It is safe for concurrent use.
//
// If the target refuses a connection, the dialler has one already and sees it reset.
type Proxy struct {
	listener    net.Listener
	seed        uint64
	target      atomic.Pointer[string]
	forth, back direction
	ctx         context.Context
	cancel      context.CancelFunc
	running     sync.WaitGroup

	mu    sync.Mutex
	next  uint64
	pairs map[*pair]bool
}

const (
	pieceSize   = 16 << 10
	pieces      = 64 // buffered for each direction of a connection
	dialTimeout = 5 * time.Second
)

// NewProxy listens on a free port. Faults are drawn from the seed and the
// number of the connection.
func NewProxy(target string, seed uint64) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("chaos: proxy to %s: %w", target, err)
	}
	p := &Proxy{listener: listener, seed: seed, pairs: make(map[*pair]bool)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.target.Store(&target)
	p.forth.change(func() {})
	p.back.change(func() {})
	p.running.Go(p.accept)
	return p, nil
}

// Addr returns the address at which the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget sets the target of later connections.
func (p *Proxy) SetTarget(target string) { p.target.Store(&target) }

// Impose adds a condition to the traffic to the target, and one to the traffic back, on top
// of those imposed already. lift removes both, and may be called more than once. The error
// wraps ErrPlan.
func (p *Proxy) Impose(forth, back Condition) (lift func(), err error) {
	if err := errors.Join(forth.Validate(), back.Validate()); err != nil {
		return nil, err
	}
	liftForth, liftBack := p.forth.impose(forth), p.back.impose(back)
	return func() {
		liftForth()
		liftBack()
	}, nil
}

// Reset breaks all connections with a reset, and returns how many there were.
func (p *Proxy) Reset() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.reset()
	}
	return len(p.pairs)
}

// Close breaks all connections, stops listening, and returns when nothing is
// left of the proxy.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	p.Reset()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		switch {
		case err == nil:
			p.mu.Lock()
			if p.ctx.Err() == nil {
				p.next++
				pair := newPair(p, conn.(*net.TCPConn), p.next)
				p.pairs[pair] = true
				p.running.Go(pair.run)
			} else {
				_ = conn.Close() // it came too late
			}
			p.mu.Unlock()
		case p.ctx.Err() != nil || !sleep(p.ctx, time.Millisecond):
			return
		}
		// Out of descriptors for a moment: whoever dials waits.
	}
}

// pair is a connection to the proxy, and the one from there to the target.
type pair struct {
	proxy  *Proxy
	number uint64
	ctx    context.Context
	cancel context.CancelFunc

	mu             sync.Mutex
	client, server *net.TCPConn // server is nil until dialled
}

func newPair(p *Proxy, client *net.TCPConn, number uint64) *pair {
	c := &pair{proxy: p, number: number, client: client}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	return c
}

// reset ends both sides at once.
func (c *pair) reset() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	abort(c.client)
	if c.server != nil {
		abort(c.server)
	}
}

// abort closes with a reset instead of an orderly end.
func abort(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // fails only where it is closed already
	_ = conn.Close()
}

func (c *pair) run() {
	p := c.proxy
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
		c.cancel()
	}()
	// The handshake of a connection needs both directions.
	if !p.forth.passable(c.ctx) || !p.back.passable(c.ctx) {
		c.reset()
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, dialTimeout)
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", *p.target.Load())
	cancel()
	if err != nil {
		c.reset()
		return
	}
	c.mu.Lock()
	c.server = conn.(*net.TCPConn)
	c.mu.Unlock()
	if c.ctx.Err() != nil {
		c.reset() // it came too late for a reset
		return
	}
	var both sync.WaitGroup
	both.Go(func() { c.pump(c.server, c.client, &p.forth, 0) })
	both.Go(func() { c.pump(c.client, c.server, &p.back, 1) })
	both.Wait()
	// Not a reset: what was written last may still be on its way.
	_ = c.client.Close()
	_ = c.server.Close()
}

// piece is what was read at once, and when it may arrive.
type piece struct {
	data []byte
	due  time.Time
}

// pump carries one direction of a connection, and ends its destination when
// its source has ended, in the same way.
func (c *pair) pump(to, from *net.TCPConn, d *direction, stream uint64) {
	queue := make(chan piece, pieces)
	var broken error
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(queue)
		broken = c.read(from, d, stream, queue)
	})
	for p := range queue {
		if !sleep(c.ctx, time.Until(p.due)) || c.write(to, d, p.data) != nil {
			break
		}
	}
	for range queue {
		// The destination is gone. Its own end says so to the source, in the
		// other direction.
	}
	reading.Wait()
	if !d.passable(c.ctx) {
		return
	}
	if broken != nil {
		abort(to)
	} else {
		_ = to.CloseWrite() // fails only where the destination is gone
	}
}

// read takes pieces from the source and does to them what the condition says.
// It returns nil at the end of the stream.
func (c *pair) read(from *net.TCPConn, d *direction, stream uint64, queue chan<- piece) error {
	random := rand.New(rand.NewPCG(c.proxy.seed, c.number<<1|stream))
	last := time.Time{}
	buf := make([]byte, pieceSize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			now := d.now.Load()
			p := piece{append([]byte(nil), buf[:n]...), time.Now().Add(now.late(random))}
			if p.due.Before(last) {
				p.due = last
			}
			last = p.due
			if random.Float64() < now.Corrupt {
				p.data[random.IntN(n)] ^= 1 << random.IntN(8)
			}
			copies := 1
			if random.Float64() < now.Drop {
				copies = 0
			} else if random.Float64() < now.Duplicate {
				copies = 2
			}
			for range copies {
				select {
				case queue <- p:
				case <-c.ctx.Done():
					return c.ctx.Err()
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// write hands bytes to the destination as fast as the condition allows.
func (c *pair) write(to *net.TCPConn, d *direction, data []byte) error {
	for len(data) > 0 {
		if !d.passable(c.ctx) {
			return c.ctx.Err()
		}
		part := data
		if limit := d.now.Load().Bandwidth; limit > 0 {
			// In steps of about 20 ms, so that a change is noticed.
			part = data[:min(len(data), max(limit/50, 1))]
			if !sleep(c.ctx, time.Duration(len(part))*time.Second/time.Duration(limit)) {
				return c.ctx.Err()
			}
		}
		if _, err := to.Write(part); err != nil {
			return err
		}
		data = data[len(part):]
	}
	return nil
}
