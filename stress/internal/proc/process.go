package proc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// ErrChild is wrapped by every error about a child process; ErrEnded as well
// where it is because the child has ended.
var (
	ErrChild = errors.New("child process")
	ErrEnded = errors.New("has ended")
)

// Options of a child. The zero value will do.
type Options struct {
	// Output takes what the child prints; nil for the standard error of this
	// process. The caller closes it, after the child has ended.
	Output *os.File
	// Env is added to the environment, as "NAME=value".
	Env []string
	// OnEvent is called with what the child emits, in order, on one goroutine.
	OnEvent func(body json.RawMessage)
}

// Process is a child, seen from its parent. Its methods are safe for
// concurrent use.
type Process struct {
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser

	writing sync.Mutex
	out     *json.Encoder

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan reply
	gone    bool // the child closed its pipe

	reaped chan struct{}
	status error         // how it ended; read after reaped
	ended  chan struct{} // closed when it was reaped and all it had said was read
}

func start(role string, config any, o Options, arguments []string) (*Process, error) {
	p := &Process{
		role: role, waiting: make(map[uint64]chan reply), reaped: make(chan struct{}), ended: make(chan struct{}),
	}
	program, err := os.Executable()
	if err != nil {
		return nil, p.wrap(err)
	}
	requests, in, err := os.Pipe()
	if err != nil {
		return nil, p.wrap(err)
	}
	out, replies, err := os.Pipe()
	if err != nil {
		return nil, p.wrap(errors.Join(err, requests.Close(), in.Close()))
	}
	p.in, p.out = in, json.NewEncoder(in)
	p.cmd = exec.Command(program, arguments...)
	p.cmd.Env = append(append(os.Environ(), o.Env...), roleVariable+"="+role)
	p.cmd.ExtraFiles = []*os.File{requests, replies} // requestsFD, repliesFD
	p.cmd.Stdout, p.cmd.Stderr = os.Stderr, os.Stderr
	if o.Output != nil {
		p.cmd.Stdout, p.cmd.Stderr = o.Output, o.Output
	}
	p.cmd.SysProcAttr = DieWithParent()
	OwnGroup(p.cmd)
	started := make(chan error)
	go p.live(started)
	err = <-started
	err = errors.Join(err, requests.Close(), replies.Close())
	if err == nil {
		err = p.send(0, config)
	}
	if err != nil {
		return nil, p.wrap(errors.Join(err, in.Close(), out.Close()))
	}
	go func() {
		<-p.reaped
		// What the child had said is in the pipe. Its end does not come where a
		// program that it had started before holds the other side open.
		_ = out.SetReadDeadline(time.Now().Add(lastWords))
	}()
	go p.receive(out, o.OnEvent)
	return p, nil
}

// live starts the child and reaps it.
func (p *Process) live(started chan<- error) {
	// The kernel's signal comes when the thread that started the child ends,
	// not the process: this thread stays until the child is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.status = p.cmd.Wait()
	close(p.reaped)
}

// lastWords is how long what a child had said is read after it has ended.
const lastWords = time.Second

// receive hands on what the child sends.
func (p *Process) receive(out io.ReadCloser, onEvent func(json.RawMessage)) {
	defer func() {
		_ = out.Close() // it was only read from
		<-p.reaped
		close(p.ended)
	}()
	in := json.NewDecoder(bufio.NewReader(out))
	for {
		var r reply
		if in.Decode(&r) != nil {
			break
		}
		if r.ID == 0 {
			if onEvent != nil {
				onEvent(r.Body)
			}
			continue
		}
		p.mu.Lock()
		to := p.waiting[r.ID]
		delete(p.waiting, r.ID)
		p.mu.Unlock()
		if to != nil {
			to <- r
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	for _, to := range p.waiting {
		close(to)
	}
	clear(p.waiting)
}

func (p *Process) send(id uint64, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	return p.out.Encode(request{id, text})
}

// Ask sends a request and waits for its reply, which it decodes into into if
// that is not nil. It returns the error of the child's answer, the context's
// once that ends, or ErrEnded. Any number of requests may be in flight.
func (p *Process) Ask(ctx context.Context, body, into any) error {
	answered := make(chan reply, 1)
	p.mu.Lock()
	if p.gone {
		p.mu.Unlock()
		return p.wrap(ErrEnded)
	}
	p.last++
	id := p.last
	p.waiting[id] = answered
	p.mu.Unlock()
	if err := p.send(id, body); err != nil {
		p.forget(id)
		return p.wrap(err)
	}
	select {
	case r, ok := <-answered:
		switch {
		case !ok:
			return p.wrap(ErrEnded)
		case r.Error != "":
			return p.wrap(errors.New(r.Error))
		case into == nil:
			return nil
		}
		return p.wrap(json.Unmarshal(r.Body, into))
	case <-ctx.Done():
		p.forget(id)
		return p.wrap(context.Cause(ctx))
	}
}

func (p *Process) forget(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
}

// Pid is the process number of the child.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal, such as SIGKILL, Stop or Continue.
func (p *Process) Signal(s os.Signal) error { return p.wrap(p.cmd.Process.Signal(s)) }

// Ended is closed once the child has ended, was reaped, and all it had said
// was read.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// patience is how long a child may take to end when it is told to.
const patience = 5 * time.Second

// Close tells the child to end, kills it if it does not go by itself, reaps it,
// and returns how it ended: an error too if it had been killed before.
func (p *Process) Close() error {
	_ = p.in.Close() // an end that is closed already is what is wanted
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		_ = p.cmd.Process.Kill() // it can only have ended meanwhile
		<-p.ended
	}
	return p.wrap(p.status)
}

// Kill ends the child with SIGKILL, which also ends one that is stopped, and
// reaps it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it can only have ended already
	_ = p.in.Close()
	<-p.ended
}

func (p *Process) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w %s: %w", ErrChild, p.role, err)
}
