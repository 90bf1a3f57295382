package conntest

import (
	"context"
	"net"
	"slices"
	"testing"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/pipe"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Server is the subject of the memory scenario: a server that holds connections with
// their state. Requests of FrameSize bytes arrive on each connection. The State of the
// connection turns each into its reply, which the server writes back, in order. Whatever
// its peers do:
//
//   - It answers a request that has arrived as a whole. Requests may arrive in pieces,
//     or several at once, and a part of the next one may follow.
//   - A peer that does not read, or stops in the middle of a request, delays no other
//     connection, nor Close.
//   - When a peer hangs up or resets the connection, at whatever byte, the server closes
//     its own end and keeps nothing of it.
//   - When a peer over TCP closes its half, the server answers what had arrived as a
//     whole, and then closes its own half.
//   - It keeps a connection on which nothing happens for at least 10 s.
//   - What it holds at most is judged, without what the kit does in its process: see
//     docs/criteria.md, "Memory of the subject".
type Server interface {
	// Serve accepts connections and answers requests until Close. Its result is
	// then ignored. When Accept fails Serve may return or try again; open connections
	// continue.
	Serve(net.Listener) error
	// Close ends Serve and every connection, and returns once everything that they
	// took is released.
	Close() error
}

// Config describes the server that the kit needs. If the subject has no such server,
// open returns nil, and the report says "not offered".
type Config struct {
	// Network says what Serve gets: "tcp" for a *net.TCPListener, or "memory" for
	// a listener whose connections are EventConns.
	Network string
	// Idle asks for a server that keeps no goroutine for an idle connection.
	// Without it, the server may.
	Idle bool
}

// EventConn is an in-memory connection. Both ends are in one process, so that the
// server's cost of a connection can be measured without the kernel's part.
type EventConn interface {
	net.Conn
	// OnReadable registers ready, which is called whenever bytes or the end of the
	// stream arrive, and at once if they have already. It is called on the goroutine
	// that delivers them, so it must not block. It may be called again before it
	// returns.
	OnReadable(ready func())
	// Readable returns the number of bytes that can be read without waiting, and
	// whether the other end is closed, so that no more will follow.
	Readable() (n int, ended bool)
}

var _ EventConn = (*pipe.Conn)(nil)

// FrameSize is the length of a request and of its reply, in bytes.
const FrameSize = exchange.Size

// State is the state of one connection, 80 bytes. Every reply depends on all of it, so
// a state that is lost, stale or another connection's gives a wrong reply. The zero
// value is the state of a new connection. It is not safe for concurrent use.
type State struct{ state exchange.State }

// Answer turns the request in frame into its reply.
func (s *State) Answer(frame *[FrameSize]byte) { s.state.Answer((*exchange.Frame)(frame)) }

// TestServer tests the servers that open returns in the memory scenario. It holds N
// connections of each kind that is offered: in memory with a goroutine each, in memory
// with none while idle, and over TCP between processes. Each kind has processes of its
// own, in which open is called again, so that only the server is measured there.
func TestServer(t *testing.T, open func(testing.TB, Config) Server) {
	site := siteOfConnections(t, open)
	if site.Child() {
		return
	}
	parts := explorations(open)
	if programs.Alone(t, parts, func(t *testing.T) []string { return lookAt(t, open, parts).packages }) {
		return
	}
	k := &kit{Scenario: scenario.Begin(t, validate.Memory), open: open, site: site}
	defer k.stop()
	explored := k.prepare(lookAt(t, open, parts))
	mayHave := func() bool { return len(k.kinds) == 0 || k.offers(networkTCP) }
	k.Take(
		explored.Whenever(), // first: the others would count its build as left behind
		phase{Name: "answers", Body: k.answers, Shows: replied + " fragments growth close"},
		phase{Name: "tcp", Body: k.on(k.answered, k.tcp), Shows: "explored close", Bound: connectBound, Ready: mayHave},
		phase{Name: "start", Body: k.on(k.answered, k.startAll), Shows: "survival", Sound: true, Bound: connectBound},
		phase{Name: "lives", Body: k.on(k.started, k.lives), Sound: true, Bound: connectBound,
			Shows: replied + " slope growth close"},
		phase{Name: "connect", Body: k.on(k.started, k.connect), Sound: true, Bound: connectBound,
			Shows: replied + " idle per_connection goroutine_reach idle_reach"},
		phase{Name: "hold", Body: k.on(k.connected, k.hold), Sound: true, Bound: holdBound(k.Settings().Hold),
			Shows: replied + " connections idle_connections tcp_connections slope growth"},
		phase{Name: "churn", Body: k.on(k.connected, k.churn), Sound: true, Bound: connectBound,
			Shows: replied + " slope growth"},
		phase{Name: "release", Body: k.on(k.connected, k.release), Sound: true, Bound: connectBound,
			Shows: replied + " close heap_returned peak tcp_peak"},
	)
	k.stop()
	k.peaks()
	k.conclude()
	if !k.Aborted {
		k.Audit(k.left)
	}
}

type phase = scenario.Phase

// replied are the criteria of every phase in which replies are accounted for.
const replied = "lost duplicated misrouted corrupted stale survival"

// on is the body of a phase for which something must be there.
func (k *kit) on(there, body func(context.Context, *testing.T)) func(context.Context, *testing.T) {
	return func(ctx context.Context, t *testing.T) {
		if there(ctx, t); !k.Failed() {
			body(ctx, t)
		}
	}
}

// answered asks which kinds are offered, unless that is known.
func (k *kit) answered(ctx context.Context, t *testing.T) {
	if len(k.kinds) == 0 && !k.Failed() {
		k.answers(ctx, t)
	}
}

// started starts the processes, unless they are there.
func (k *kit) started(ctx context.Context, t *testing.T) {
	if len(k.hosts((*kind).all)) == 0 {
		k.on(k.answered, k.startAll)(ctx, t)
	}
}

// connected opens the connections that are held, unless they are there.
func (k *kit) connected(ctx context.Context, t *testing.T) {
	if !k.held {
		k.on(k.started, k.connect)(ctx, t)
	}
}

// kit is the scenario with the processes that hold connections.
type kit struct {
	*scenario.Scenario
	open    func(testing.TB, Config) Server
	site    *proc.Site
	kinds   []*kind // those that are offered
	account exchange.Account
	held    bool // connections of all kinds have been opened
	left    int  // goroutines and descriptors that processes left behind
}

// kind is a kind of connections: what is asked for, where it is held, and what
// came of it.
type kind struct {
	Config
	id   string
	name string // for people
	// The criteria of this kind.
	count, reach string
	n, pairs     int     // connections to hold; over TCP, in how many pairs of processes
	goroutines   float64 // of a connection, as counted with few
	faults       int     // that callers have found so far
	hosts        []*host
	result       report.Connections
}

// allKinds are all that can be offered, in the order in which they are asked for.
// Of the last two only the first that is offered is held.
func allKinds() []*kind {
	return []*kind{
		{Config: Config{Network: networkMemory}, id: "goroutine_each", name: "in memory, a goroutine each",
			count: "connections", reach: "goroutine_reach"},
		{Config: Config{Network: networkMemory, Idle: true}, id: "idle", name: "in memory, none while idle",
			count: "idle_connections", reach: "idle_reach"},
		{Config: Config{Network: networkTCP}, id: "tcp", name: "TCP, a goroutine each", count: "tcp_connections"},
		{Config: Config{Network: networkTCP, Idle: true}, id: "tcp_idle", name: "TCP, none while idle",
			count: "tcp_connections"},
	}
}

const (
	networkMemory = "memory"
	networkTCP    = "tcp"
)

// book adds what callers in this process say, and names what is wrong.
func (k *kit) book(where string, a exchange.Account) {
	k.account = k.account.Add(a)
	for _, e := range a.Examples {
		k.Fail("memory, %s: %s", where, e)
	}
}

// conclude measures the criteria that all phases add to.
func (k *kit) conclude() {
	a := k.account
	if a.Sent == 0 {
		return
	}
	for id, n := range map[string]int{"lost": a.Lost, "duplicated": a.Duplicated, "misrouted": a.Misrouted,
		"corrupted": a.Corrupted, "stale": a.Stale} {
		k.Measured(id, float64(n))
	}
	k.Measured("survival", 100*(1-float64(a.Broken)/float64(a.Connected)))
	offered := make(map[string]bool)
	for _, d := range k.kinds {
		offered[d.count], offered[d.reach] = true, true
	}
	for _, d := range allKinds() {
		for _, criterion := range []string{d.count, d.reach} {
			if criterion != "" && !offered[criterion] {
				k.NotOffered(criterion, "open returned no server for connections "+d.name)
			}
		}
	}
	k.Record(func(r *report.Scenario) {
		r.Operations += a.Sent
		r.Ledger = &measure.Account{Sent: a.Sent, Delivered: a.Answered, Lost: a.Lost, Duplicated: a.Duplicated,
			Misrouted: a.Misrouted, Corrupted: a.Corrupted + a.Stale, Examples: a.Examples}
		for _, d := range k.kinds {
			if d.result.N > 0 {
				r.Connections = append(r.Connections, d.result)
			}
		}
		r.Charts = append(r.Charts, report.HoldChart(r.Connections)...)
	})
}

// stop ends all hosts, and adds up what their callers found.
func (k *kit) stop() {
	each(k.hosts((*kind).all), func(h *host) {
		if err := h.process.Close(); err != nil && !h.lost {
			k.Fail("memory, %s: %v", h.name, err)
		}
	})
	for _, d := range k.kinds {
		k.account = k.account.Add(d.held())
		d.hosts = nil
	}
}

// peaks judges the server that held most of those in memory, and of those over TCP.
func (k *kit) peaks() {
	largest := make(map[string]*kind)
	for _, d := range k.kinds {
		if most := largest[d.peak()]; d.result.Held != nil && (most == nil || d.result.Held.Peak > most.result.Held.Peak) {
			largest[d.peak()] = d
		}
	}
	for criterion, d := range largest {
		k.JudgeMemory(criterion, *d.result.Held, d.name+": ")
	}
}

// offers tells whether there is a server for a network.
func (k *kit) offers(network string) bool {
	return slices.ContainsFunc(k.kinds, func(d *kind) bool { return d.Network == network })
}

// hosts are those of all kinds that pick picks.
func (k *kit) hosts(pick func(*kind) []*host) (hosts []*host) {
	for _, d := range k.kinds {
		hosts = append(hosts, pick(d)...)
	}
	return hosts
}
