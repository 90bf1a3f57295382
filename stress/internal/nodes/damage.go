package nodes

import (
	"bytes"
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"tensile/stress/internal/payload"
)

// damager dials for a node, and damages or cuts what it sends when told to.
type damager struct {
	proxies map[string]string // addresses that lead to others

	mu    sync.Mutex
	conns map[string][]*damaged // by address
	muted map[string]bool       // addresses to which no datagram may go
	cut   cut
	hello []byte // what was said first on the last connection
}

// damaged is a connection that damages a write when that is asked for, and over which
// nothing passes while its way is cut.
type damaged struct {
	net.Conn
	damager *damager
	addr    string
	armed   atomic.Bool
	said    atomic.Int64 // bytes
	way
}

// mostHello is how much of the beginning of a connection is kept.
const mostHello = 512

func (d *damager) dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := d.reach(ctx, addr); err != nil {
		return nil, err
	}
	conn, err := Dialer.DialContext(ctx, "tcp", cmp.Or(d.proxies[addr], addr))
	if err != nil {
		return nil, err
	}
	c := &damaged{Conn: conn, damager: d, addr: addr}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		d.conns = make(map[string][]*damaged)
	}
	d.conns[addr] = append(d.conns[addr], c)
	return c, nil
}

// remove takes a connection off the list. The lock is held.
func (d *damager) remove(c *damaged) {
	d.conns[c.addr] = slices.DeleteFunc(d.conns[c.addr], func(o *damaged) bool { return o == c })
}

// Write damages one byte in the middle, of a write that carries a request.
func (c *damaged) Write(b []byte) (int, error) {
	if len(b) >= payload.SmallRequest && c.armed.CompareAndSwap(true, false) {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 0x40
	}
	if before := c.said.Add(int64(len(b))) - int64(len(b)); before < mostHello {
		c.damager.listen(before == 0, b)
	}
	return c.write(b)
}

// listen keeps what a connection begins with.
func (d *damager) listen(first bool, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if first {
		d.hello = nil
	}
	d.hello = append(d.hello, b[:min(len(b), mostHello-min(len(d.hello), mostHello))]...)
}

// Hello is what a node says first to another.
type Hello struct{ Bytes []byte }

// hello answers what this node has said first on the last connection that it made.
func (c *child) hello(Order) (any, error) {
	c.damage.mu.Lock()
	defer c.damage.mu.Unlock()
	return Hello{bytes.Clone(c.damage.hello)}, nil
}

// damageNext has the next write on each connection to an address damaged, and answers
// how many there are.
func (c *child) damageNext(o Order) (any, error) {
	c.damage.mu.Lock()
	defer c.damage.mu.Unlock()
	conns := c.damage.conns[o.To[0]]
	for _, conn := range conns {
		conn.armed.Store(true)
	}
	return len(conns), nil
}

// Dialer makes connections without keep-alives, which take longer than the rest.
var Dialer = net.Dialer{KeepAlive: -1}
