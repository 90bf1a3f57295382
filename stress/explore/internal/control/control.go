// Package control runs a function under a controlled schedule of its goroutines, in a
// binary whose runtime has the additions of package overlay.
package control

import (
	"fmt"
	"strings"
	"unsafe"
)

// hook is the runtime's entry; nil in a binary without the overlay.
//
//go:linkname hook runtime.exploreHook
var hook func(op uintptr, arg unsafe.Pointer)

// Operations of the hook; the types that they take are laid out alike there.
const (
	opBubble uintptr = iota
	opBegin
	opStop
	opDone
	opAwait
	opEnd
	opSelf
	opGoroutines
	opRaces
	opReturned
)

// Available reports whether this binary was built with the overlay.
func Available() bool { return hook != nil }

// Strategy says how the next goroutine is chosen.
type Strategy uint32

// The strategies.
const (
	Plan   Strategy = iota // as Args.Plan says; else no preemption, first come, first served
	Random                 // uniform among those that can run
	PCT                    // Burckhardt et al., ASPLOS 2010
	POS                    // Yuan, Yang, Gu, CAV 2018
)

// Kinds of points, as bits of Args.Kinds.
const (
	Sync   uint32 = 1<<17 - 1 | 1<<19 // locks, channels, timers, atomic operations
	Memory uint32 = 1<<17 | 1<<18     // reads and writes, where they are instrumented
)

// kinds are the names of the kinds of points.
var kinds = [...]string{"go", "Gosched", "send", "receive", "close", "select", "Lock", "TryLock",
	"Unlock", "RLock", "RUnlock", "WaitGroup.Add", "WaitGroup.Wait", "Cond.Wait", "Cond.Signal",
	"atomic load", "atomic store", "read", "write", "timer"}

// Args says how to run a region.
type Args struct {
	Seed     uint64 // of random numbers, and of what else the region draws
	Order    uint64 // of the strategy
	Length   uint64 // points among which PCT draws
	Max      uint64 // points after which the schedule is ended; ten times as many after Over
	Ahead    int64  // ns that the clock may be ahead of the last idle instant; 0 for no bound
	Strategy Strategy
	Depth    uint32     // of PCT: one more than its changes of priority
	Kinds    uint32     // set of the kinds that are points
	Pass     uint32     // of 65,536 points: how many let time pass
	Plan     []Decision // by key
	Record   []Decision // filled with what deviates from an empty plan
	Steps    []Step     // filled with the points passed
	Made     []Made     // filled with the goroutines made, by number
	Sites    *Sites     // nil: every instrumented access to memory is a point
}

// Decision is the choice of a goroutine at one of its points. Its key holds the
// number of the goroutine, of the decision, and whether it was to let time pass.
type Decision struct {
	Key uint64
	To  uint32 // goroutine that runs next
	_   uint32
}

// Key makes the key of a decision.
func Key(goroutine, n uint32, time bool) uint64 {
	key := uint64(goroutine)<<33 | uint64(n)<<1
	if time {
		key |= 1
	}
	return key
}

// Split takes a key apart.
func (d Decision) Split() (goroutine, n uint32, time bool) {
	return uint32(d.Key >> 33), uint32(d.Key >> 1), d.Key&1 != 0
}

// Step is a point that a goroutine passed, or where it could not go on.
type Step struct {
	Goroutine, N uint32
	Code         uint8 // of the kind of point
	Passed       bool  // time passed here
	Blocked      bool  // no point: it could not go on or ended, and To was picked
	_            uint8
	To           uint32 // the goroutine that was preferred here; 0 for none
	Addr         uintptr
	Now          int64
	PCs          [24]uintptr
}

// Kind names the operation at the point.
func (s *Step) Kind() string { return kinds[s.Code] }

// Preempted reports whether the goroutine could have gone on there, and had to wait.
func (s *Step) Preempted() bool { return !s.Blocked && s.To != 0 && s.Kind() != "Gosched" }

// Made says where a goroutine came from.
type Made struct {
	Parent uint32
	_      uint32
	GoPC   uintptr // of the go statement
	Start  uintptr // of the function
}

const siteTable = 1 << 13

// Sites are the places whose accesses to memory are points, and how they are
// learned: where goroutines were seen to share a word.
type Sites struct {
	Learn  bool
	N      int
	Places [siteTable]uintptr
	Words  [siteTable]struct {
		Word, PC  uintptr
		Goroutine uint32
		Shared    bool
	}
}

// End says how a schedule ended.
type End uint32

// The ways to end.
const (
	Returned End = iota // all goroutines have ended, or those left wait for good
	Limit               // after Args.Max points, or what was left after Over still goes on
	Panicked
	Fatal
	Stopped
)

type result struct {
	points, switches, passes, hash uint64
	recorded, stepped              int
	goroutines                     uint32
	end                            End
	panicked                       any
	message                        string
	pcs                            []uintptr
}

// Result is how a schedule went.
type Result struct {
	Points, Switches, Passes uint64
	Hash                     uint64 // of the order of all points
	Recorded, Stepped        int    // lengths that the buffers of Args would need
	Goroutines               int
	End                      End
	Deadlock                 bool // nobody could run before the function returned
	Left                     []Goroutine
	Message                  string    // of a panic or a fatal error
	PCs                      []uintptr // where it happened
	Races                    int       // data races reported meanwhile
}

// Goroutine is one that was left over.
type Goroutine struct {
	ID      uint32
	Durable bool   // only its own region could have woken it
	Reason  string // for which it waits, Running if it does not
	PCs     []uintptr
}

// Running is the reason of a goroutine that could go on when the schedule ended.
const Running = "running"

// Run runs f in a bubble of virtual time under the schedule that a describes. It
// needs GOMAXPROCS=1, and is for one caller at a time. If the schedule was ended
// before f returned, its goroutines stay as they are for good.
func Run(f func(), a *Args) Result {
	var failed any // what the bubble said when it ended
	body := func() {
		hook(opBegin, unsafe.Pointer(a))
		f()
	}
	races := raceErrors()
	go func() {
		defer hook(opDone, nil)
		defer func() { failed = recover() }()
		hook(opBubble, unsafe.Pointer(&body))
	}()
	hook(opAwait, nil)
	var r result
	hook(opEnd, unsafe.Pointer(&r))
	out := Result{Points: r.points, Switches: r.switches, Passes: r.passes, Hash: r.hash, Recorded: r.recorded,
		Stepped: r.stepped, Goroutines: int(r.goroutines), End: r.end, Message: r.message, PCs: r.pcs,
		Races: raceErrors() - races}
	if r.end == Panicked {
		out.Message = text(r.panicked)
	}
	if r.end == Limit {
		hook(opGoroutines, unsafe.Pointer(&out.Left))
	}
	if failed != nil && r.end == Returned {
		// The bubble's own words: it knows two ways to end with goroutines left.
		out.Deadlock = strings.Contains(text(failed), "all goroutines in bubble are blocked")
		hook(opGoroutines, unsafe.Pointer(&out.Left))
	}
	return out
}

// text is the message of a panic.
func text(panicked any) string {
	if err, ok := panicked.(error); ok {
		return err.Error()
	}
	return fmt.Sprint(panicked)
}

// Stop ends the schedule from within, for good. It does not return.
func Stop() { hook(opStop, nil) }

// Over says that the function under test has returned. What it left behind may go on
// for a while: where Args.Max points are passed, each that can run has its turn, and
// time passes too.
func Over() { hook(opReturned, nil) }

// Self is the number of the calling goroutine in its region; 1 is f's.
func Self() (id uint32) {
	hook(opSelf, unsafe.Pointer(&id))
	return id
}

// raceErrors is the number of data races that the race detector has reported.
func raceErrors() (n int) {
	hook(opRaces, unsafe.Pointer(&n))
	return n
}
