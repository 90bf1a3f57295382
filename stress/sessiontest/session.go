package sessiontest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// session is what is known of one session of a program.
type session struct {
	key   string
	began time.Time // of the program: its operations are by the time since then

	mu  sync.Mutex
	all []recorded
}

func (s *session) add(o recorded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, o)
}

// history is what was done so far.
func (s *session) history() []recorded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// due is when the last write's life is over, and its value; "" if the last write had none, or
// it is not certain which write was the last.
func (s *session) due() (time.Time, string) {
	writes := slices.DeleteFunc(s.history(), func(o recorded) bool { return !o.Write || o.Outcome == "refused" })
	if len(writes) == 0 {
		return time.Time{}, ""
	}
	last := slices.MaxFunc(writes, func(a, b recorded) int { return cmp.Compare(a.Returned, b.Returned) })
	for _, o := range writes {
		if o.Outcome == "unknown" || o != last && o.Returned > last.Invoked {
			return time.Time{}, ""
		}
	}
	if last.Life == 0 {
		return time.Time{}, ""
	}
	return s.began.Add(time.Duration(last.Returned + last.Life)), last.Value
}

// wrong says by which criterion a session is not as it should be, and how; "" if it is.
func (s *session) wrong() (criterion, sentence string) {
	all := s.history()
	if text := unwritten(all); text != "" {
		return "phantom", text
	}
	if linearizable(all) {
		return "", ""
	}
	// The first read by which it is not.
	reads := slices.DeleteFunc(slices.Clone(all), func(o recorded) bool { return o.Write })
	slices.SortFunc(reads, func(a, b recorded) int { return cmp.Compare(a.Returned, b.Returned) })
	low, high := 0, len(reads)-1
	for low < high {
		if mid := (low + high) / 2; linearizable(until(all, reads[mid].Returned)) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return explain(all, reads[low])
}

// until is what was known at a time.
func until(all []recorded, at int64) (known []recorded) {
	for _, o := range all {
		switch {
		case o.Invoked > at || !o.Write && o.Returned > at:
			continue
		case o.Returned > at:
			o.Outcome, o.Returned = "unknown", 0
		}
		known = append(known, o)
	}
	return known
}

// explain says what is wrong with the first read that cannot be.
func explain(all []recorded, read recorded) (criterion, sentence string) {
	var last, source recorded // acknowledged before it, and what it has read
	for _, o := range all {
		if o.Write && o.Outcome == "done" && o.Returned < read.Invoked && o.Returned > last.Returned {
			last = o
		}
		if o.Write && o.Value == read.Value && read.Value != "" {
			source = o
		}
	}
	ms := func(from, to int64) string { return fmt.Sprintf("%.0f ms", float64(to-from)/1e6) }
	at := fmt.Sprintf("%s at %s", read.Key, read.Node)
	acknowledged := fmt.Sprintf("%s, which %s had acknowledged %s before", described(last), last.Node,
		ms(last.Returned, read.Invoked))
	switch {
	case last.Returned == 0:
		return "linearizable", fmt.Sprintf("%s has %q, and later reads and writes do not allow that", at, read.Value)
	case read.Value == "" && last.Life > 0 && read.Returned < last.Invoked+last.Life:
		return "expiry", fmt.Sprintf("%s is gone %s before its time to live is over", at,
			ms(read.Returned, last.Invoked+last.Life))
	case read.Value == "" && last.Value != "":
		return "latest", fmt.Sprintf("%s is not there, after %s", at, acknowledged)
	case last.Value == "" && source.Returned < last.Invoked:
		return "deleted", fmt.Sprintf("%s has %q again, after %s", at, read.Value, acknowledged)
	case source.Value != last.Value && source.Returned < last.Invoked && source.Outcome == "done":
		return "latest", fmt.Sprintf("%s has %q, which is older than %s", at, read.Value, acknowledged)
	case source.Life > 0 && read.Invoked > source.Returned+source.Life:
		return "expiry", fmt.Sprintf("%s is there again %s after its time to live was over, and was gone before", at,
			ms(source.Returned+source.Life, read.Invoked))
	}
	return "linearizable", fmt.Sprintf("%s has %q, and another read before it had a later value; the last write was %s",
		at, read.Value, acknowledged)
}

func described(o recorded) string {
	if o.Value == "" {
		return "its deletion"
	}
	return fmt.Sprintf("%q", o.Value)
}

// linearizable tells whether one copy could have given what was read. What cannot be decided in
// time is taken to be so.
func linearizable(all []recorded) bool {
	return porcupine.CheckOperationsTimeout(model, operationsOn(all), historyCheck) != porcupine.Illegal
}

// operationsOn are the operations on one session as the model sees them. Each life that is
// limited is followed by the end of it.
func operationsOn(all []recorded) (ops []porcupine.Operation) {
	for _, o := range all {
		if o.Outcome == "refused" {
			continue
		}
		op := porcupine.Operation{ClientId: o.Caller, Input: input{write: o.Write, value: o.Value}, Call: o.Invoked,
			Output: o.Value, Return: o.Returned}
		if o.Write {
			op.Output = o.Outcome
		}
		if o.Outcome == "unknown" {
			op.Return = math.MaxInt64 // it may have its effect at any time
		}
		ops = append(ops, op)
		if o.Life > 0 {
			ops = append(ops, porcupine.Operation{ClientId: o.Caller, Input: input{ends: true, value: o.Value},
				Call: o.Invoked + o.Life, Return: math.MaxInt64})
		}
	}
	return ops
}
