package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// A connection begins with a word that tells what it is for.
const (
	preambleCalls  = "tns1c"
	preambleGossip = "tns1g"
)

const (
	// handshakeTimeout bounds everything until the other side has proved itself.
	handshakeTimeout = 2 * time.Second
	// maxStrays is how many connections may be open on which nobody has proved
	// anything yet. When there are more the oldest goes: so those who hold
	// connections open without a word cannot keep out the others.
	maxStrays = 64
)

// open dials a member and says what the connection is for.
func (n *Node) open(ctx context.Context, to Member, preamble string) (net.Conn, error) {
	conn, err := n.cfg.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // what comes next fails if this did
	}
	if _, err := conn.Write([]byte(preamble)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// dial connects to a member. The link is nil unless the verdict is welcome.
func (n *Node) dial(ctx context.Context, to Member, target identity) (*link, verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	fail := func(err error) (*link, verdict, error) {
		return nil, verdict{}, fmt.Errorf("%w: %s %s: %w", ErrUnreachable, to.Name, to.Addr, err)
	}
	conn, err := n.open(ctx, to, preambleCalls)
	if err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	secure, binding, err := n.secure(ctx, conn, false)
	var v verdict
	if err == nil {
		v, err = greet(secure, n.keys, binding, proof{self: n.identity(), target: target})
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil || v.code != welcome {
		_ = conn.Close()
		if errors.Is(err, ErrUnauthenticated) {
			return nil, v, fmt.Errorf("%s: %w", to.Addr, err)
		}
		if err != nil {
			return fail(err)
		}
		return nil, v, nil
	}
	_ = conn.SetDeadline(time.Time{})
	return newLink(n, secure, v.self.name, true), v, nil
}

// secure starts TLS where that is asked for, and returns what identifies the
// session.
func (n *Node) secure(ctx context.Context, conn net.Conn, accepts bool) (net.Conn, []byte, error) {
	if n.tls == nil {
		return conn, nil, nil
	}
	session := tls.Client(conn, n.tls)
	if accepts {
		session = tls.Server(conn, n.tls)
	}
	if err := session.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	state := session.ConnectionState()
	binding, err := state.ExportKeyingMaterial("EXPORTER-tensile-cluster", nil, 32)
	return session, binding, err
}

// newTLS makes a certificate that nobody vouches for: the handshake inside,
// which is bound to the session, tells who the other side is.
func newTLS() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
		InsecureSkipVerify:     true, // see above
		SessionTicketsDisabled: true,
	}, nil
}

// strays are the connections on which nobody has proved anything yet. The
// node's lock guards them.
type strays struct {
	open   []net.Conn // oldest first
	closed bool
}

// add takes a connection in, and returns one that has to go for it, if any.
func (s *strays) add(c net.Conn) (evicted net.Conn) {
	if s.closed {
		return c
	}
	s.open = append(s.open, c)
	if len(s.open) > maxStrays {
		evicted, s.open = s.open[0], s.open[1:]
	}
	return evicted
}

func (s *strays) remove(c net.Conn) {
	for i, o := range s.open {
		if o == c {
			s.open = append(s.open[:i], s.open[i+1:]...)
			return
		}
	}
}

func (s *strays) closeAll() {
	s.closed = true
	for _, c := range s.open {
		_ = c.Close() // nobody has spoken on it
	}
	s.open = nil
}

// accept takes connections until the listener is closed.
func (n *Node) accept() {
	for {
		conn, err := n.listener.Accept()
		if n.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			// Out of descriptors, most likely. The dialler tries again.
			n.cfg.Log.Error("accept", "error", err)
			select {
			case <-time.After(tick):
			case <-n.ctx.Done():
			}
			continue
		}
		n.mu.Lock()
		evicted := n.strays.add(conn)
		n.mu.Unlock()
		if evicted != nil {
			_ = evicted.Close()
		}
		n.wg.Go(func() { n.welcome(conn) })
	}
}

// welcome finds out what a connection is for, and from whom.
func (n *Node) welcome(conn net.Conn) {
	release := func() {
		n.mu.Lock()
		n.strays.remove(conn)
		n.mu.Unlock()
	}
	fail := func(err error) {
		release()
		_ = conn.Close()
		n.cfg.Log.Warn("refused a connection", "from", conn.RemoteAddr(), "error", err)
	}
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout)) // reading fails if this does
	var preamble [len(preambleCalls)]byte
	if _, err := io.ReadFull(conn, preamble[:]); err != nil {
		fail(err)
		return
	}
	switch string(preamble[:]) {
	case preambleGossip:
		// Gossip sets a deadline of its own, and closes after one exchange.
		n.gossip.take(&strayConn{Conn: conn, release: release})
		return
	case preambleCalls:
	default:
		fail(fmt.Errorf("%w: preamble %q", errHandshake, preamble))
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, handshakeTimeout)
	defer cancel()
	secure, binding, err := n.secure(ctx, conn, true)
	if err != nil {
		fail(err)
		return
	}
	p, v, err := receive(secure, n.keys, binding, n.judge)
	if err == nil && v.code != welcome {
		err = fmt.Errorf("%q has verdict %d", p.self.name, v.code)
	}
	if err != nil {
		fail(err)
		return
	}
	// Of two dials at the same time, of a seed that is a peer by then, the dialler
	// keeps one. Which, its first word tells.
	l := newLink(n, secure, p.self.name, false)
	if err := l.in.await(); err != nil {
		release()
		_ = conn.Close()
		return
	}
	_ = conn.SetDeadline(time.Time{})
	release()
	if !n.accepted(p.self, l) {
		_ = conn.Close()
	}
}

// strayConn gives its place among the strays up when it is closed.
type strayConn struct {
	net.Conn
	release func()
}

func (c *strayConn) Close() error {
	c.release()
	return c.Conn.Close()
}
