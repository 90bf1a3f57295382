package cluster

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// mostStrangers is how many connections may be open on which nothing has been
	// proved, and mostGreeted on how many the secret may have been proved in the
	// hello only.
	mostStrangers = 512
	mostGreeted   = 256
)

// lobby are the connections that wait to prove more. Each costs a descriptor, a
// goroutine, and little memory; so they have a bound. When there are more one has
// to go: of the address with most of them, so that nobody is kept out from
// elsewhere, and of those any at random. Were it the oldest, those who open
// connections fast enough would keep out everybody whose first word takes longer
// than a round through all places. So, with r new ones a second, a word that takes t
// gets through with e^(-rt/most), and some attempts are enough whatever r is.
// Safe for concurrent use.
type lobby struct {
	most int

	mu     sync.Mutex
	guests []guest
	from   map[netip.Addr]int // how many are of an address
}

type guest struct {
	conn net.Conn
	from netip.Addr
}

func newLobby(most int) *lobby { return &lobby{most: most, from: make(map[netip.Addr]int)} }

// enter takes a connection in, and closes one where that makes too many.
func (l *lobby) enter(conn net.Conn) {
	l.mu.Lock()
	g := guest{conn, origin(conn.RemoteAddr())}
	l.guests = append(l.guests, g)
	l.from[g.from]++
	var out net.Conn
	if len(l.guests) > l.most {
		out = l.remove(l.victim())
	}
	l.mu.Unlock()
	if out != nil {
		reset(out)
	}
}

// leave gives up the place of a connection, if it still has one.
func (l *lobby) leave(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, g := range l.guests {
		if g.conn == conn {
			l.remove(i)
			return
		}
	}
}

// victim picks one of the address with most.
func (l *lobby) victim() (at int) {
	most, seen := 0, 0
	for _, k := range l.from {
		most = max(most, k)
	}
	for i, g := range l.guests {
		if l.from[g.from] != most {
			continue
		}
		if seen++; rand.IntN(seen) == 0 {
			at = i
		}
	}
	return at
}

func (l *lobby) remove(i int) net.Conn {
	g := l.guests[i]
	if l.from[g.from]--; l.from[g.from] == 0 {
		delete(l.from, g.from)
	}
	last := len(l.guests) - 1
	l.guests[i] = l.guests[last]
	l.guests[last] = guest{}
	l.guests = l.guests[:last]
	return g.conn
}

// origin is the address that a connection counts for. Of IPv6 that is the network,
// of which one host has 2^64 addresses.
func origin(a net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{} // no IP address: all such are one
	}
	addr := at.Addr().Unmap().WithZone("")
	if addr.Is6() {
		net, _ := addr.Prefix(64) // fails for longer ones only
		return net.Addr()
	}
	return addr
}

// reset closes a connection so that the kernel keeps nothing of it.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it is closed anyway
	}
	_ = conn.Close() // nobody has proved anything on it
}

// refusals counts connections that were refused, so that not each need be told:
// strangers would fill the log. Safe for concurrent use.
type refusals struct {
	mu     sync.Mutex
	told   time.Time
	untold int
}

const refusalPause = time.Second

// add counts one. It returns how many there were since some were last told, or 0
// if it is too early to tell again.
func (r *refusals) add(now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untold++
	if now.Sub(r.told) < refusalPause {
		return 0
	}
	n := r.untold
	r.told, r.untold = now, 0
	return n
}
