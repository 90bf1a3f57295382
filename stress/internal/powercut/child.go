package powercut

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tensile/stress/internal/clock"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/recorder"
)

// Role is that of the children, for proc.At.
const Role = "power cut"

// request is what a child is asked.
type request struct {
	Op      string
	Dir     string          `json:",omitempty"`
	Program json.RawMessage `json:",omitempty"`
	Patient bool            `json:",omitempty"`
}

const (
	askPrepare  = "prepare"
	askClock    = "clock"
	askEnter    = "enter"
	askRun      = "run"
	askCareless = "careless"
	askLook     = "look"
	askRecover  = "recover"
)

// Serve is the whole life of a child.
func (k *Kit[P, F]) Serve(l *proc.Link) error {
	return proc.Serve(l, func(r request) (any, error) {
		var program P
		if len(r.Program) > 0 {
			if err := json.Unmarshal(r.Program, &program); err != nil {
				return nil, err
			}
		}
		switch r.Op {
		case askPrepare:
			return nil, k.Prepare(r.Dir, program)
		case askEnter:
			return recorder.Enter(true, proc.Descriptors()...)
		case askClock:
			err := clock.Back(clockBack)
			if errors.Is(err, clock.ErrUnsupported) {
				return err.Error(), nil
			}
			return "", err
		case askRun:
			return nil, k.Run(r.Dir, program, Say{recorder.Say})
		case askCareless:
			return nil, recorder.WithoutSyncs()
		case askLook:
			f, err := k.Look(r.Dir, program, r.Patient)
			if err != nil {
				return found{Refused: err.Error()}, nil
			}
			text, err := json.Marshal(f)
			return found{Found: text}, err
		case askRecover:
			var got found
			err := k.Recover(r.Dir, program, func(f F) {
				got.Found, _ = json.Marshal(f) // it came through JSON, or can
				recorder.Say(isRead)
			})
			if err != nil {
				got.Refused = err.Error()
			}
			return got, nil
		}
		return nil, fmt.Errorf("unknown operation %q", r.Op)
	})
}

// isRead is the mark of a child that has read what was left.
const isRead = "read"

// clockBack is how far the clock is put back.
const clockBack = time.Hour

// child is a process of the kit, and what it prints.
type child struct {
	*proc.Process
	output *os.File
	looked int
	back   bool // its clock was put back
}

// start starts a child, as one of those that work beside each other if it is one.
func (t *Tester[P, F]) start(one bool) (*child, error) {
	output, err := os.CreateTemp(t.dir, "output-")
	if err != nil {
		return nil, err
	}
	o := proc.Options{Output: output}
	if one {
		// There is a child for each processor. If each used all processors, they would
		// only wait for each other.
		o.Env = []string{"GOMAXPROCS=1"}
	}
	p, err := t.site.Start(nil, o)
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", err, output.Close())
	}
	return &child{Process: p, output: output}, nil
}

// said is what a child has printed of its end, as far as that is short.
func (c *child) said() string {
	const most = 400
	text, err := os.ReadFile(c.output.Name())
	if err != nil {
		return ""
	}
	for _, sign := range []string{"panic: ", "fatal error: ", "unexpected fault address", "SIG"} {
		if at := bytes.Index(text, []byte(sign)); at >= 0 {
			text = text[at:]
			return string(text[:min(most, len(text))])
		}
	}
	return string(text[max(len(text)-most, 0):])
}

// end kills a child whatever it does.
func (c *child) end() {
	c.Kill()
	_ = c.output.Close() // it was only read from
	_ = os.Remove(c.output.Name())
}

// morePatience is by how much longer a child may take that looks patiently: a
// machine that is busy must not be taken for a subject that hangs.
const morePatience = 4

// ask asks within the patience.
func (t *Tester[P, F]) ask(ctx context.Context, c *child, r request, into any) error {
	bound := t.o.Patience
	if r.Patient {
		bound *= morePatience
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bound, errLate)
	defer cancel()
	return c.Ask(ctx, r, into)
}

// folder is a new folder in the tester's own.
func (t *Tester[P, F]) folder() (string, error) {
	outer, err := os.MkdirTemp(t.dir, "run-")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(outer, "data")
	return dir, os.Mkdir(dir, 0o755)
}
