package programs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// live is a Host in real time, for one program.
type live struct {
	ctx    context.Context
	cancel context.CancelFunc
	random *rand.Rand // nil: what is not chosen is 0

	repeated bool // it has failed before

	mu       sync.Mutex
	choices  []int // to be drawn first
	drawn    []int
	sentence string // the first that failed
	describe func() string
	counts   map[string]int
	acts     sync.WaitGroup
}

// newLive is a host that draws choices, and after them from random.
func newLive(ctx context.Context, choices []int, random *rand.Rand) *live {
	ctx, cancel := context.WithCancel(ctx)
	return &live{ctx: ctx, cancel: cancel, random: random, choices: choices, counts: make(map[string]int)}
}

// leftBehind is how long after the end of its context a program is waited for.
const leftBehind = 10 * time.Second

// run calls body on a goroutine of its own, as it may end by Goexit, and returns when
// body and the acts have ended. What hangs beyond the context is left behind.
func (l *live) run(body func()) {
	defer l.cancel()
	l.Go("program", body)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.acts.Wait()
	}()
	select {
	case <-ended:
		return
	case <-l.ctx.Done():
	}
	select {
	case <-ended:
	case <-time.After(leftBehind):
	}
}

func (l *live) Draw(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	choice := 0
	switch i := len(l.drawn); {
	case i < len(l.choices):
		choice = min(l.choices[i], n-1)
	case l.random != nil:
		choice = l.random.IntN(n)
	}
	l.drawn = append(l.drawn, choice)
	return choice
}

func (l *live) Go(name string, f func()) {
	l.acts.Go(func() {
		defer func() {
			if value := recover(); value != nil {
				l.Errorf("panic in %s: %v\n%s", name, value, debug.Stack())
			}
		}()
		f()
	})
}

// Repeated tells whether the program is one that has just failed, or a part of it.
func (p *Program) Repeated() bool {
	l, ok := p.Host.(*live)
	return ok && l.repeated
}

func (l *live) Context() context.Context { return l.ctx }

func (l *live) Check(ok bool, format string, args ...any) {
	if !ok {
		l.Errorf(format, args...)
		l.FailNow()
	}
}

func (l *live) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sentence == "" && !l.late() {
		l.sentence = fmt.Sprintf(format, args...)
	}
	l.cancel()
}

// late tells whether time was up before anything failed: what a world sees then is that
// nobody waits any longer, and no fault.
func (l *live) late() bool { return errors.Is(l.ctx.Err(), context.DeadlineExceeded) }

func (l *live) FailNow() { runtime.Goexit() }

func (l *live) Count(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[name]++
}

func (l *live) Describe(f func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.describe = f
}

// failed is the sentence by which the program failed, or "".
func (l *live) failed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sentence
}

// format is a program as STRESS_PROGRAM has it: its choices.
func format(choices []int) string {
	for len(choices) > 0 && choices[len(choices)-1] == 0 {
		choices = choices[:len(choices)-1]
	}
	parts := make([]string, len(choices))
	for i, c := range choices {
		parts[i] = strconv.FormatInt(int64(c), 36)
	}
	return strings.Join(parts, ".") + "."
}

// parse is the reverse of format.
func parse(text string) ([]int, error) {
	text, ok := strings.CutSuffix(text, ".")
	if !ok {
		return nil, fmt.Errorf("bad program %q: must be as a failure prints it, with a dot at its end", text)
	}
	var choices []int
	for part := range strings.SplitSeq(text, ".") {
		if text == "" {
			break
		}
		c, err := strconv.ParseUint(part, 36, 31)
		if err != nil {
			return nil, fmt.Errorf("bad program %q: %w", text, err)
		}
		choices = append(choices, int(c))
	}
	return choices, nil
}
