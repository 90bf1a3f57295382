package chaos

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Errors of plans and experiments, to be tested with errors.Is.
var (
	// ErrPlan is wrapped by every error about a plan, a Spec or an Experiment
	// that cannot be carried out.
	ErrPlan = errors.New("chaos: bad plan")
	// ErrBlastRadius says that a fault was not injected, or is not even planned,
	// because more targets would be hit at once than the bound allows.
	ErrBlastRadius = errors.New("chaos: blast radius exceeded")
	// ErrUnsteady says that the steady state did not hold when it must.
	ErrUnsteady = errors.New("chaos: steady state does not hold")
	// ErrFault is wrapped by every error of an injector, or of its undoing.
	ErrFault = errors.New("chaos: fault")
)

// Fault is the name of a fault. This package has injectors for the names below. Any other
// name can be used with an injector of its own.
type Fault string

const (
	Panic Fault = "panic" // a worker panics
	Hang  Fault = "hang"  // a worker does not return

	Kill  Fault = "kill"  // SIGKILL; undone by starting the process again
	Pause Fault = "pause" // SIGSTOP; undone by SIGCONT

	Partition Fault = "partition" // no byte passes, in either direction
	Cut       Fault = "cut"       // no byte passes in one direction
	Delay     Fault = "delay"     // bytes arrive later, with jitter
	Loss      Fault = "loss"      // bytes stall as segments that TCP must send again
	Drop      Fault = "drop"      // bytes vanish from the stream
	Corrupt   Fault = "corrupt"   // bits flip
	Duplicate Fault = "duplicate" // bytes arrive twice
	Bandwidth Fault = "bandwidth" // bytes pass slowly
)

// Step is one fault of a plan.
type Step struct {
	Fault  Fault
	Target string
	At     time.Duration // since the start of the experiment, when it is injected
	For    time.Duration // after which it is undone
}

// Plan is the list of faults that an experiment injects.
type Plan struct {
	Seed  uint64 `json:"seed"`  // that it was drawn from
	Bound int    `json:"bound"` // most targets hit at once
	Steps []Step `json:"steps"` // in the order of At
}

// Bounds of a plan, for one that comes from a file.
const (
	MaxSteps  = 100_000
	MaxTime   = 24 * time.Hour
	maxName   = 256
	planBytes = 64 << 20
)

// Validate returns an error that wraps ErrPlan if the plan cannot be carried
// out, and ErrBlastRadius as well if that is because it would hit more than Bound targets at once.
func (p Plan) Validate() error {
	if p.Bound < 1 {
		return fmt.Errorf("%w: Bound is %d, must be 1 or more", ErrPlan, p.Bound)
	}
	if len(p.Steps) > MaxSteps {
		return fmt.Errorf("%w: %d steps, must be up to %d", ErrPlan, len(p.Steps), MaxSteps)
	}
	last := time.Duration(0)
	for i, s := range p.Steps {
		if err := s.validate(); err != nil {
			return fmt.Errorf("%w: step %d: %w", ErrPlan, i, err)
		}
		if s.At < last {
			return fmt.Errorf("%w: step %d is at %v, must be %v or later, after the step before it", ErrPlan, i, s.At, last)
		}
		last = s.At
	}
	if at, n := p.widest(); n > p.Bound {
		return fmt.Errorf("%w: %w: %d targets are hit at %v, must be up to %d", ErrPlan, ErrBlastRadius, n, at, p.Bound)
	}
	return nil
}

func (s Step) validate() error {
	for _, name := range []struct{ what, value string }{{"Fault", string(s.Fault)}, {"Target", s.Target}} {
		if name.value == "" || len(name.value) > maxName || !utf8.ValidString(name.value) ||
			strings.ContainsFunc(name.value, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("its %s is %.40q, must be 1 to %d printable bytes", name.what, name.value, maxName)
		}
	}
	if s.At < 0 || s.At > MaxTime {
		return fmt.Errorf("its At is %v, must be 0 to %v", s.At, MaxTime)
	}
	if s.For <= 0 || s.For > MaxTime {
		return fmt.Errorf("its For is %v, must be above 0 and up to %v", s.For, MaxTime)
	}
	return nil
}

// event is the injection of a step, or its undoing.
type event struct {
	at   time.Duration
	step int
	undo bool
}

// events is the plan in the order of time. What ends at an instant ends before
// something begins then.
func (p Plan) events() []event {
	all := make([]event, 0, 2*len(p.Steps))
	for i, s := range p.Steps {
		all = append(all, event{s.At, i, false}, event{s.At + s.For, i, true})
	}
	slices.SortStableFunc(all, func(a, b event) int {
		switch {
		case a.at != b.at || a.undo == b.undo:
			return cmp.Compare(a.at, b.at)
		case a.undo:
			return -1
		}
		return 1
	})
	return all
}

// widest is when the most targets are hit, and how many.
func (p Plan) widest() (at time.Duration, most int) {
	hit := make(map[string]int)
	for _, e := range p.events() {
		target := p.Steps[e.step].Target
		if !e.undo {
			hit[target]++
		} else if hit[target]--; hit[target] == 0 {
			delete(hit, target)
		}
		if len(hit) > most {
			at, most = e.at, len(hit)
		}
	}
	return at, most
}

// Targets is the number of different targets.
func (p Plan) Targets() int {
	all := make(map[string]bool)
	for _, s := range p.Steps {
		all[s.Target] = true
	}
	return len(all)
}

// Length is the time from the start to the end of the last fault.
func (p Plan) Length() time.Duration {
	length := time.Duration(0)
	for _, s := range p.Steps {
		length = max(length, s.At+s.For)
	}
	return length
}

// String is the plan as text, one step a line: a dry run.
func (p Plan) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "chaos plan, seed %d: %d faults on %d targets in %v, at most %d hit at once\n",
		p.Seed, len(p.Steps), p.Targets(), p.Length(), p.Bound)
	for _, s := range p.Steps {
		fmt.Fprintf(&text, "  at %-12v for %-12v %-10s %s\n", s.At, s.For, s.Fault, s.Target)
	}
	return text.String()
}

// stepText is a step as JSON, in which durations are text such as "1.5s".
type stepText struct {
	Fault  Fault  `json:"fault"`
	Target string `json:"target"`
	At     string `json:"at"`
	For    string `json:"for"`
}

// MarshalJSON writes durations as text such as "1.5s".
func (s Step) MarshalJSON() ([]byte, error) {
	return json.Marshal(stepText{s.Fault, s.Target, s.At.String(), s.For.String()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Step) UnmarshalJSON(data []byte) error {
	var text stepText
	read := json.NewDecoder(bytes.NewReader(data))
	read.DisallowUnknownFields()
	if err := read.Decode(&text); err != nil {
		return err
	}
	at, err := time.ParseDuration(text.At)
	if err != nil {
		return err
	}
	length, err := time.ParseDuration(text.For)
	if err != nil {
		return err
	}
	*s = Step{text.Fault, text.Target, at, length}
	return nil
}

// ParsePlan reads a plan from JSON. The error wraps ErrPlan.
func ParsePlan(data []byte) (Plan, error) {
	var p Plan
	read := json.NewDecoder(bytes.NewReader(data))
	read.DisallowUnknownFields()
	if err := read.Decode(&p); err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	if _, err := read.Token(); err != io.EOF {
		return Plan{}, fmt.Errorf("%w: more follows after the plan", ErrPlan)
	}
	return p, p.Validate()
}

// Save writes the plan to a file as JSON.
func (p Plan) Save(path string) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// LoadPlan reads a plan from a file.
func LoadPlan(path string) (Plan, error) {
	file, err := os.Open(path)
	if err != nil {
		return Plan{}, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(file, planBytes+1))
	if err != nil {
		return Plan{}, err
	}
	if len(data) > planBytes {
		return Plan{}, fmt.Errorf("%w: %s has more than %d bytes", ErrPlan, path, planBytes)
	}
	return ParsePlan(data)
}
