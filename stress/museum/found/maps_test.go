package found

import (
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/Workiva/go-datastructures/queue"
	"github.com/alphadose/haxmap"
	cmap "github.com/orcaman/concurrent-map/v2"
	"github.com/puzpuzpuz/xsync/v4"

	"tensile/stress/explore"
	"tensile/stress/modeltest"
)

var structures = []program{
	{module: "github.com/puzpuzpuz/xsync/v4", name: "Map against a map", model: model(xsyncMap), memory: true},
	{module: "github.com/puzpuzpuz/xsync/v4", name: "Map: Clear against a map", model: model(xsyncClear), memory: true,
		finds: "not linearizable"},
	{module: "github.com/puzpuzpuz/xsync/v4", name: "Map: Clear while it grows", run: xsyncGrow,
		finds: "what was there before Clear is there after it"},
	{module: "github.com/puzpuzpuz/xsync/v4", name: "MPMCQueue: the order of two producers", run: xsyncQueue},
	{module: "github.com/puzpuzpuz/xsync/v4", name: "RBMutex: readers and writers", run: xsyncMutex, memory: true},
	{module: "github.com/alphadose/haxmap", name: "Set, Get and Del against a map", model: model(haxSimple), memory: true,
		finds: "not linearizable"},
	{module: "github.com/alphadose/haxmap", name: "GetAndDel and CompareAndSwap against a map", model: model(haxSwap),
		memory: true, finds: "not linearizable"},
	{module: "github.com/orcaman/concurrent-map/v2", name: "against a map", model: model(concurrentMap)},
	{
		module: "github.com/Workiva/go-datastructures", name: "Queue: Put and Poll with a time-out",
		model: model(workivaQueue),
	},
	{module: "github.com/Workiva/go-datastructures", name: "RingBuffer: Offer against a bounded queue",
		model: model(workivaRing), memory: true, finds: "not linearizable"},
}

func model[T any](spec func() modeltest.Spec[T]) func(*testing.T, ...explore.Option) explore.Outcome {
	return func(t *testing.T, options ...explore.Option) explore.Outcome {
		return modeltest.Try(t, spec(), options...)
	}
}

// table is the model of a map.
type table = map[string]int

// found is what a map returns of a key.
type found struct {
	value int
	ok    bool
}

// answer leaves out the value of what is not there.
func answer(value int, ok bool) found {
	if !ok {
		return found{}
	}
	return found{value, ok}
}

func at(m table, key string) found {
	value, ok := m[key]
	return found{value, ok}
}

func with(m table, key string, value int) table {
	m = maps.Clone(m)
	if m == nil {
		m = table{}
	}
	m[key] = value
	return m
}

func without(m table, key string) table {
	m = maps.Clone(m)
	delete(m, key)
	return m
}

// entry is a key, and a value that no other operation of the program has.
type entry struct {
	key   string
	value int
}

var keys = modeltest.Of("x", "y", "z")

func entries(s *modeltest.Source) entry { return entry{keys(s), s.Unique()} }

// Operations that maps have, with their models.

func get[T any](name string, call func(T, string) (int, bool)) modeltest.Op[T] {
	return modeltest.Returns(name, keys, func(m T, key string) found {
		return answer(call(m, key))
	}, func(m table, key string) (table, found) { return m, at(m, key) })
}

func set[T any](name string, call func(T, string, int)) modeltest.Op[T] {
	return modeltest.Returns(name, entries, func(m T, e entry) struct{} {
		call(m, e.key, e.value)
		return struct{}{}
	}, func(m table, e entry) (table, struct{}) { return with(m, e.key, e.value), struct{}{} })
}

func remove[T any](name string, call func(T, string)) modeltest.Op[T] {
	return modeltest.Returns(name, keys, func(m T, key string) struct{} {
		call(m, key)
		return struct{}{}
	}, func(m table, key string) (table, struct{}) { return without(m, key), struct{}{} })
}

func take[T any](name string, call func(T, string) (int, bool)) modeltest.Op[T] {
	return modeltest.Returns(name, keys, func(m T, key string) found {
		return answer(call(m, key))
	}, func(m table, key string) (table, found) { return without(m, key), at(m, key) })
}

// getOrSet returns the value there is, or sets the one given and returns it.
func getOrSet[T any](name string, call func(T, string, int) (int, bool)) modeltest.Op[T] {
	return modeltest.Returns(name, entries, func(m T, e entry) found {
		value, ok := call(m, e.key, e.value)
		return found{value, ok}
	}, func(m table, e entry) (table, found) {
		if f := at(m, e.key); f.ok {
			return m, f
		}
		return with(m, e.key, e.value), found{e.value, false}
	})
}

// add sets where there is nothing, and says whether it did.
func add[T any](name string, call func(T, string, int) bool) modeltest.Op[T] {
	return modeltest.Returns(name, entries, func(m T, e entry) bool { return call(m, e.key, e.value) },
		func(m table, e entry) (table, bool) {
			if at(m, e.key).ok {
				return m, false
			}
			return with(m, e.key, e.value), true
		})
}

func xsyncMap() modeltest.Spec[*xsync.Map[string, int]] {
	type subject = *xsync.Map[string, int]
	return modeltest.Spec[subject]{
		New: func(testing.TB) subject {
			m := xsync.NewMap[string, int]()
			return m
		},
		Init: table(nil),
		Ops: []modeltest.Op[subject]{
			get("Load", subject.Load), set("Store", subject.Store), remove("Delete", subject.Delete),
			take("LoadAndDelete", subject.LoadAndDelete), getOrSet("LoadOrStore", subject.LoadOrStore),
			modeltest.Returns("Compute", keys, func(m subject, key string) found {
				value, ok := m.Compute(key, func(old int, loaded bool) (int, xsync.ComputeOp) {
					if old%2 == 1 {
						return 0, xsync.DeleteOp
					}
					return old + 1000, xsync.UpdateOp
				})
				return found{value, ok}
			}, func(m table, key string) (table, found) {
				if m[key]%2 == 1 {
					return without(m, key), found{m[key], false}
				}
				return with(m, key, m[key]+1000), found{m[key] + 1000, true}
			}),
		},
	}
}

// bounded is the model of a queue with room for two: Offer says whether there was
// room, Poll returns 0 if there was nothing.
func bounded[T any](offer func(T, int) bool, poll func(T) int) []modeltest.Op[T] {
	const room = 2
	return []modeltest.Op[T]{
		modeltest.Returns("Offer", modeltest.Unique, offer, func(items []int, v int) ([]int, bool) {
			if len(items) == room {
				return items, false
			}
			return append(slices.Clone(items), v), true
		}),
		modeltest.Returns("Poll", modeltest.None, func(q T, _ struct{}) int { return poll(q) },
			func(items []int, _ struct{}) ([]int, int) {
				if len(items) == 0 {
					return items, 0
				}
				return items[1:], items[0]
			}),
	}
}

func xsyncClear() modeltest.Spec[*xsync.Map[string, int]] {
	type subject = *xsync.Map[string, int]
	return modeltest.Spec[subject]{
		New:  func(testing.TB) subject { return xsync.NewMap[string, int]() },
		Init: table(nil),
		Ops: []modeltest.Op[subject]{
			get("Load", subject.Load), set("Store", subject.Store),
			modeltest.Returns("Clear", modeltest.None, func(m subject, _ struct{}) struct{} {
				m.Clear()
				return struct{}{}
			}, func(table, struct{}) (table, struct{}) { return nil, struct{}{} }),
		},
	}
}

// What was stored long before Clear is gone when all is done, though the map grows
// beside it.
func xsyncGrow(e *explore.Run) {
	m := xsync.NewMap[int, int](xsync.WithPresize(1))
	const before, more = 120, 30
	for i := range before {
		m.Store(i, i)
	}
	each(e, m.Clear, func() {
		for i := range more {
			m.Store(before+i, i)
		}
	})
	_, ok := m.Load(0)
	e.Check(!ok, "what was there before Clear is there after it")
}

// TryEnqueue and TryDequeue may fail where another got in; what they do is in order.
func xsyncQueue(e *explore.Run) {
	q := xsync.NewMPMCQueue[int](2)
	produce := func(first int) func() {
		return func() {
			for i := range 3 {
				for !q.TryEnqueue(first + i) {
					runtime.Gosched()
				}
			}
		}
	}
	last := map[int]int{}
	each(e, produce(10), produce(20), func() {
		for n := 0; n < 6; {
			v, ok := q.TryDequeue()
			if !ok {
				runtime.Gosched()
				continue
			}
			n++
			producer := v / 10
			e.Check(v%10 == last[producer], "%d of %d came in place of %d", v%10, producer, last[producer])
			last[producer]++
		}
	})
}

func xsyncMutex(e *explore.Run) {
	mu := xsync.NewRBMutex()
	readers, writers := 0, 0
	read := func() {
		token := mu.RLock()
		readers++
		e.Check(writers == 0, "a reader is inside with a writer")
		readers--
		mu.RUnlock(token)
	}
	write := func() {
		mu.Lock()
		writers++
		e.Check(writers == 1 && readers == 0, "a writer is inside with another")
		writers--
		mu.Unlock()
	}
	each(e, read, read, write, write)
}

// hax is a map whose hashes are the same in every process.
func hax(testing.TB) *haxmap.Map[string, int] {
	m := haxmap.New[string, int](2)
	m.SetHasher(func(key string) uintptr { return uintptr(key[0]) << 56 })
	return m
}

func haxSimple() modeltest.Spec[*haxmap.Map[string, int]] {
	type subject = *haxmap.Map[string, int]
	return modeltest.Spec[subject]{New: hax, Init: table(nil), Ops: []modeltest.Op[subject]{
		get("Get", subject.Get), set("Set", subject.Set), remove("Del", func(m subject, key string) { m.Del(key) }),
	}}
}

func haxSwap() modeltest.Spec[*haxmap.Map[string, int]] {
	type subject = *haxmap.Map[string, int]
	return modeltest.Spec[subject]{
		New: func(tb testing.TB) subject {
			m := hax(tb)
			m.Set("x", 0)
			return m
		},
		Init: table{"x": 0},
		Ops: []modeltest.Op[subject]{
			modeltest.Returns("CompareAndSwap", modeltest.Below(2),
				func(m subject, old int) bool { return m.CompareAndSwap("x", old, old+1) },
				func(m table, old int) (table, bool) {
					if at(m, "x") != (found{old, true}) {
						return m, false
					}
					return with(m, "x", old+1), true
				}),
			modeltest.Returns("GetAndDel", modeltest.None, func(m subject, _ struct{}) found {
				return answer(m.GetAndDel("x"))
			}, func(m table, _ struct{}) (table, found) { return without(m, "x"), at(m, "x") }),
		},
	}
}

func concurrentMap() modeltest.Spec[cmap.ConcurrentMap[string, int]] {
	type subject = cmap.ConcurrentMap[string, int]
	return modeltest.Spec[subject]{
		New:  func(testing.TB) subject { return cmap.New[int]() },
		Init: table(nil),
		Ops: []modeltest.Op[subject]{
			get("Get", subject.Get), set("Set", subject.Set), remove("Remove", subject.Remove),
			take("Pop", subject.Pop), add("SetIfAbsent", subject.SetIfAbsent),
			modeltest.Returns("Upsert", entries, func(m subject, e entry) int {
				return m.Upsert(e.key, e.value, func(_ bool, old, value int) int { return old + value })
			}, func(m table, e entry) (table, int) {
				return with(m, e.key, m[e.key]+e.value), m[e.key] + e.value
			}),
		},
	}
}

func workivaQueue() modeltest.Spec[*queue.Queue] {
	type subject = *queue.Queue
	return modeltest.Spec[subject]{
		New:  func(testing.TB) subject { return queue.New(2) },
		Init: []int(nil),
		Ops: []modeltest.Op[subject]{
			modeltest.Returns("Put", modeltest.Unique, func(q subject, v int) bool { return q.Put(v) == nil },
				func(items []int, v int) ([]int, bool) { return append(slices.Clone(items), v), true }),
			modeltest.Accepts("Poll", modeltest.None, func(q subject, _ struct{}) int {
				items, err := q.Poll(1, time.Millisecond)
				if err != nil {
					return 0
				}
				if len(items) != 1 {
					return -1
				}
				return items[0].(int)
			}, func(items []int, _ struct{}, v int) ([]int, bool) {
				switch {
				case v == 0: // its time may have been up
					return items, true
				case len(items) == 0:
					return items, false
				}
				return items[1:], items[0] == v
			}),
		},
	}
}

func workivaRing() modeltest.Spec[*queue.RingBuffer] {
	type subject = *queue.RingBuffer
	return modeltest.Spec[subject]{
		New:  func(testing.TB) subject { return queue.NewRingBuffer(2) },
		Init: []int(nil),
		Ops: bounded(func(q subject, v int) bool {
			ok, _ := q.Offer(v)
			return ok
		}, func(q subject) int {
			if q.Len() == 0 {
				return 0
			}
			v, err := q.Poll(time.Nanosecond)
			if err != nil {
				return 0
			}
			return v.(int)
		}),
	}
}
