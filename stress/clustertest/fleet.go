package clustertest

import (
	"context"
	"os"
	"sync"
	"syscall"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/proc"
)

// fleet is the nodes of a program: processes, or in the kit's own tests a model of them.
// Its methods are safe for concurrent use.
type fleet interface {
	// FreeAddr is an address that nobody listens at.
	FreeAddr() (string, error)
	// Start starts a node in a process of its own. It may be called again after an error.
	Start(context.Context, nodes.Start) (nodes.Started, error)
	// Claim has a node, in the process of another, that must not get in.
	Claim(ctx context.Context, host string, s nodes.Start) (nodes.Intrusion, error)
	// Kill ends nodes at the same instant.
	Kill(names []string)
	Stop(name string) error
	Continue(name string) error
	Leave(ctx context.Context, name string) (nodes.Ended, error)
	// Cut loses what a node sends to some addresses, and what comes from others.
	Cut(ctx context.Context, name string, to, from []string) error
	// Look has a node call others, and tells what it holds of all.
	Look(ctx context.Context, name string, to []string) (nodes.Look, error)
	// Beat is answered by the process of a node, whatever the node does.
	Beat(ctx context.Context, name string) error
	// End ends all.
	End()
}

// processes is a fleet of real processes.
type processes struct {
	site *proc.Site
	log  func(name string) *os.File
	// interrupted has a process ended if this one is interrupted.
	interrupted func(end func())

	mu  sync.Mutex
	all map[string]*proc.Process
	seq uint64
}

func (f *processes) FreeAddr() (string, error) { return proc.FreeAddr() }

func (f *processes) of(name string) *proc.Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[name]
}

// launch is the process for a node, which is started if it has none that runs.
func (f *processes) launch(name string) (*proc.Process, error) {
	if p := f.of(name); p != nil {
		select {
		case <-p.Ended():
		default:
			return p, nil
		}
	}
	p, err := f.site.Start(nil, proc.Options{Output: f.log("program-" + name)})
	if err != nil {
		return nil, err
	}
	f.interrupted(p.Kill)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[name] = p
	return p, nil
}

func (f *processes) Start(ctx context.Context, s nodes.Start) (at nodes.Started, err error) {
	p, err := f.launch(s.Name)
	if err != nil {
		return at, err
	}
	return at, p.Ask(ctx, nodes.Order{Do: "start", Pace: nodes.LookOften, Start: &s}, &at)
}

func (f *processes) Claim(ctx context.Context, host string, s nodes.Start) (in nodes.Intrusion, err error) {
	err = f.of(host).Ask(ctx, nodes.Order{Do: "intrude", Start: &s}, &in)
	return in, err
}

func (f *processes) Kill(names []string) {
	var victims []*proc.Process
	for _, name := range names {
		victims = append(victims, f.of(name))
	}
	for _, p := range victims {
		_ = p.Signal(syscall.SIGKILL) // it can only have ended already
	}
	for _, p := range victims {
		p.Kill() // it is reaped
	}
}

func (f *processes) Stop(name string) error     { return f.of(name).Signal(proc.Stop) }
func (f *processes) Continue(name string) error { return f.of(name).Signal(proc.Continue) }

func (f *processes) Leave(ctx context.Context, name string) (left nodes.Ended, err error) {
	p := f.of(name)
	if err = p.Ask(ctx, nodes.Order{Do: "leave"}, &left); err == nil && !left.Unsupported {
		p.Kill()
	}
	return left, err
}

func (f *processes) Cut(ctx context.Context, name string, to, from []string) error {
	return f.of(name).Ask(ctx, nodes.Order{Do: "cut", To: to, From: from}, nil)
}

func (f *processes) Look(ctx context.Context, name string, to []string) (look nodes.Look, err error) {
	f.mu.Lock()
	f.seq++
	seq := f.seq
	f.mu.Unlock()
	err = f.of(name).Ask(ctx, nodes.Order{Do: "look", To: to, Seq: seq, Patience: callPatience}, &look)
	return look, err
}

func (f *processes) Beat(ctx context.Context, name string) error {
	return f.of(name).Ask(ctx, nodes.Order{Do: "beat"}, nil)
}

func (f *processes) End() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.all {
		p.Kill()
	}
	clear(f.all)
}
