package conntest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/pipe"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

// A host is a process that has one end of connections, or both: the server of
// the subject, the callers of the kit. hostConfig is what it is told when it
// starts.
type hostConfig struct {
	Config
	Serves, Calls bool
	First         uint64  // number of the first connection
	Pair          int     // over TCP, which pair of processes it is in, from 1
	N             int     // connections
	Goroutines    float64 // that a connection is known to take
	Anew          bool    // each doServe opens a server
	Bound         int64   // of the server's memory, in bytes; 0 if nobody asks
}

// hostRequest is what a host is asked to do. Every reply says how things are
// afterwards; only those to doTouch and doLive repeat what was read before.
type hostRequest struct {
	Do     string
	Server string        // address, for what connects over TCP
	N      int           // requests, for doTouch; connections, for doChurn and doLive
	Over   time.Duration // for doTouch
	Way    int           // for doLive: of lifeWays
	First  int           // for doLive: the number of the first life
}

const (
	doOpen    = "open"    // take the baseline, and have the server serve
	doRead    = "read"    // only the figures
	doConnect = "connect" // open all connections
	doTouch   = "touch"   // send requests
	doLive    = "live"    // have connections come and go, each in some way
	doChurn   = "churn"   // have connections come and go
	doHold    = "hold"    // a hold begins: no connection was touched in it yet
	doCensus  = "census"  // count by place in the program; the second time, say what grew
	doClose   = "close"   // close the server
	doFinish  = "finish"  // expect the end of every connection
	doAudit   = "audit"   // say what is left
	doServe   = "serve"   // open a server, and have it serve
	doCount   = "count"   // only the descriptors
	doShut    = "shut"    // close the server, and say what is left of it
)

type hostReply struct {
	Subject string          // type of the server
	Address string          // where it listens
	Fresh   measure.Holding // before anything
	Base    measure.Holding // to which all must return
	Now     measure.Holding
	Held    measure.Subject // by the server, where there is a bound
	Pauses  measure.Pauses  // since the hold began
	Account exchange.Account
	Growth  measure.Growth // by the second doCensus
	Leaks   measure.Leaks  // by doAudit and doShut
	Fault   string         // of Close, by doShut
}

// hostState is a host from within.
type hostState struct {
	hostConfig
	began    time.Time
	reply    hostReply
	open     func() Server
	subject  Server
	peak     measure.Watch // of what the server holds
	pauses   measure.PauseMeter
	baseline measure.Baseline
	memory   *pipe.Listener // nil over TCP
	server   *served
	callers  *exchange.Callers
	census   *measure.Census
	coarse   func() // ends the fine profile
}

// siteOfConnections is where the test is executed again to be a host.
func siteOfConnections(tb testing.TB, open func(testing.TB, Config) Server) *proc.Site {
	site := proc.At(tb, "connections")
	if site.Child() {
		site.Serve(func(link *proc.Link) error { return hostConnections(tb, open, link) })
	}
	return site
}

// hostConnections is the whole life of a host.
func hostConnections(tb testing.TB, open func(testing.TB, Config) Server, link *proc.Link) error {
	h := &hostState{began: time.Now()}
	if err := link.Config(&h.hostConfig); err != nil {
		return err
	}
	h.peak = measure.Watch{Bound: h.Bound, Kit: scenario.Own}
	h.open = func() Server { return open(tb, h.Config) }
	if h.Serves {
		// On the goroutine of the test, so that open can end it.
		if h.subject = h.open(); h.subject == nil {
			return fmt.Errorf("open returned no server for %+v, though it did before", h.Config)
		}
		h.reply.Subject = scenario.TypeName(h.subject)
	}
	var one sync.Mutex
	return proc.Serve(link, func(r hostRequest) (any, error) {
		one.Lock()
		defer one.Unlock()
		if err := h.do(r); err != nil {
			return nil, err
		}
		return h.reply, nil
	})
}

func (h *hostState) do(r hostRequest) error {
	ctx := context.Background() // every wait below has a bound of its own
	if h.Anew {
		return h.doAnew(ctx, r)
	}
	switch r.Do {
	case doOpen:
		if err := h.begin(); err != nil {
			return err
		}
	case doConnect:
		if err := h.callers.Connect(ctx, h.N, h.dialler(r.Server)); err != nil {
			return err
		}
	case doTouch:
		h.callers.Touch(ctx, r.N, r.Over)
	case doChurn:
		if err := h.callers.Churn(ctx, r.N, h.dialler(r.Server)); err != nil {
			return err
		}
	case doLive:
		life := func(i int) exchange.Life { return lifeWays[r.Way].life(r.First + i) }
		if err := h.callers.Live(ctx, r.N, life, h.livesFrom(r.Server)); err != nil {
			return err
		}
	case doHold:
		h.pauses = measure.StartPauses()
		if h.callers != nil {
			h.callers.Forget()
		}
	case doCensus:
		h.count()
	case doClose:
		if err := h.server.close(); err != nil {
			return err
		}
		h.server, h.memory = nil, nil
	case doFinish:
		h.callers.Finish(ctx)
	case doAudit:
		settle, cancel := context.WithTimeout(ctx, scenario.Settle)
		defer cancel()
		h.reply.Leaks = h.baseline.Leaks(settle)
	}
	if h.callers != nil {
		h.reply.Account = h.callers.Account()
	}
	if r.Do != doTouch && r.Do != doLive { // a collection each would be a load of its own
		h.reply.Now, h.reply.Pauses = measure.ReadHolding(), h.pauses.Read()
		if h.Serves && h.Bound > 0 {
			h.reply.Held = h.peak.See(measure.ReadMemory(), time.Since(h.began))
		}
	}
	return nil
}

func (h *hostState) begin() error {
	if h.Calls {
		h.callers = exchange.NewCallers(h.First, h.N, scenario.Settle)
	}
	h.pauses = measure.StartPauses()
	h.reply.Fresh = measure.ReadHolding()
	wait.Rehearse(int(float64(max(h.N, livesAtOnce))*h.Goroutines) + ownGoroutines)
	if _, err := json.Marshal(h.reply); err != nil { // what the encoder learns it keeps too
		return err
	}
	h.baseline, h.reply.Base = measure.TakeBaseline(), measure.ReadHolding()
	if !h.Serves {
		return nil
	}
	l, err := h.listen()
	if err != nil {
		return err
	}
	h.server, h.subject = serve(h.subject, l), nil
	h.reply.Address = l.Addr().String()
	return nil
}

func (h *hostState) count() {
	now := measure.TakeCensus()
	if h.census == nil {
		h.census, h.coarse = &now, measure.FineProfile()
		return
	}
	h.reply.Growth = now.Since(*h.census)
	h.coarse()
	h.census = nil
}

func (h *hostState) listen() (net.Listener, error) {
	if h.Network == networkTCP {
		return listenTCP(nil)
	}
	h.memory = pipe.Listen()
	return h.memory, nil
}

// listenTCP listens on the loopback. No probes are sent on idle connections:
// 100,000 timers of the kernel would be part of what is measured. control, if it is not
// nil, sets up the socket.
func listenTCP(control func(network, address string, c syscall.RawConn) error) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1, Control: control}
	return config.Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// ownGoroutines is more than the kit itself has in a host at any time.
const ownGoroutines = 200

// dialler opens connections to the server: in memory, or over TCP from as many
// addresses of the loopback as it takes, of which no two hosts share one.
func (h *hostState) dialler(server string) func(context.Context, int) (net.Conn, error) {
	if l := h.memory; l != nil {
		return func(context.Context, int) (net.Conn, error) { return l.Dial() }
	}
	each := portsOfAddress()
	return func(ctx context.Context, i int) (net.Conn, error) {
		d := net.Dialer{Timeout: scenario.Settle, KeepAlive: -1}
		if addresses > 1 {
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(h.Pair), byte(1+i/each))}
		}
		return d.DialContext(ctx, "tcp", server)
	}
}

// served is a server of the subject at work.
type served struct {
	subject  Server
	listener net.Listener
	ended    chan struct{} // closed when Serve has returned
}

func serve(subject Server, l net.Listener) *served {
	s := &served{subject: subject, listener: l, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		_ = s.subject.Serve(l) // what it returns does not matter
	}()
	return s
}

// close closes the server and waits until it has returned.
func (s *served) close() error {
	closed := make(chan error, 1)
	go func() { closed <- s.subject.Close() }()
	late := time.NewTimer(scenario.Settle)
	defer late.Stop()
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("the call of Close returned %w", err)
		}
	case <-late.C:
		return fmt.Errorf("the call of Close has not returned within %v", scenario.Settle)
	}
	_ = s.listener.Close() // the subject may have done it
	select {
	case <-s.ended:
	case <-late.C:
		return fmt.Errorf("the call of Serve has not returned within %v of Close", scenario.Settle)
	}
	return nil
}
