// Package proc runs child processes that are the test binary itself, executed
// again in a role. A kit so needs no second program, and its user no TestMain:
// the role is taken over while packages are initialised, before any test.
//
// A child dies with its parent, whatever way that goes: its standard input
// ends, and on Linux the kernel kills it as well.
package proc

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"time"
)

// roleVariable tells a child what it is. It does not begin with STRESS_, as it
// is nothing for users to set.
const roleVariable = "TENSILE_ROLE"

// ErrChild is wrapped by every error about a child process.
var ErrChild = errors.New("child process")

// Handle runs serve and ends the process if it was started in the role, and
// does nothing otherwise. It is called from an init function. The role reads
// requests and writes replies, one JSON value each; it is over when the requests
// end.
func Handle(role string, serve func(requests *json.Decoder, replies *json.Encoder) error) {
	if os.Getenv(roleVariable) != role {
		return
	}
	// Ctrl-C reaches the whole group; the parent says when a child ends.
	signal.Ignore(os.Interrupt)
	err := serve(json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout))
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintf(os.Stderr, "tensile %s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Process is a child in a role. Its methods are safe for concurrent use.
type Process struct {
	role   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Closer
	ask    sync.Mutex
	send   *json.Encoder
	read   *json.Decoder
	ended  chan struct{}
	status error
}

// Start executes this program again in the role.
func Start(role string) (*Process, error) {
	p := &Process{role: role, ended: make(chan struct{})}
	program, err := os.Executable()
	if err != nil {
		return nil, p.wrap(err)
	}
	p.cmd = exec.Command(program)
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = dieWithParent()
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, p.wrap(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, p.wrap(err)
	}
	p.out = out
	p.send, p.read = json.NewEncoder(p.in), json.NewDecoder(out)
	started := make(chan error)
	go func() {
		// The kernel's signal comes when the thread that started the child
		// ends, not the process: this thread stays until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			// Not cmd.Wait, which would close the pipe under a reader.
			state, err := p.cmd.Process.Wait()
			if err == nil && !state.Success() {
				err = errors.New(state.String())
			}
			p.status = err
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, p.wrap(err)
	}
	return p, nil
}

// Pid is the process number of the child.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ask sends a request and reads the reply, one at a time.
func (p *Process) Ask(request, reply any) error {
	p.ask.Lock()
	defer p.ask.Unlock()
	if err := p.send.Encode(request); err != nil {
		return p.wrap(err)
	}
	return p.wrap(p.read.Decode(reply))
}

// patience is how long a child may take to end when it is told to.
const patience = 5 * time.Second

// Close ends the child, with a signal if it does not go by itself, reaps it,
// and returns how it ended.
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
	_ = p.out.Close() // nobody reads any more
	return p.wrap(p.status)
}

func (p *Process) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w %s: %w", ErrChild, p.role, err)
}
