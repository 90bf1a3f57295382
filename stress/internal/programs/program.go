package programs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tensile/stress/explore"
)

// Host is what a program runs on: one schedule of an exploration, or real time.
type Host interface {
	// Draw is a choice from 0 to n-1.
	Draw(n int) int
	// Go calls f beside the program.
	Go(name string, f func())
	// Context ends when something has failed, or time is up.
	Context() context.Context
	// Check ends the program, on whichever of its goroutines it is called, unless ok.
	Check(ok bool, format string, args ...any)
	Errorf(format string, args ...any)
	FailNow()
	// Count counts the programs in which something was reached.
	Count(name string)
	// Describe has f say what a program that fails was.
	Describe(f func() string)
}

var _ Host = (*explore.Run)(nil)

// Program is one program under way.
type Program struct {
	Host
	words *words

	mu     Lock
	lines  []line
	stages int
	active []int  // acts under way, by word
	acting int    // those of them that the program has begun
	seen   []bool // words of this stage: acts under way in it, and events
	met    []bool // pairs of words
	shown  map[string]bool
}

// line is one line of a failing program.
type line struct {
	title string
	acts  []*Act
}

// pending is an act with the number of its operation.
type pending struct {
	*Act
	op int
}

func newProgram(h Host, w *words) *Program {
	p := &Program{Host: h, words: w, active: make([]int, len(w.names)), seen: make([]bool, len(w.names)),
		met: make([]bool, len(w.pairs))}
	h.Describe(p.String)
	return p
}

// stage does acts beside each other, and then one after the other what they go on
// with.
func (p *Program) stage(acts []pending, rest func()) {
	p.stages++
	l := line{title: fmt.Sprintf("%2d", p.stages)}
	for _, a := range acts {
		l.acts = append(l.acts, a.Act)
	}
	p.lines = append(p.lines, l)
	acts = slices.DeleteFunc(acts, func(a pending) bool { return a.Do == nil })
	if len(acts) == 0 {
		return
	}
	defer p.meet()
	nexts := make([]Next, len(acts))
	for i, a := range acts {
		p.start(a.op, a.Do, &nexts[i])
	}
	rest()
	for i, a := range acts {
		for do := p.take(&nexts[i]); do != nil; do = p.take(&nexts[i]) {
			p.start(a.op, do, &nexts[i])
			rest()
		}
	}
}

// Named is an act that a world does itself, by the name of its operation.
type Named struct {
	Name string
	*Act
}

// Together does acts of the world's own beside each other, as a stage of the program, and
// then rest. An Act that is nil is left out.
func (p *Program) Together(rest func(), acts ...Named) {
	var all []pending
	for _, a := range acts {
		if a.Act != nil {
			all = append(all, pending{a.Act, p.words.index[a.Name]})
		}
	}
	if len(all) > 0 {
		p.stage(all, rest)
	}
}

// start has a part of an act done beside the program.
func (p *Program) start(word int, f func() Next, next *Next) {
	p.mu.Lock()
	p.acting++
	p.mu.Unlock()
	p.Go(p.words.names[word], func() {
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.acting--
		}()
		p.do(word, f, next)
	})
}

// Acting is how many acts have been begun, and have not returned: in real time, one may not
// even have come to its first statement when the world is to come to rest.
func (p *Program) Acting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acting
}

// do does a part of an act, and leaves what it goes on with.
func (p *Program) do(word int, f func() Next, next *Next) {
	p.begin(word)
	defer p.end(word)
	n := f()
	p.mu.Lock()
	defer p.mu.Unlock()
	*next = n
}

// take is what an act goes on with, once; nil if it has not come so far.
func (p *Program) take(next *Next) Next {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := *next
	*next = nil
	return n
}

// Step adds a line to the program, of what a world does itself.
func (p *Program) Step(text string) {
	p.lines = append(p.lines, line{title: "  ", acts: []*Act{{Text: text}}})
}

// begin and end note that an act is under way.
func (p *Program) begin(word int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, n := range p.active {
		if n > 0 && min(word, other) < p.words.ops {
			p.met[p.words.pair(word, other)] = true
		}
	}
	p.active[word]++
	p.seen[word] = true
}

func (p *Program) end(word int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active[word]--
}

// Event notes that one of the vocabulary's events has happened: it meets the acts
// that are under way in this stage.
func (p *Program) Event(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[p.words.index[name]] = true
}

// During is an event, or an operation, that lasts as long as f does.
func (p *Program) During(name string, f func()) {
	word := p.words.index[name]
	p.begin(word)
	defer p.end(word)
	f()
}

// meet notes which acts of the stage that is over met which of its events.
func (p *Program) meet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for event := p.words.ops; event < len(p.seen); event++ {
		for op := range p.words.ops {
			if p.seen[event] && p.seen[op] {
				p.met[p.words.pair(op, event)] = true
			}
		}
	}
	for word := range p.seen {
		p.seen[word] = p.active[word] > 0
	}
}

// Tried notes that a promise was put to the test.
func (p *Program) Tried(criterion string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown == nil {
		p.shown = make(map[string]bool)
	}
	p.shown[criterion] = true
}

// Violate ends the program: what a criterion asks for does not hold.
func (p *Program) Violate(criterion, format string, args ...any) {
	p.Check(false, criterion+": "+format, args...)
}

// count hands what was met to the exploration. In real time, an act that is late may still
// be at it.
func (p *Program) count() {
	p.mu.Lock()
	var names []string
	for i, met := range p.met {
		if met {
			names = append(names, p.words.pairs[i])
		}
	}
	for name := range p.shown {
		names = append(names, triedPrefix+name)
	}
	p.mu.Unlock()
	for _, name := range names {
		p.Count(name)
	}
}

const (
	mostLines = 11
	headLines = 3
)

// String is the program in at most mostLines lines, and what came of each act.
func (p *Program) String() string {
	var lines []string
	for i, l := range p.lines {
		if over := len(p.lines) - mostLines; over > 0 && i >= headLines && i <= headLines+over {
			if i == headLines {
				lines = append(lines, fmt.Sprintf("    ... %d more", over+1))
			}
			continue
		}
		lines = append(lines, l.String())
	}
	return strings.Join(lines, "\n")
}

func (l line) String() string {
	var parts []string
	for _, a := range l.acts {
		text := a.Text
		if a.Result != nil {
			text += ": " + a.Result()
		}
		parts = append(parts, text)
	}
	return strings.TrimRight("  "+l.title+"  "+strings.Join(parts, "  |  "), " ")
}
