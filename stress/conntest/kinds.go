package conntest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
	"tensile/stress/report"
)

// host is a process of its own, seen from the test.
type host struct {
	hostConfig
	name    string
	process *proc.Process
	output  string    // file with what it prints
	of      int       // connections of its kind, over all hosts
	lost    bool      // it ended by itself, or does not answer
	now     hostReply // newest
}

// start executes the test again as a host.
func (k *kit) start(name string, cfg hostConfig) (*host, error) {
	h := &host{hostConfig: cfg, name: name}
	var o proc.Options
	if o.Output = k.LogFile(strings.NewReplacer(" ", "-", ",", "").Replace(name)); o.Output != nil {
		h.output = o.Output.Name()
	}
	var err error
	if h.process, err = k.site.Start(cfg, o); err != nil {
		return nil, err
	}
	k.OnInterrupt(h.process.Kill)
	return h, nil
}

// ask has a host do something, and keeps its reply.
func (h *host) ask(ctx context.Context, r hostRequest) error {
	err := h.process.Ask(ctx, r, &h.now)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, proc.ErrEnded):
		h.lost = true
		return fmt.Errorf("%s: the process ended: %s", h.name, h.lastWords())
	case ctx.Err() != nil:
		h.lost = true
		return fmt.Errorf("%s: does not answer %q in time", h.name, r.Do)
	}
	return fmt.Errorf("%s: %w", h.name, err)
}

// lastWords is what a process that ended by itself has printed, as far as it can
// be read at a glance.
func (h *host) lastWords() string {
	const most = 1000
	file, err := os.Open(h.output)
	if err != nil {
		return "it printed nothing that could be kept"
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil || len(text) == 0 {
		return "it printed nothing"
	}
	return strings.TrimSpace(string(text))
}

// each calls do for all hosts at once, and waits.
func each(hosts []*host, do func(*host)) {
	wait.All(len(hosts), func(i int) { do(hosts[i]) })
}

// all has hosts do something at once, and says whether none failed.
func (k *kit) all(ctx context.Context, hosts []*host, r func(*host) hostRequest) bool {
	ok := true
	var mu sync.Mutex
	each(hosts, func(h *host) {
		if err := h.ask(ctx, r(h)); err != nil {
			mu.Lock()
			ok = false
			mu.Unlock()
			k.Fault("%v", err)
		}
	})
	return ok
}

func only(do string) func(*host) hostRequest {
	return func(*host) hostRequest { return hostRequest{Do: do} }
}

// servers and callers are the hosts of a kind by what they do; in memory they
// are the same.
func (d *kind) servers() []*host { return d.those(func(h *host) bool { return h.Serves }) }
func (d *kind) all() []*host     { return d.hosts }
func (d *kind) callers() []*host { return d.those(func(h *host) bool { return h.Calls }) }

// addresses are those of the servers that callers call over TCP. In memory a host
// is its own server; over TCP servers and callers alternate.
func (d *kind) addresses() map[*host]string {
	server := make(map[*host]string)
	for i, h := range d.hosts {
		if h.Calls && !h.Serves {
			server[h] = d.hosts[i-1].now.Address
		}
	}
	return server
}

func (d *kind) those(are func(*host) bool) (hosts []*host) {
	for _, h := range d.hosts {
		if are(h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// held adds up what the callers of a kind say.
func (d *kind) held() (a exchange.Account) {
	for _, h := range d.callers() {
		a = a.Add(h.now.Account)
	}
	return a
}

// sound names what callers of a kind found wrong since it was called last, and
// says whether that is nothing.
func (k *kit) sound(d *kind, when string) bool {
	a := d.held()
	faults := a.Faults()
	if faults == d.faults {
		return true
	}
	d.faults = faults
	for _, e := range a.Examples {
		k.Fail("memory, %s, %s: %s", d.name, when, e)
	}
	return false
}

// startAll starts the processes that hold N connections of each kind.
func (k *kit) startAll(ctx context.Context, _ *testing.T) {
	var kinds sync.WaitGroup
	for _, d := range k.kinds {
		d.n = k.N
		if d.Network == networkTCP {
			k.planTCP(d)
		}
		kinds.Go(func() { _ = k.startHosts(d) && k.all(ctx, d.hosts, only(doOpen)) }) // what fails is said
	}
	kinds.Wait()
}

// connect opens N connections of each kind, and measures what one takes.
func (k *kit) connect(ctx context.Context, _ *testing.T) {
	k.held = true
	var kinds sync.WaitGroup
	for _, d := range k.kinds {
		kinds.Go(func() { k.connectKind(ctx, d) })
	}
	kinds.Wait()
	if k.Failed() {
		return
	}
	most := 0.0
	for _, d := range k.kinds {
		r := &d.result
		if d.n < fewestToMeasure*r.Servers {
			k.Note("%s: the cost of a connection is not judged: that needs %d connections or more in a process.", d.name,
				fewestToMeasure)
			continue
		}
		each := r.Heap + r.Stacks
		most = max(most, each)
		if d.reach != "" {
			k.Timed(d.reach, each)
		}
		if d.Idle && r.Goroutines > 0.1 {
			k.Violate("idle", "%s: %d idle connections hold %.0f goroutines, must hold none where Config.Idle is set",
				d.name, d.n, r.Goroutines*float64(d.n))
		}
	}
	if most > 0 {
		k.Timed("per_connection", most)
	} else {
		k.NotMeasured("per_connection", "that needs %d connections or more in a process", fewestToMeasure)
	}
}

// fewestToMeasure is the number of connections from which on what the process
// itself takes is small beside them.
const fewestToMeasure = 1000

// peak is the criterion for what the server of a kind holds at most.
func (d *kind) peak() string {
	if d.Network == networkTCP {
		return "tcp_peak"
	}
	return "peak"
}

func (k *kit) startHosts(d *kind) bool {
	var err error
	add := func(name string, cfg hostConfig) {
		if err != nil {
			return
		}
		cfg.Config, cfg.Goroutines, cfg.Bound = d.Config, d.goroutines, k.MemoryBound(d.peak())
		var h *host
		if h, err = k.start(name, cfg); err == nil {
			h.of = d.n
			d.hosts = append(d.hosts, h)
		}
	}
	if d.Network == networkMemory {
		add(d.name, hostConfig{Serves: true, Calls: true, N: d.n})
	} else {
		for i := range d.pairs {
			first, n := i*d.n/d.pairs, (i+1)*d.n/d.pairs-i*d.n/d.pairs
			add(fmt.Sprintf("TCP server %d", i+1), hostConfig{Serves: true, N: n})
			add(fmt.Sprintf("TCP callers %d", i+1), hostConfig{Calls: true, Pair: i + 1, First: uint64(first), N: n})
		}
	}
	if err != nil {
		k.Fault("%v", err)
	}
	return err == nil
}

// connectKind opens the connections of one kind.
func (k *kit) connectKind(ctx context.Context, d *kind) {
	before := measure.ReadKernel()
	server := d.addresses()
	if !k.all(ctx, d.callers(), func(h *host) hostRequest { return hostRequest{Do: doConnect, Server: server[h]} }) ||
		!k.all(ctx, d.servers(), only(doRead)) {
		return
	}
	kernel := measure.ReadKernel().Since(before)
	if !k.sound(d, "connect") {
		return
	}
	r := report.Connections{ID: d.id, Name: d.name, N: d.n, Servers: len(d.servers()),
		Callers: len(d.hosts) - len(d.servers())}
	n := float64(d.n)
	for _, h := range d.hosts {
		fresh, now := h.now.Fresh, h.now.Now
		if !h.Serves {
			r.CallerMemory += float64(now.Heap+now.Stacks-fresh.Heap-fresh.Stacks) / n
			continue
		}
		r.Subject = h.now.Subject
		r.Heap += float64(now.Heap-fresh.Heap) / n
		r.Stacks += float64(now.Stacks-fresh.Stacks) / n
		r.Goroutines += float64(now.Goroutines-h.now.Base.Goroutines) / n
		if now.RSS != nil && fresh.RSS != nil {
			r.RSS = plus(r.RSS, float64(*now.RSS-*fresh.RSS)/n)
		}
	}
	if d.Network == networkTCP && kernel != nil && *kernel > 0 {
		each := float64(*kernel) / n
		r.Kernel, r.KernelSource = &each, measure.KernelSource
	}
	d.result = r
}

func plus(sum *float64, x float64) *float64 {
	if sum != nil {
		x += *sum
	}
	return &x
}
