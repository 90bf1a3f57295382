// Package powercut runs code that stores bytes under a folder through power cuts. A [Kit] defines
// what a program is, how a child process runs one, what the child finds when it opens what was left,
// and whether that is right. A [Tester] does the rest:
//
//  1. It runs a program in a child whose file calls are recorded (package recorder).
//  2. It builds the states that the disk may be in after each call (package crashstates).
//  3. It opens each distinct state in another process, with a time limit.
//  4. It judges what was found by what had been confirmed at that moment.
//  5. It records how some of these states are opened, and cuts the power again meanwhile.
//  6. It checks a failure again in a fresh process, shrinks it to the fewest operations, and saves
//     it.
//
// Programs have [Conditions]: calls that fail, and a clock that is put back.
package powercut

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tensile/stress/internal/crashstates"
)

// Kit is what a kit brings. P is a program, F what is found after a cut; both go
// through JSON.
type Kit[P, F any] struct {
	// Prepare, if set, makes what was there long before the program, in a child.
	Prepare func(dir string, program P) error
	// Run runs a program in a child. An operation that fails does not end it.
	Run func(dir string, program P, say Say) error
	// Look opens what is left in a folder, in a child, and uses it. An error says
	// that it cannot be used. Where something was wrong with what was found, it is
	// done once more, patiently: what may take its time is waited for then.
	Look func(dir string, program P, patient bool) (F, error)
	// Recover opens what is left in a folder, in a child, and closes it. It may read what is there
	// and pass it on, but must not use it. The power is cut while it is at work.
	Recover func(dir string, program P, read func(F)) error
	// Conditions are those of a program.
	Conditions func(program P) Conditions
	// Same says how two findings in the same state differ; "" if they need not be told apart.
	Same func(program P, l Ledger, a, b F) string
	// Judge says what is wrong with what was found; nil if nothing is. The
	// ledger holds the operations by number.
	Judge func(program P, l Ledger, found F) *Violation
	// Smaller are programs with a little less in them, the smallest first.
	Smaller func(program P) []P
	// Concurrent tells whether a program has several goroutines.
	Concurrent func(program P) bool
	// Heavy, if set, tells whether a program writes so much that the power is only cut
	// at its end, and only two states looked at by each model: what is there where nothing is
	// lost, and where all is that may be.
	Heavy func(program P) bool
	// Operations are what a program does, in words, by number.
	Operations func(program P) []string
	// Print says in a line or two what was found, and what should have been.
	Print func(program P, l Ledger, found F) string
}

// Violation is what is wrong. Those of one kind have one cause, most likely.
type Violation struct{ Kind, Text string }

// Kinds that every kit has.
const (
	Refused = "refused" // what was left can not be opened, or not be used
	Died    = "died"    // the process ended
	Hangs   = "hangs"   // it did not return in time

	Unstable = "unstable" // what is found changes from one time to the next
)

// Say is what a program in the child says of its operations, by number.
type Say struct{ mark func(string) }

// confirmed begins the mark of an operation that succeeded.
const confirmed = "confirmed"

// Begins says that an operation is called now.
func (s Say) Begins(op int) { s.mark(fmt.Sprintf("begins %d", op)) }

// Confirmed says that it returned without an error. The result is for the ledger.
func (s Say) Confirmed(op int, result string) { s.mark(fmt.Sprintf("%s %d %s", confirmed, op, result)) }

// Failed says that it returned an error.
func (s Say) Failed(op int, err error) { s.mark(fmt.Sprintf("failed %d %v", op, err)) }

// Ledger is what was known of the operations when the power went.
type Ledger []Entry

// Entry is one operation. Times are numbers of events.
type Entry struct {
	Began  int // -1 for one that was not called
	Ended  int // -1 for one that did not return
	Error  string
	Result string
}

// Begun tells whether an operation was called.
func (e Entry) Begun() bool { return e.Began >= 0 }

// Confirmed tells whether it returned without an error.
func (e Entry) Confirmed() bool { return e.Ended >= 0 && e.Error == "" }

// ledgers are the ledger after each mark of a record, the first before all.
func ledgers(r *crashstates.Record, operations int) (all []Ledger, at []int) {
	now := make(Ledger, operations)
	for i := range now {
		now[i] = Entry{Began: -1, Ended: -1}
	}
	all = append(all, now)
	for i, e := range r.Events {
		if e.Kind == crashstates.Mark {
			now = append(Ledger(nil), now...)
			now.note(i, e.Text)
			all = append(all, now)
		}
		at = append(at, len(all)-1)
	}
	return all, at
}

func (l Ledger) note(i int, text string) {
	verb, rest, _ := strings.Cut(text, " ")
	number, rest, _ := strings.Cut(rest, " ")
	var op int
	if _, err := fmt.Sscan(number, &op); err != nil || op < 0 || op >= len(l) {
		return
	}
	switch verb {
	case "begins":
		l[op].Began = i
	case confirmed:
		l[op].Ended, l[op].Result = i, rest
	case "failed":
		l[op].Ended, l[op].Error = i, rest
	}
}

// Options of a Tester.
type Options struct {
	// States bounds the states that are looked at for one program, about.
	States int
	Seed   uint64
	// Linger is how long syncs take at most in programs that are concurrent.
	Linger time.Duration
	// Patience is how long a child may take to run a program, or to look.
	Patience time.Duration
}

// Scope is where the power may go in a program.
type Scope struct {
	Models []crashstates.Model // nil for all
	// AfterOpen has it only go once the first operation was called.
	AfterOpen bool
}

// Counts are what was done.
type Counts struct {
	Programs, Calls int
	States          int // different from each other, over all programs
	Recoveries      int // during which the power was cut again
	Faults          int // programs and recoveries in which a call was made to fail
	Notes           []string
}

func (c *Counts) add(d Counts) {
	c.Programs += d.Programs
	c.Calls += d.Calls
	c.States += d.States
	c.Recoveries += d.Recoveries
	c.Faults += d.Faults
	for _, n := range d.Notes {
		c.note(n)
	}
}

func (c *Counts) note(text string) {
	if !slices.Contains(c.Notes, text) {
		c.Notes = append(c.Notes, text)
	}
}

// count adds the calls of a record.
func (c *Counts) count(r *crashstates.Record) {
	for _, e := range r.Events {
		switch e.Kind {
		case crashstates.Note:
			c.note(e.Text)
		case crashstates.Mark:
		default:
			c.Calls++
		}
	}
}

// found is the answer of a child that has looked.
type found struct {
	Refused string          `json:",omitempty"`
	Found   json.RawMessage `json:",omitempty"`
}
