package explore

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tensile/stress/explore/internal/control"
)

const (
	mostLines   = 40 // of an interleaving; the last ones count
	mostColumns = 5  // beyond that, each line names its goroutine
	columnWidth = 44
)

// event is a line of an interleaving.
type event struct {
	goroutine uint32
	text      string
	place     string
	addr      uintptr
	mark      bool // a preemption, or time that passed: always shown
}

// columns draws an interleaving, a column for each goroutine, of the steps that
// matter: operations on what goroutines share, and around preemptions.
func columns(steps []control.Step, titles []string, left []Goroutine) string {
	events := relevant(executed(steps))
	cut := max(len(events)-mostLines, 0)
	events = events[cut:]
	var shown []uint32 // goroutines with a column
	for _, e := range events {
		if !slices.Contains(shown, e.goroutine) {
			shown = append(shown, e.goroutine)
		}
	}
	slices.Sort(shown)
	var b strings.Builder
	if cut > 0 {
		fmt.Fprintf(&b, "(%s before)\n", counted(cut, "step"))
	}
	if len(shown) > mostColumns {
		for _, e := range events {
			fmt.Fprintf(&b, "%-20s %s\n", titleOf(titles, e.goroutine), e.line())
		}
		return b.String()
	}
	width := columnWidths(events, titles, shown)
	header := make([]string, len(shown))
	for i, id := range shown {
		header[i] = titleOf(titles, id)
	}
	b.WriteString(row(header, width))
	for _, e := range events {
		cells := make([]string, len(shown))
		cells[slices.Index(shown, e.goroutine)] = e.line()
		b.WriteString(row(cells, width))
	}
	for _, l := range left {
		fmt.Fprintf(&b, "%v, for good\n", l)
	}
	return b.String()
}

func titleOf(titles []string, id uint32) string {
	if id == 0 || int(id) >= len(titles) {
		return "time"
	}
	return titles[id]
}

func (e event) line() string {
	if e.place == "" {
		return e.text
	}
	return e.text + " " + e.place
}

func columnWidths(events []event, titles []string, shown []uint32) []int {
	width := make([]int, len(shown))
	for i, id := range shown {
		width[i] = utf8.RuneCountInString(titleOf(titles, id))
	}
	for _, e := range events {
		i := slices.Index(shown, e.goroutine)
		width[i] = min(max(width[i], utf8.RuneCountInString(e.line())), columnWidth)
	}
	return width
}

// row is a line of cells, without blanks at its end.
func row(cells []string, width []int) string {
	var b strings.Builder
	for i, cell := range cells {
		fmt.Fprintf(&b, "%-*s", width[i]+2, cell)
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// executed puts the operations in the order in which they happened: a point comes
// before its operation, which waits until its goroutine runs again.
func executed(steps []control.Step) []event {
	var events []event
	pending := make(map[uint32]event) // by goroutine
	now := int64(0)
	resume := func(id uint32) {
		if e, ok := pending[id]; ok {
			delete(pending, id)
			events = append(events, e)
		}
	}
	for i := range steps {
		s := &steps[i]
		if now != 0 && s.Now > now {
			moved := time.Duration(s.Now - now).String()
			events = append(events, event{goroutine: s.Goroutine, mark: true, text: "~ " + moved + " have passed"})
		}
		now = s.Now
		if s.Blocked {
			resume(s.To)
			continue
		}
		e, ok := described(s)
		switch {
		case s.To == 0 && ok:
			events = append(events, e)
		case s.To != 0:
			if ok {
				pending[s.Goroutine] = e
			}
			if s.Preempted() {
				events = append(events,
					event{goroutine: s.Goroutine, mark: true, text: "~ preempted before " + e.text, place: e.place})
			}
			resume(s.To)
		}
	}
	return events
}

// harness begins the functions by which package modeltest starts goroutines and
// waits for them.
const harness = "tensile/stress/modeltest.(*Spec["

// described is the event of a point, and whether it is one to show: not if this
// package made it, unless by Wait or Cancel, nor if package modeltest did.
func described(s *control.Step) (e event, show bool) {
	e = event{goroutine: s.Goroutine, addr: s.Addr, text: s.Kind()}
	if s.Kind() == "select" {
		e.addr = 1 // which channels is not known: as if it were on something shared
	}
	show = true
	frames := runtime.CallersFrames(trimmed(s.PCs[:]))
	for {
		f, more := frames.Next()
		switch {
		case ours(f.Function) && strings.HasPrefix(e.text, "e."):
		case ours(f.Function):
			name := f.Function[strings.LastIndex(f.Function, ".")+1:]
			e.text = "e." + name
			show = name == "Cancel" || name == "Wait" && s.Kind() == "WaitGroup.Wait"
		case strings.HasPrefix(f.Function, harness):
			return e, false
		case f.Function != "" && !standard(f):
			e.place = short(f)
			return e, show
		case f.Function != "" && show && !strings.HasPrefix(f.Function, "runtime."):
			e.text = method(f.Function) // the outermost of the standard library: what the user called
		}
		if !more {
			return e, show && strings.HasPrefix(e.text, "e.")
		}
	}
}

// method shortens sync/atomic.(*Int64).Load to Int64.Load.
func method(function string) string {
	function = lastPart(function)
	if _, after, ok := strings.Cut(function, ".(*"); ok {
		function = strings.Replace(after, ")", "", 1)
	}
	return strings.ReplaceAll(function, "[...]", "")
}

// relevant leaves out what no other goroutine could have seen, and the parts of one
// operation of the standard library.
func relevant(events []event) []event {
	users := make(map[uintptr]uint32) // one of an address, 0 for several
	for _, e := range events {
		if first, ok := users[e.addr]; ok && first != e.goroutine {
			users[e.addr] = 0
		} else if !ok {
			users[e.addr] = e.goroutine
		}
	}
	last := make(map[uint32]int)
	for i, e := range events {
		last[e.goroutine] = i
	}
	var out []event
	for i, e := range events {
		shared := e.addr != 0 && users[e.addr] == 0 || e.addr == 1
		if !e.mark && !shared && last[e.goroutine] != i {
			continue
		}
		if n := len(out); n > 0 && out[n-1].goroutine == e.goroutine && out[n-1].text == e.text && out[n-1].place == e.place {
			continue
		}
		out = append(out, e)
	}
	return out
}
