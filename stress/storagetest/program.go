package storagetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"tensile/stress/internal/powercut"
)

// verb is what an operation does.
type verb string

const (
	appends verb = "append"
	puts    verb = "put"
	deletes verb = "delete"
	batches verb = "put all"
	syncs   verb = "sync"
	saves   verb = "save"
	reopens verb = "close and open"
)

// operation is one call of a program. Its number is that of its value.
type operation struct {
	Verb verb
	Keys []string `json:",omitempty"`
	Size int      `json:",omitempty"` // of the value, in bytes
	By   int      `json:",omitempty"` // the goroutine
}

// program is what is done to a subject. Each goroutine has keys of its own.
type program struct {
	Fresh      bool // the folder is empty before
	Operations []operation
	Conditions powercut.Conditions
}

func (p program) goroutines() int {
	n := 0
	for _, o := range p.Operations {
		n = max(n, o.By+1)
	}
	return n
}

// extra is the number of what is written after a cut.
const extra = 1_000_000

const extraSize = 40

// valueOf is the value of an operation of the program, or extra.
func (p program) valueOf(n int) []byte {
	if n >= extra {
		return powercut.Value(n, extraSize)
	}
	return powercut.Value(n, p.Operations[n].Size)
}

// name says which value of the program some bytes are: its number, or -1 and what
// is wrong with them.
func (p program) name(b []byte) (int, string) {
	n, wrong := powercut.ReadValue(b)
	if wrong == "" && (n < 0 || n >= len(p.Operations) && n < extra) {
		return -1, fmt.Sprintf("the value of an operation %d, which there is not", n)
	}
	return n, wrong
}

// words are the operations in words.
func (p program) words() (all []string) {
	for n, o := range p.Operations {
		text := fmt.Sprintf("%d %s", n, o.Verb)
		if len(o.Keys) > 0 {
			text += " " + strings.Join(o.Keys, ", ")
		}
		switch o.Verb {
		case appends, puts, batches, saves:
			text += fmt.Sprintf(", %d bytes", len(p.valueOf(n)))
		}
		if p.goroutines() > 1 {
			text = string(rune('a'+o.By)) + ": " + text
		}
		all = append(all, text)
	}
	return all
}

// smaller are programs with a little less in them.
func (p program) smaller() (all []program) {
	with := func(operations []operation) {
		less := p
		less.Operations = operations
		all = append(all, less)
	}
	half := len(p.Operations) / 2
	if half > 1 {
		with(p.Operations[half:])
		with(p.Operations[:half])
	}
	if len(p.Operations) > 1 {
		for i := range p.Operations {
			with(slices.Delete(slices.Clone(p.Operations), i, i+1))
		}
	}
	if p.goroutines() > 1 {
		one := slices.Clone(p.Operations)
		for i := range one {
			one[i].By = 0
		}
		with(one)
	}
	for i, o := range p.Operations {
		if o.Size > 100 {
			less := slices.Clone(p.Operations)
			less[i].Size = o.Size / 8
			with(less)
		}
	}
	for _, c := range p.Conditions.Smaller() {
		less := p
		less.Conditions = c
		all = append(all, less)
	}
	return all
}

// sizes of values, in bytes: within a sector, about one, about a page, and several.
var sizes = []int{1, 20, 100, 400, 600, 4_000, 5_000, 9_000}

// draw makes a program of the verbs that a subject has. The first programs are
// short.
func draw(random *rand.Rand, number, goroutines int, verbs []verb) program {
	p := program{Fresh: random.IntN(3) == 0, Conditions: powercut.DrawConditions(random, number)}
	most := min(3+number, 14)
	n := 1 + random.IntN(most)
	by := 1
	beside := 2 // one program in so many has several goroutines
	if p.Conditions.Run.Kind != "" {
		// Who is told of a failure opens again what failed, which no other may use then.
		verbs = append(slices.Clone(verbs), reopens)
		beside = 8
	}
	if number > 0 && random.IntN(beside) == 0 {
		by = 1 + random.IntN(goroutines)
	}
	large := sizes[random.IntN(len(sizes))] // of a program most have one size
	for range n {
		o := operation{Verb: verbs[random.IntN(len(verbs))], By: random.IntN(by), Size: large}
		if o.Verb == reopens && by > 1 {
			o.Verb = verbs[0]
		}
		if random.IntN(3) == 0 {
			o.Size = sizes[random.IntN(len(sizes))]
		}
		key := func() string { return fmt.Sprintf("%c%d", 'a'+o.By, random.IntN(3)) }
		switch o.Verb {
		case puts, deletes:
			o.Keys = []string{key()}
		case batches:
			o.Keys = []string{key(), key(), key()}
			slices.Sort(o.Keys)
			o.Keys = slices.Compact(o.Keys)
		}
		p.Operations = append(p.Operations, o)
	}
	return p
}
