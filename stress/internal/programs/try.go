package programs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
)

// Budget is how long programs are run in real time.
type Budget struct {
	// Short is for how long new programs begin with -short, and Full without.
	Short, Full time.Duration
	Least       int // programs, however long they take
	// One is the time for one program, more than any needs: its world says what hangs.
	One time.Duration
	// Shrink is for how long a program that fails is made smaller.
	Shrink time.Duration
}

// Tried is what came of programs in real time.
type Tried struct {
	Programs int
	Late     int // of them were not over when their time was up: nothing is said of those
	Took     time.Duration
	Counts   map[string]int // see [Vocabulary.Coverage]
	Failure  *Found         // nil if none failed
}

// Found is a program that failed.
type Found struct {
	Sentence string
	Program  string // as it is shown
	Text     string // the value of STRESS_PROGRAM that repeats it
	Again    int    // of the runs of the same program, how many failed alike
	Runs     int
}

// environment has the program to repeat.
const environment = "STRESS_PROGRAM"

// Repeating tells whether there is one program to repeat, and no other to run.
func Repeating() bool { return os.Getenv(environment) != "" }

// Merge is what came of programs that were run beside each other.
func Merge(all ...Tried) Tried {
	out := Tried{Counts: make(map[string]int)}
	for _, t := range all {
		out.Programs += t.Programs
		out.Late += t.Late
		out.Took = max(out.Took, t.Took)
		for name, n := range t.Counts {
			out.Counts[name] += n
		}
		if out.Failure == nil {
			out.Failure = t.Failure
		}
	}
	return out
}

// Try runs programs in real time, one after the other, until one fails. They follow
// from seed alone; how they are run does not, so a failure says how often it came again.
func (v *Vocabulary[W]) Try(ctx context.Context, t *testing.T, seed uint64, b Budget) (out Tried) {
	began := time.Now()
	defer func() { out.Took = time.Since(began) }()
	out.Counts = make(map[string]int)
	within := b.Full
	if testing.Short() {
		within = b.Short
	}
	words := v.words()
	once := func(choices []int, random *rand.Rand, repeated bool) *live {
		ctx, cancel := context.WithTimeout(ctx, b.One)
		defer cancel()
		l := newLive(ctx, choices, random)
		l.repeated = repeated
		l.run(func() { v.run(t, l, words) })
		return l
	}
	var given []int
	text := os.Getenv(environment)
	if text != "" {
		var err error
		if given, err = parse(text); err != nil {
			t.Errorf("%s: %v", environment, err)
			return out
		}
		within, b.Least = 0, 1
	}
	deck := rand.New(rand.NewPCG(seed, 0)).Perm(len(v.Ops))
	for ctx.Err() == nil && (out.Programs < b.Least || time.Since(began) < within) {
		var random *rand.Rand
		if text == "" {
			random = rand.New(rand.NewPCG(seed, uint64(out.Programs)))
			given = v.deal(deck, out.Programs)
		}
		l := once(given, random, false)
		out.Programs++
		for name := range l.counts {
			out.Counts[name]++
		}
		if l.late() {
			out.Late++
		}
		if l.failed() != "" {
			out.Failure = shrink(l, b.Shrink, func(choices []int) *live { return once(choices, nil, true) })
			return out
		}
	}
	return out
}

// shrink makes a program that failed smaller, by leaving choices out of it, for as long
// as it fails by the same criterion.
func shrink(l *live, within time.Duration, once func([]int) *live) *Found {
	began := time.Now()
	criterion, _, _ := strings.Cut(l.failed(), ": ")
	best, f := l, Found{Runs: 1, Again: 1}
	fails := func(choices []int) bool {
		again := once(choices)
		c, _, _ := strings.Cut(again.failed(), ": ")
		if c != criterion || again.failed() == "" {
			return false
		}
		best = again
		return true
	}
	f.Runs++
	if fails(l.drawn) {
		f.Again++
		for size := len(best.drawn) / 2; size > 0; size /= 2 {
			for at := 0; at < len(best.drawn) && time.Since(began) < within; at += size {
				choices := slices.Clone(best.drawn)
				part := choices[at:min(at+size, len(choices))]
				if slices.Max(part) == 0 {
					continue
				}
				clear(part)
				fails(choices)
			}
		}
	}
	f.Sentence, f.Text = best.failed(), format(best.drawn)
	if best.describe != nil {
		f.Program = best.describe()
	}
	return &f
}

// Report puts into the report of a scenario what came of its programs in real time. It
// reports false if one failed.
func (v *Vocabulary[W]) Report(s *scenario.Scenario, out Tried) bool {
	text := fmt.Sprintf("Programs in real time: %d in %v", out.Programs, out.Took.Round(time.Millisecond))
	if f := out.Failure; f != nil {
		criterion, sentence := byCriterion(s, f.Sentence)
		s.Violate(criterion, "%s\n%s\nThe same program failed alike in %d of %d runs; to repeat it: %s=%s %s",
			sentence, f.Program, f.Again, f.Runs, environment, f.Text, s.Replay())
		text += ", the last of which failed"
	}
	if out.Late > 0 {
		text += fmt.Sprintf(", of which %d were not over in time, and not judged as a whole", out.Late)
	}
	s.Note("%s; %s.", text, v.Coverage(out.Counts))
	return out.Failure == nil
}
