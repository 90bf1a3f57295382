package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tensile/stress/internal/powercut"
)

// TestStore tests the store that open opens in a folder under power cuts. The test is executed
// again in child processes, where open is called too.
func TestStore(t *testing.T, open func(dir string) (Store, error), o Options) {
	test(t, storeOpener(t, open), o)
}

// TryStore is like TestStore, but returns the outcome instead of failing the test.
func TryStore(t *testing.T, open func(dir string) (Store, error), o Options) Outcome {
	return try(t, storeOpener(t, open), o)
}

func storeOpener(t testing.TB, open func(dir string) (Store, error)) *opener {
	o := &opener{
		open: func(dir string) (subject, error) {
			s, err := open(dir)
			if err != nil {
				return nil, err
			}
			return storeSubject{s}, nil
		},
		verbs: []verb{puts, puts, puts, deletes, reopens},
		judge: judgeStore,
		owed:  owedByStore,
	}
	s, err := open(t.TempDir())
	if err != nil {
		t.Fatalf("storagetest: in an empty folder open returned %v", err)
	}
	if _, ok := s.(Batcher); ok {
		o.verbs = append(o.verbs, batches, batches)
	}
	if _, ok := s.(Syncer); ok {
		o.verbs = append(o.verbs, syncs, syncs)
		o.judge = func(p program, l powercut.Ledger, items []item) *powercut.Violation {
			return judgeStore(p, bySync(p, l), items)
		}
		o.owed = func(p program, l powercut.Ledger) string { return owedByStore(p, bySync(p, l)) }
	}
	if err := s.Close(); err != nil {
		t.Fatalf("storagetest: Close returned %v", err)
	}
	return o
}

type storeSubject struct{ Store }

func (s storeSubject) close() error { return s.Close() }

func (s storeSubject) do(p program, n int, o operation) error {
	switch o.Verb {
	case puts:
		return s.Put(o.Keys[0], p.valueOf(n))
	case deletes:
		return s.Delete(o.Keys[0])
	case batches:
		all := make(map[string][]byte)
		for _, k := range o.Keys {
			all[k] = p.valueOf(n)
		}
		return s.Store.(Batcher).PutAll(all)
	}
	return s.Store.(Syncer).Sync()
}

// extraKey is behind all others in their order.
const extraKey = "z-after"

// extraKeys are those that use sets: one that is new, and one that may be there.
func (p program) extraKeys() []string {
	all := []string{extraKey}
	if keys := p.keys(); len(keys) > 0 {
		all = append(all, keys[0])
	}
	return all
}

func (s storeSubject) use(p program, n int) (err error) {
	for _, key := range p.extraKeys() {
		err = errors.Join(err, s.Put(key, p.valueOf(n)))
	}
	if syncer, ok := s.Store.(Syncer); ok && err == nil {
		err = syncer.Sync()
	}
	return err
}

// keys are those that the program names, in order.
func (p program) keys() []string {
	var all []string
	for _, o := range p.Operations {
		all = append(all, o.Keys...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s storeSubject) read(p program) ([]item, error) {
	keys := append(p.keys(), extraKey)
	items := []item{}
	for _, k := range keys {
		v, ok, err := s.Get(k)
		if err != nil {
			return nil, fmt.Errorf("get of %s: %w", k, err)
		}
		if ok {
			i := item{Key: k}
			i.Value, i.Wrong = p.name(v)
			items = append(items, i)
		}
	}
	if lister, ok := s.Store.(Keyer); ok {
		listed, err := lister.Keys()
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		for _, k := range listed {
			if !slices.ContainsFunc(items, func(i item) bool { return i.Key == k }) {
				items = append(items, item{Key: k, Value: -1, Wrong: "a key that is listed and has no value"})
			}
		}
	}
	return items, nil
}

// bySync is the ledger if only a sync confirms, and confirms what was done before it began.
func bySync(p program, l powercut.Ledger) powercut.Ledger {
	out := slices.Clone(l)
	for n, e := range l {
		if p.Operations[n].Verb == reopens || p.Operations[n].Verb == syncs || !e.Confirmed() {
			continue
		}
		synced := false
		for m, s := range l {
			synced = synced || p.Operations[m].Verb == syncs && s.Confirmed() && s.Began > e.Ended
		}
		if !synced {
			out[n].Ended = -1
		}
	}
	return out
}

// may are the operations whose outcome a key may have: the last that was
// confirmed, -1 for none, and those after it that were called.
func may(p program, l powercut.Ledger, key string) (all []int) {
	all = []int{-1}
	for n, o := range p.Operations {
		if !slices.Contains(o.Keys, key) || !l[n].Begun() {
			continue
		}
		if l[n].Confirmed() {
			all = all[:0]
		}
		all = append(all, n)
	}
	return all
}

// holds is the operation whose value a key has, or -1 where it has none.
func holds(items []item, key string) int {
	for _, i := range items {
		if i.Key == key {
			return i.Value
		}
	}
	return -1
}

func judgeStore(p program, l powercut.Ledger, items []item) *powercut.Violation {
	wrong := func(kind, format string, args ...any) *powercut.Violation {
		return &powercut.Violation{Kind: kind, Text: fmt.Sprintf(format, args...)}
	}
	for _, i := range items {
		if i.Value < 0 {
			return wrong("in part", "%s", i)
		}
	}
	for _, key := range p.keys() {
		has := holds(items, key)
		allowed := may(p, l, key)
		gives := func(n int) int { // what a key has after operation n
			if n < 0 || p.Operations[n].Verb == deletes {
				return -1
			}
			return n
		}
		if slices.ContainsFunc(allowed, func(n int) bool { return gives(n) == has }) {
			continue
		}
		last := allowed[0]
		switch {
		case has < 0:
			return wrong("lost", "%s has no value, and operation %d was confirmed", key, last)
		case !l[has].Begun():
			return wrong("invented", "%s has the value of operation %d, which had not begun", key, has)
		case p.Operations[last].Verb == deletes:
			return wrong("came back", "%s has the value of operation %d again, and its deletion, operation %d, was confirmed",
				key, has, last)
		}
		return wrong("lost", "%s has the value of operation %d, and operation %d was confirmed", key, has, last)
	}
	return judgeBatches(p, l, items)
}

// judgeBatches finds a batch of which only a part is there: one key has a value from before
// the batch, and another has the value of the batch.
func judgeBatches(p program, l powercut.Ledger, items []item) *powercut.Violation {
	for n, o := range p.Operations {
		if o.Verb != batches || !l[n].Begun() {
			continue
		}
		var there, not []string
		for _, key := range o.Keys {
			switch has := holds(items, key); {
			case has == n:
				there = append(there, key)
			case has < n && !laterDelete(p, l, key, n):
				not = append(not, key)
			}
		}
		if len(there) > 0 && len(not) > 0 {
			return &powercut.Violation{Kind: "in part",
				Text: fmt.Sprintf("of operation %d, which puts all at once, %s is there and %s is not",
					n, strings.Join(there, ", "), strings.Join(not, ", "))}
		}
	}
	return nil
}

// laterDelete reports whether a key may have lost its value after operation n.
func laterDelete(p program, l powercut.Ledger, key string, n int) bool {
	for m := n + 1; m < len(p.Operations); m++ {
		if o := p.Operations[m]; o.Verb == deletes && o.Keys[0] == key && l[m].Begun() {
			return true
		}
	}
	return false
}

func owedByStore(p program, l powercut.Ledger) string {
	var all []string
	for _, key := range p.keys() {
		var each []string
		for _, n := range may(p, l, key) {
			switch {
			case n < 0 || p.Operations[n].Verb == deletes:
				each = append(each, "nothing")
			default:
				each = append(each, fmt.Sprintf("what operation %d wrote", n))
			}
		}
		all = append(all, key+": "+strings.Join(each, " or "))
	}
	return strings.Join(all, "; ")
}
