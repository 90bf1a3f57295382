// Package schedule encodes the schedule of a controlled run as text that repeats the run,
// and decodes it.
package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errSchedule is wrapped by every error of this package; the message names the
// part that is wrong and what must hold.
var errSchedule = errors.New("bad schedule")

// Accepted says what Parse accepts, in words.
const Accepted = "a schedule as a failure prints it, such as pos:7 or plan:7:2.4.3"

// The strategies, by the word a schedule begins with.
const (
	Plan   = "plan"
	Random = "random"
	PCT    = "pct"
	POS    = "pos"
)

// Schedule is what a run is repeated by.
type Schedule struct {
	Strategy string
	Seed     uint64
	Depth    uint32 // of PCT
	Length   uint64 // of PCT: the points among which it drew
	Steps    []Step // of a plan
	Draws    []Draw // of a plan: those that are not as the seed says
}

// Step is a decision: goroutine Goroutine, at its N-th, lets To run, or time pass.
type Step struct {
	Goroutine, N uint32
	Time         bool
	To           uint32
}

// Draw is the value of the Index-th draw of a run.
type Draw struct{ Index, Value int }

// String is the text that Parse reads.
func (s Schedule) String() string {
	seed := strconv.FormatUint(s.Seed, 10)
	switch s.Strategy {
	case PCT:
		return fmt.Sprintf("%s:%d:%d:%s", PCT, s.Depth, s.Length, seed)
	case Plan:
		var steps, draws []string
		for _, step := range s.Steps {
			to := "t"
			if !step.Time {
				to = strconv.FormatUint(uint64(step.To), 10)
			}
			steps = append(steps, fmt.Sprintf("%d.%d.%s", step.Goroutine, step.N, to))
		}
		for _, draw := range s.Draws {
			draws = append(draws, fmt.Sprintf("%d.%d", draw.Index, draw.Value))
		}
		text := Plan + ":" + seed + ":" + strings.Join(steps, ",")
		if len(draws) > 0 {
			text += ":" + strings.Join(draws, ",")
		}
		return text
	default:
		return s.Strategy + ":" + seed
	}
}

// Parse reads what String wrote.
func Parse(text string) (Schedule, error) {
	fields := strings.Split(text, ":")
	s := Schedule{Strategy: fields[0]}
	var err error
	switch {
	case (s.Strategy == Random || s.Strategy == POS) && len(fields) == 2:
		s.Seed, err = number(fields[1], 64)
	case s.Strategy == PCT && len(fields) == 4:
		var depth uint64
		if depth, err = number(fields[1], 8); err == nil {
			s.Depth = uint32(depth)
			s.Length, err = number(fields[2], 64)
		}
		if err == nil {
			s.Seed, err = number(fields[3], 64)
		}
	case s.Strategy == Plan && (len(fields) == 3 || len(fields) == 4):
		if s.Seed, err = number(fields[1], 64); err == nil {
			s.Steps, err = parseSteps(fields[2])
		}
		if err == nil && len(fields) == 4 {
			s.Draws, err = parseDraws(fields[3])
		}
	default:
		err = fmt.Errorf("%w: %q must be %s", errSchedule, text, Accepted)
	}
	if err != nil {
		return Schedule{}, err
	}
	return s, nil
}

func parseSteps(text string) (steps []Step, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		before, isTime := strings.CutSuffix(part, ".t")
		want := 3
		if isTime {
			want = 2
		}
		n, err := numbers(before, want, 32)
		if err != nil {
			return nil, err
		}
		step := Step{Goroutine: uint32(n[0]), N: uint32(n[1]), Time: isTime}
		if !isTime {
			step.To = uint32(n[2])
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func parseDraws(text string) (draws []Draw, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := numbers(part, 2, 31)
		if err != nil {
			return nil, err
		}
		draws = append(draws, Draw{Index: int(n[0]), Value: int(n[1])})
	}
	return draws, nil
}

// numbers reads whole numbers between dots, so many as want.
func numbers(text string, want, bits int) ([]uint64, error) {
	parts := strings.Split(text, ".")
	if len(parts) != want {
		return nil, fmt.Errorf("%w: %q must be %d numbers with dots between", errSchedule, text, want)
	}
	out := make([]uint64, want)
	for i, part := range parts {
		n, err := number(part, bits)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}

func number(text string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%w: %q must be a whole number of %d bits", errSchedule, text, bits)
	}
	return n, nil
}
