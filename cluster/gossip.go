package cluster

import (
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// gossip carries memberlist's packets and streams over the sockets of the node,
// and takes its news.
type gossip struct {
	node    *Node
	socket  *net.UDPConn
	packets chan *memberlist.Packet
	streams chan net.Conn
}

var (
	_ memberlist.NodeAwareTransport = (*gossip)(nil)
	_ memberlist.EventDelegate      = (*gossip)(nil)
)

func newGossip(n *Node, socket *net.UDPConn) *gossip {
	return &gossip{node: n, socket: socket, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn)}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (g *gossip) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	addr, err := netip.ParseAddrPort(g.node.addr)
	if err != nil {
		return nil, 0, err
	}
	return addr.Addr().AsSlice(), int(addr.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if g.node.ctx.Err() != nil {
		return time.Time{}, ErrClosed // not a failure of the other side
	}
	if allow := g.node.cfg.Datagram; allow != nil && !allow(memberAt(a)) {
		return time.Now(), nil // as the network would lose it
	}
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = g.socket.WriteToUDPAddrPort(b, to)
	return time.Now(), err
}

func memberAt(a memberlist.Address) Member {
	name, incarnation, _ := parseGossipName(a.Name)
	return Member{Name: name, Addr: a.Addr, Incarnation: incarnation}
}

// PacketCh implements memberlist.Transport.
func (g *gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }

// DialTimeout implements memberlist.Transport.
func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (g *gossip) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return g.node.dialGossip(memberAt(a), timeout)
}

// StreamCh implements memberlist.Transport.
func (g *gossip) StreamCh() <-chan net.Conn { return g.streams }

// Shutdown implements memberlist.Transport: nothing more is delivered after it.
func (g *gossip) Shutdown() error {
	g.close()
	return nil
}

func (g *gossip) close() { _ = g.socket.Close() } // a second time does nothing

// read delivers packets until the socket is closed.
func (g *gossip) read() {
	buf := make([]byte, 64<<10) // no packet is larger
	for {
		size, from, err := g.socket.ReadFromUDPAddrPort(buf)
		if g.node.ctx.Err() != nil {
			return
		}
		if err != nil || size == 0 {
			continue // a report that an earlier packet did not arrive
		}
		packet := &memberlist.Packet{
			Buf: append([]byte(nil), buf[:size]...), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now(),
		}
		select {
		case g.packets <- packet:
		case <-g.node.ctx.Done():
			return
		}
	}
}

// serve hands a stream over, and returns once it is closed. Nobody takes it before
// this node has joined.
func (g *gossip) serve(s *stream) {
	late := time.NewTimer(handshakeTimeout)
	defer late.Stop()
	select {
	case g.streams <- s: // closes it after one exchange, which has a deadline
		<-s.closed
	case <-late.C:
		_ = s.Close()
	case <-g.node.ctx.Done():
		_ = s.Close()
	}
}

// NotifyJoin implements memberlist.EventDelegate.
func (g *gossip) NotifyJoin(m *memberlist.Node) {
	name, incarnation, ok := parseGossipName(m.Name)
	if ok {
		g.node.heardOf(identity{name, incarnation, m.Address()})
	}
}

// NotifyLeave implements memberlist.EventDelegate. It is no evidence: a node
// that is gone is not connected, and one that is connected is not gone.
func (g *gossip) NotifyLeave(*memberlist.Node) {}

// NotifyUpdate implements memberlist.EventDelegate.
func (g *gossip) NotifyUpdate(*memberlist.Node) {}
