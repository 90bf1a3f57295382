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
	// handshakeTimeout bounds everything until the other side has proved itself,
	// and helloTimeout its first word.
	handshakeTimeout = 2 * time.Second
	helloTimeout     = time.Second
)

// greeting is what has come of a handshake.
type greeting struct {
	conn    net.Conn
	keys    session
	verdict verdict
}

// greet dials a node, and lets both prove themselves. The connection stays under
// the deadline of ctx.
func (n *Node) greet(ctx context.Context, to Member, target identity, preamble string) (g greeting, err error) {
	conn, err := n.cfg.Dial(ctx, to)
	if err != nil {
		return g, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // what comes next fails if this did
	}
	h, err := newHello(n.ring[0], preamble)
	if err != nil {
		return g, err
	}
	if err := h.say(conn); err != nil {
		return g, err
	}
	secure, binding, err := n.secure(ctx, conn, false)
	if err != nil {
		return g, err
	}
	g.conn = secure
	g.keys, g.verdict, err = greet(secure, h, binding, proof{self: n.identity(), target: target})
	if err == nil && !stop() {
		err = ctx.Err()
	}
	return g, err
}

// dial connects to a member. The link is nil unless the verdict is welcome.
func (n *Node) dial(ctx context.Context, to Member, target identity) (*link, verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	g, err := n.greet(ctx, to, target, preambleCalls)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return nil, verdict{}, fmt.Errorf("%s: %w", to.Addr, err)
	case err != nil:
		return nil, verdict{}, fmt.Errorf("%w: %s %s: %w", ErrUnreachable, to.Name, to.Addr, err)
	case g.verdict.code != welcome:
		_ = g.conn.Close()
		return nil, g.verdict, nil
	}
	_ = g.conn.SetDeadline(time.Time{})
	return newLink(n, g.conn, g.keys, g.verdict.self.name, true), g.verdict, nil
}

// dialGossip opens a stream of gossip, which ends with the node.
func (n *Node) dialGossip(to Member, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(n.ctx, timeout)
	defer cancel()
	g, err := n.greet(ctx, to, identity{}, preambleGossip)
	if err == nil && g.verdict.code != welcome {
		_ = g.conn.Close()
		err = fmt.Errorf("verdict %d", g.verdict.code)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: gossip with %s %s: %w", ErrUnreachable, to.Name, to.Addr, err)
	}
	s := newStream(g.conn, g.keys)
	s.stop = context.AfterFunc(n.ctx, func() { closeNow(g.conn) })
	return s, nil
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
		n.strangers.enter(conn)
		n.wg.Go(func() { n.welcome(conn) })
	}
}

// welcome finds out what a connection is for, and from whom, and serves it.
func (n *Node) welcome(conn net.Conn) {
	defer context.AfterFunc(n.ctx, func() { _ = conn.Close() })()
	h, err := n.meet(conn)
	if err != nil {
		n.refused(conn, err)
		return
	}
	err = n.admit(conn, h)
	n.greeted.leave(conn)
	if err != nil {
		n.refused(conn, err)
	}
}

// meet hears the hello.
func (n *Node) meet(conn net.Conn) (hello, error) {
	defer n.strangers.leave(conn)
	_ = conn.SetDeadline(time.Now().Add(helloTimeout)) // reading fails if this does
	h, err := hear(conn, n.ring)
	if err == nil {
		n.greeted.enter(conn)
	}
	return h, err
}

// admit has the dialler say who it is, and takes the connection over. A stream of
// gossip is served until it ends.
func (n *Node) admit(conn net.Conn, h hello) error {
	ctx, cancel := context.WithTimeout(n.ctx, handshakeTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	secure, binding, err := n.secure(ctx, conn, true)
	if err != nil {
		return err
	}
	keys, p, v, err := receive(secure, h, binding, func(p proof) verdict {
		n.greeted.leave(conn) // it has the secret: nobody takes its place any more
		if h.preamble == preambleGossip {
			return verdict{code: welcome, self: n.identity()}
		}
		return n.judge(p)
	})
	if err != nil {
		return err
	}
	if v.code != welcome {
		return fmt.Errorf("%q has verdict %d", p.self.name, v.code)
	}
	if h.preamble == preambleGossip {
		n.gossip.serve(newStream(secure, keys))
		return nil
	}
	// Of two dials at the same time, of a seed that is a peer by then, the dialler
	// keeps one. Which, its first word tells.
	l := newLink(n, secure, keys, p.self.name, false)
	if err := l.in.await(); err != nil {
		_ = conn.Close() // it has kept the other
		return nil
	}
	_ = conn.SetDeadline(time.Time{})
	if !n.accepted(p.self, l) {
		_ = conn.Close()
	}
	return nil
}

// refused closes a connection, and tells of it, but not of each.
func (n *Node) refused(conn net.Conn, err error) {
	if errors.Is(err, ErrUnauthenticated) {
		_ = conn.Close() // it was told so
	} else {
		reset(conn)
	}
	if k := n.refusals.add(time.Now()); k > 0 {
		n.cfg.Log.Warn("refused connections", "many", k, "the last from", conn.RemoteAddr(), "error", err)
	}
}
