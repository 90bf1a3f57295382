package powercut

import (
	"fmt"
	"math/rand/v2"
	"syscall"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/recorder"
)

// Conditions are what goes wrong beside a power cut. The zero value is nothing.
type Conditions struct {
	// Run is of calls of the program. An operation may fail then, and the process may end.
	Run Fault `json:",omitzero"`
	// Recovery is of calls by which what was left is opened. That may fail then; whoever
	// opens it afterwards must find what is owed all the same.
	Recovery Fault `json:",omitzero"`
	// ClockBack puts the clock back for those who open what was left.
	ClockBack bool `json:",omitempty"`
}

// Fault makes one call fail, or several in a row; the zero value none.
type Fault struct {
	Kind faultKind
	Nth  int // of the calls that can fail that way, from 0; beyond their number it begins anew
}

// faultKind is what becomes of the calls.
type faultKind string

// The kinds of faults.
const (
	fails    faultKind = "change fails"       // a call that changes something ends with EIO
	short    faultKind = "write is short"     // it is carried out by half, and says so
	noRoom   faultKind = "call finds no room" // ENOSPC, for a few calls; a write before them is short
	unsynced faultKind = "sync fails"         // with EIO, and what it should bring to the disk is dropped
	unread   faultKind = "read fails"         // with EIO
)

// What is likely to happen: a program writes more than it reads, and what opens again what
// was left reads more than it writes.
var (
	whileRunning    = []faultKind{fails, short, noRoom, unsynced, unsynced, unread}
	whileRecovering = []faultKind{fails, short, noRoom, unsynced, unread, unread, unread}
)

// roomless is for how many calls there is no room.
const roomless = 2

// concerns tells whether a call can fail in that way.
func (k faultKind) concerns(e *crashstates.Event) bool {
	switch e.Kind {
	case crashstates.Sync, crashstates.Datasync:
		return k == unsynced
	case crashstates.Read:
		return k == unread
	case crashstates.Write:
		return k == fails || k == short || k == noRoom
	case crashstates.Create, crashstates.Mkdir, crashstates.Link, crashstates.Allocate:
		return k == fails || k == noRoom
	}
	return k == fails
}

func (f Fault) String() string {
	if f.Nth == 0 {
		return fmt.Sprintf("the first %s", f.Kind)
	}
	return fmt.Sprintf("after %d others a %s", f.Nth, f.Kind)
}

// injector makes calls fail.
type injector struct {
	f      Fault
	seen   int  // calls of the kind
	struck bool // the fault has had an effect
}

// fault is for recorder.Options.
func (j *injector) fault(e *crashstates.Event) (f recorder.Fault) {
	if j.f.Kind == "" || !j.f.Kind.concerns(e) {
		return f
	}
	after := j.seen - j.f.Nth
	j.seen++
	half := recorder.Fault{Short: (len(e.Data) + 1) / 2}
	switch {
	case after < 0 || after > 0 && (j.f.Kind != noRoom || after >= roomless):
		return f
	case j.f.Kind == short:
		f = half
	case j.f.Kind == noRoom && after == 0 && e.Kind == crashstates.Write:
		f = half
	case j.f.Kind == noRoom:
		f.Errno = int(syscall.ENOSPC)
	default:
		f.Errno = int(syscall.EIO)
	}
	j.struck = true
	return f
}

// DrawConditions draws the conditions of a program by its number: those of the first
// programs, and of one of four others, are nothing.
func DrawConditions(random *rand.Rand, number int) (c Conditions) {
	const calm, shares, calls = 3, 8, 1000
	if number < calm {
		return c
	}
	draw := func(kinds []faultKind) Fault {
		return Fault{Kind: kinds[random.IntN(len(kinds))], Nth: random.IntN(calls)}
	}
	switch random.IntN(shares) {
	case 0, 1, 2:
		c.Run = draw(whileRunning)
	case 3, 4:
		c.Recovery = draw(whileRecovering)
	case 5:
		c.ClockBack = true
	}
	return c
}

// Smaller are conditions with less in them.
func (c Conditions) Smaller() (all []Conditions) {
	for _, less := range []Conditions{
		{}, {Run: c.Run, ClockBack: c.ClockBack}, {Recovery: c.Recovery, ClockBack: c.ClockBack},
		{Run: c.Run, Recovery: c.Recovery},
	} {
		if less != c {
			all = append(all, less)
		}
	}
	for n := range min(c.Run.Nth, earlier) {
		less := c
		less.Run.Nth = n
		all = append(all, less)
	}
	return all
}

// earlier is how many of the first calls a fault is moved to, so that fewer are needed before it.
const earlier = 4

func (c Conditions) String() string {
	text := ""
	say := func(format string, args ...any) {
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf(format, args...)
	}
	if c.Run.Kind != "" {
		say("while the program runs, %v", c.Run)
	}
	if c.Recovery.Kind != "" {
		say("while what is left is opened, %v", c.Recovery)
	}
	if c.ClockBack {
		say("what is left is opened when the clock is %v back", clockBack)
	}
	return text
}
