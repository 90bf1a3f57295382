package modeltest

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"tensile/stress/explore"
)

// fault is what is wrong with a planted type; a sound twin has none.
type fault string

const (
	none       fault = ""
	loses      fault = "loses"
	duplicates fault = "duplicates"
	reorders   fault = "reorders"
	stale      fault = "stale"
	forgets    fault = "forgets to wake"
)

// list is a queue or a stack.
type list struct {
	fault fault
	lifo  bool
	mu    sync.Mutex
	items []int
	busy  int // with a removal
}

func (l *list) look() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}

func (l *list) Put(v int) struct{} {
	if l.fault == loses { // what is put between the look and the change is gone
		items := append(l.look(), v)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.items = items
		return struct{}{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, v)
	return struct{}{}
}

// taken is what was removed, if there was anything.
type taken struct {
	value int
	ok    bool
}

func (l *list) Take(struct{}) taken {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy++
	if l.fault == duplicates || l.fault == reorders { // others may come in now
		l.mu.Unlock()
		l.mu.Lock()
	}
	l.busy--
	if len(l.items) == 0 {
		return taken{}
	}
	at := 0
	if l.lifo != (l.fault == reorders && l.busy > 0) {
		at = len(l.items) - 1
	}
	v := l.items[at]
	if l.fault != duplicates || l.busy == 0 {
		l.items = slices.Delete(l.items, at, at+1)
	}
	return taken{v, true}
}

func listSpec(lifo bool, f fault) Spec[*list] {
	return Spec[*list]{
		New:  func(testing.TB) *list { return &list{lifo: lifo, fault: f} },
		Init: []int(nil),
		Ops: []Op[*list]{
			Returns("Put", Unique, (*list).Put, func(items []int, v int) ([]int, struct{}) {
				return append(slices.Clip(items), v), struct{}{}
			}),
			Returns("Take", None, (*list).Take, func(items []int, _ struct{}) ([]int, taken) {
				switch {
				case len(items) == 0:
					return items, taken{}
				case lifo:
					return items[:len(items)-1], taken{items[len(items)-1], true}
				}
				return items[1:], taken{items[0], true}
			}),
		},
	}
}

// register has two copies, read by turns.
type register struct {
	fault  fault
	mu     sync.Mutex
	copies [2]int
	reads  int
}

func (r *register) Write(v int) struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies[0] = v
	if r.fault == stale { // others may read now
		r.mu.Unlock()
		r.mu.Lock()
	}
	r.copies[1] = v
	return struct{}{}
}

func (r *register) Read(struct{}) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	return r.copies[r.reads%2]
}

func registerSpec(f fault) Spec[*register] {
	return Spec[*register]{
		New:  func(testing.TB) *register { return &register{fault: f} },
		Init: 0,
		Ops: []Op[*register]{
			Returns("Write", Unique, (*register).Write, func(_, v int) (int, struct{}) { return v, struct{}{} }),
			Returns("Read", None, (*register).Read, func(v int, _ struct{}) (int, int) { return v, v }),
		},
	}
}

// table is a set, and a map of sums.
type table struct {
	fault fault
	mu    sync.Mutex
	sums  map[string]int
}

func (t *table) get(key string) (n int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok = t.sums[key]
	return n, ok
}

// Insert tells whether the key was not there.
func (t *table) Insert(key string) bool {
	if t.fault == duplicates {
		if _, ok := t.get(key); ok {
			return false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.sums[key]; ok && t.fault == none {
		return false
	}
	t.sums[key] = 1
	return true
}

func (t *table) Delete(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.sums[key]
	delete(t.sums, key)
	return ok
}

func setSpec(f fault) Spec[*table] {
	name := Of("x", "y")
	with := func(m map[string]int, key string, n int) map[string]int {
		m = maps.Clone(m)
		m[key] = n
		return m
	}
	return Spec[*table]{
		New:  func(testing.TB) *table { return &table{fault: f, sums: map[string]int{}} },
		Init: map[string]int{},
		Ops: []Op[*table]{
			Returns("Insert", name, (*table).Insert, func(m map[string]int, key string) (map[string]int, bool) {
				_, ok := m[key]
				return with(m, key, 1), !ok
			}),
			Returns("Delete", name, (*table).Delete, func(m map[string]int, key string) (map[string]int, bool) {
				_, ok := m[key]
				m = with(m, key, 0)
				delete(m, key)
				return m, ok
			}),
		},
	}
}

// change adds to the sum of a key.
type change struct {
	key string
	n   int
}

func (t *table) Add(c change) struct{} {
	n, _ := t.get(c.key)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault == none {
		n = t.sums[c.key]
	}
	t.sums[c.key] = n + c.n
	return struct{}{}
}

func (t *table) Sum(key string) int {
	n, _ := t.get(key)
	return n
}

// mapSpec is judged key by key: the model is of one key.
func mapSpec(f fault) Spec[*table] {
	name := Of("x", "y")
	itself := func(key string) string { return key }
	return Spec[*table]{
		New:     func(testing.TB) *table { return &table{fault: f, sums: map[string]int{}} },
		Init:    0,
		Promise: PerKey,
		Ops: []Op[*table]{
			Keyed(Returns("Add", func(s *Source) change { return change{name(s), 1 + s.IntN(2)} }, (*table).Add,
				func(sum int, c change) (int, struct{}) { return sum + c.n, struct{}{} }), func(c change) string { return c.key }),
			Keyed(Returns("Sum", name, (*table).Sum, func(sum int, _ string) (int, int) { return sum, sum }), itself),
		},
	}
}

// semaphore has one permit, for which Acquire waits.
type semaphore struct {
	fault   fault
	mu      sync.Mutex
	free    sync.Cond
	permits int
}

func (s *semaphore) Acquire(struct{}) struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.permits == 0 {
		s.free.Wait()
	}
	s.permits--
	return struct{}{}
}

func (s *semaphore) Release(struct{}) struct{} {
	s.mu.Lock()
	s.permits++
	first := s.permits == 1
	s.mu.Unlock()
	if s.fault == none || first { // the second to come back wakes nobody
		s.free.Signal()
	}
	return struct{}{}
}

func semaphoreSpec(f fault) Spec[*semaphore] {
	return Spec[*semaphore]{
		New: func(testing.TB) *semaphore {
			s := &semaphore{fault: f, permits: 1}
			s.free.L = &s.mu
			return s
		},
		Init: 1,
		Ops: []Op[*semaphore]{
			Waiting(
				Returns("Acquire", None, (*semaphore).Acquire, func(n int, none struct{}) (int, struct{}) { return n - 1, none }),
				func(n int, _ struct{}) bool { return n <= 0 }),
			Returns("Release", None, (*semaphore).Release, func(n int, none struct{}) (int, struct{}) { return n + 1, none }),
		},
	}
}

func TestPlantedFaultsAreNamed(t *testing.T) {
	if out := Try(t, listSpec(false, none), explore.Schedules(1)); !out.Controlled {
		t.Skip("schedules are not controlled:", out.Reason)
	}
	for _, c := range []struct {
		name string
		try  func(*testing.T, ...explore.Option) explore.Outcome
		says string // nothing: a sound twin
	}{
		{"queue", tried(listSpec(false, none)), ""},
		{"queue that loses", tried(listSpec(false, loses)), "not linearizable: after Put("},
		{"queue that duplicates", tried(listSpec(false, duplicates)), "not linearizable: after Put("},
		{"queue that reorders", tried(listSpec(false, reorders)), "not linearizable: after Put("},
		{"stack", tried(listSpec(true, none)), ""},
		{"stack that loses", tried(listSpec(true, loses)), "not linearizable: after Put("},
		{"stack that duplicates", tried(listSpec(true, duplicates)), "not linearizable: after Put("},
		{"stack that reorders", tried(listSpec(true, reorders)), "not linearizable: after Put("},
		{"register", tried(registerSpec(none)), ""},
		{"register with a stale read", tried(registerSpec(stale)), ": Read() must return "},
		{"set", tried(setSpec(none)), ""},
		{"set that inserts twice", tried(setSpec(duplicates)), "must return false, not true"},
		{"map", tried(mapSpec(none)), ""},
		{"map with a lost update", tried(mapSpec(loses)), ": not linearizable by key: after Add("},
		{"semaphore", tried(semaphoreSpec(none)), ""},
		{"semaphore that forgets to wake", tried(semaphoreSpec(forgets)), "Acquire() must not wait"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := c.try(t, explore.Schedules(1500))
			switch f := out.Failure; {
			case c.says == "":
				assert.Nil(t, f, "%v", out)
			case f == nil:
				assert.Fail(t, "the fault was not found", "%v", out)
			default:
				t.Logf("after %d schedules: %s", f.After, f.Sentence)
				assert.Contains(t, f.Sentence, c.says)
				assert.Equal(t, 10, f.Replays)
			}
		})
	}
}

func tried[T any](s Spec[T]) func(*testing.T, ...explore.Option) explore.Outcome {
	return func(t *testing.T, options ...explore.Option) explore.Outcome { return Try(t, s, options...) }
}

// What comes first may still wait when what comes last begins. With points at memory in this
// package too, each finds its own record of what it does.
func TestTheRecordIsWholeAtEveryPoint(t *testing.T) {
	if out := tried(semaphoreSpec(none))(t, explore.Memory(), explore.Schedules(5000)); out.Controlled {
		assert.Nil(t, out.Failure, "%v", out)
	}
}
