package registry_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/registry"
)

// letter says who sent it, and as which of those to the same name.
type letter struct{ sender, number int }

// inbox is one life of a name. It notes what came, and whether two handlers
// were ever in it at once.
type inbox struct {
	inside   atomic.Bool
	overlaps atomic.Int32
	letters  []letter // written by one handler at a time, if the registry is sound
}

func (i *inbox) handle(l letter) {
	if i.inside.Swap(true) {
		i.overlaps.Add(1)
	}
	i.letters = append(i.letters, l)
	if len(i.letters)%100 == 0 {
		runtime.Gosched()
	}
	i.inside.Store(false)
	switch (l.sender*31 + l.number) % 97 {
	case 0:
		panic("on purpose")
	case 1:
		runtime.Goexit()
	}
}

// TestTurmoil has many senders write to names that come and go while handlers
// panic, until the registry is closed in the middle of it. Every letter that was
// accepted came out once, at one life of its name, in order of its sender.
func TestTurmoil(t *testing.T) {
	const names, senders, each = 20, 8, 3000
	r, err := registry.New[letter](registry.Config{Mailbox: 64, OnPanic: func(string, any, []byte) {}})
	require.NoError(t, err)
	var mu sync.Mutex
	lives := make([][]*inbox, names)
	register := func(n int) {
		fresh := &inbox{}
		if err := r.Register(fmt.Sprint(n), fresh.handle); err == nil {
			mu.Lock()
			lives[n] = append(lives[n], fresh)
			mu.Unlock()
		}
	}
	for n := range names {
		register(n)
	}
	accepted := make([]map[int][]int, senders) // by sender and name, the numbers
	var sending, churning sync.WaitGroup
	stop := make(chan struct{})
	churning.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			n := i % (names / 2) // the others are left alone
			if err := r.Unregister(fmt.Sprint(n)); err == nil {
				register(n)
			}
			runtime.Gosched()
		}
	})
	for sender := range senders {
		accepted[sender] = map[int][]int{}
		sending.Go(func() {
			random := rand.New(rand.NewPCG(5, uint64(sender)))
			for number := range each {
				n := random.IntN(names)
				for {
					err := r.Send(fmt.Sprint(n), letter{sender, number})
					if err == nil {
						accepted[sender][n] = append(accepted[sender][n], number)
					}
					if !errors.Is(err, registry.ErrFull) {
						break
					}
					runtime.Gosched()
				}
				if sender == 0 && number == each*9/10 {
					churning.Go(func() { assert.NoError(t, r.Close()) }) // in the middle of it
				}
			}
		})
	}
	sending.Wait()
	close(stop)
	churning.Wait()
	assert.NoError(t, r.Close())

	for n, all := range lives {
		got := map[letter]int{}
		for _, life := range all {
			assert.Zero(t, life.overlaps.Load(), "handlers of a name at once")
			last := map[int]int{}
			for _, l := range life.letters {
				got[l]++
				if at, seen := last[l.sender]; seen {
					assert.Less(t, at, l.number, "order of sender %d at %d", l.sender, n)
				}
				last[l.sender] = l.number
			}
		}
		want := map[letter]int{}
		for sender := range senders {
			for _, number := range accepted[sender][n] {
				want[letter{sender, number}] = 1
			}
		}
		assert.Equal(t, want, got, "name %d: accepted and handled", n)
	}
}

// TestCloseRefusesOrDelivers: a Send that runs against Close is refused, or is
// handled before Close returns.
func TestCloseRefusesOrDelivers(t *testing.T) {
	for range 300 {
		r := open(t, registry.Config{})
		var handled, accepted atomic.Int64
		require.NoError(t, r.Register("a", func(int) { handled.Add(1) }))
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for r.Send("a", 0) == nil {
					accepted.Add(1)
				}
			})
		}
		require.NoError(t, r.Close())
		atReturn := handled.Load()
		all.Wait()
		require.Equal(t, accepted.Load(), atReturn)
	}
}

// TestManyBlockedHandlers: workers are sent past them, as many as it takes, and
// all of them end.
func TestManyBlockedHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const names = 3000
		r := open(t, registry.Config{})
		hold := make(chan struct{})
		var reached atomic.Int32
		for i := range names {
			name := fmt.Sprint(i)
			require.NoError(t, r.Register("blocked-"+name, func(int) { <-hold }))
			require.NoError(t, r.Register(name, func(int) { reached.Add(1) }))
			require.NoError(t, r.Send("blocked-"+name, 0))
		}
		for i := range names {
			require.NoError(t, r.Send(fmt.Sprint(i), 0))
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		assert.EqualValues(t, names, reached.Load())
		close(hold)
		synctest.Wait()
		assert.NoError(t, r.Close())
	})
}

// TestBlockedNameKeepsItsOrder though its messages are put aside while others
// overtake them.
func TestBlockedNameKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Config{Mailbox: 100})
		hold := make(chan struct{})
		var got []int
		require.NoError(t, r.Register("slow", func(m int) {
			if m%10 == 0 {
				<-hold
			}
			got = append(got, m)
		}))
		for m := range 100 {
			require.NoError(t, r.Send("slow", m))
			time.Sleep(time.Millisecond) // each meets its handler in another state
		}
		assert.ErrorIs(t, r.Send("slow", 100), registry.ErrFull)
		close(hold)
		require.NoError(t, r.Close())
		require.Len(t, got, 100)
		assert.IsIncreasing(t, got)
	})
}

func TestRegistryIsQuietWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Config{})
		before := runtime.NumGoroutine()
		for i := range 1000 {
			require.NoError(t, r.Register(fmt.Sprint(i), func(int) {}))
		}
		// Those of an earlier test may still be ending, and the runtime starts some of its
		// own, such as for finalizers.
		const others = 10
		assert.LessOrEqual(t, runtime.NumGoroutine(), before+others, "a name costs no goroutine")
		for i := range 1000 {
			require.NoError(t, r.Send(fmt.Sprint(i), i))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		assert.LessOrEqual(t, runtime.NumGoroutine(), before+others, "nor once its messages are handled")
		require.NoError(t, r.Close())
	})
}

// TestIdleNameIsSmall, beside its text and its handler.
func TestIdleNameIsSmall(t *testing.T) {
	const n = 50_000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("name-", i)
	}
	r := open(t, registry.Config{})
	handle := func(int) {}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for _, name := range names {
		require.NoError(t, r.Register(name, handle))
	}
	assert.Less(t, (heap()-before)/n, uint64(160), "bytes a name")
	runtime.KeepAlive(names)
	require.NoError(t, r.Close())
}

// TestNothingIsPinned: neither messages that were handled, nor the memory of a
// burst that is over.
func TestNothingIsPinned(t *testing.T) {
	type parcel struct {
		content *[64]byte
		_       [15]uint64 // so that lines of them are large
	}
	const n = 100_000
	r, err := registry.New[parcel](registry.Config{Mailbox: n})
	require.NoError(t, err)
	hold := make(chan struct{})
	var handled atomic.Int64
	require.NoError(t, r.Register("a", func(parcel) {
		<-hold
		handled.Add(1)
	}))
	send := func() weak.Pointer[[64]byte] {
		content := new([64]byte)
		require.NoError(t, r.Send("a", parcel{content: content}))
		return weak.Make(content)
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	first := send()
	for range n - 2 {
		send()
	}
	last := send()
	close(hold)
	require.Eventually(t, func() bool { return handled.Load() == n }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool {
		return heap()-before < 4<<20 && first.Value() == nil && last.Value() == nil
	}, time.Minute, 10*time.Millisecond, "a message or the memory of the burst is still there")
	alone := send() // in a line that is kept
	require.Eventually(t, func() bool {
		runtime.GC()
		return handled.Load() == n+1 && alone.Value() == nil
	}, time.Minute, 10*time.Millisecond, "a message is still there")
	require.NoError(t, r.Close())
}

// TestHandlersMayUseTheRegistry, also their own name.
func TestHandlersMayUseTheRegistry(t *testing.T) {
	r := open(t, registry.Config{})
	done := make(chan int)
	require.NoError(t, r.Register("a", func(m int) {
		if m > 0 {
			assert.NoError(t, r.Send("a", m-1))
			return
		}
		assert.NoError(t, r.Unregister("a"))
		assert.NoError(t, r.Register("b", func(m int) { done <- m }))
		assert.NoError(t, r.Send("b", 7))
	}))
	require.NoError(t, r.Send("a", 100))
	assert.Equal(t, 7, <-done)
	require.NoError(t, r.Close())
}

func TestPanicsAreReported(t *testing.T) {
	type report struct {
		name  string
		value any
		stack string
	}
	reports := make(chan report, 3)
	r := open(t, registry.Config{OnPanic: func(name string, value any, stack []byte) {
		reports <- report{name, value, string(stack)}
	}})
	require.NoError(t, r.Register("a", func(m int) {
		if m == 0 {
			panic("on purpose")
		}
		runtime.Goexit()
	}))
	require.NoError(t, r.Send("a", 0))
	require.NoError(t, r.Send("a", 1))
	require.NoError(t, r.Close())
	first, second := <-reports, <-reports
	assert.Equal(t, "a", first.name)
	assert.Equal(t, "on purpose", first.value)
	assert.Contains(t, first.stack, "TestPanicsAreReported")
	assert.Equal(t, "a", second.name)
	assert.Nil(t, second.value, "the goroutine was ended, without a panic")
	assert.Empty(t, reports)
}

func TestNilHandlerIsRefused(t *testing.T) {
	r := open(t, registry.Config{})
	assert.PanicsWithValue(t, `registry: nil handler for "a"`, func() { _ = r.Register("a", nil) })
	assert.Zero(t, r.Len())
	require.NoError(t, r.Close())
}

// TestNamesAreAnyText.
func TestNamesAreAnyText(t *testing.T) {
	r := open(t, registry.Config{})
	got := make(chan string, 3)
	for _, name := range []string{"", "\x00", "a\nb"} {
		require.NoError(t, r.Register(name, func(int) { got <- name }))
		require.NoError(t, r.Send(name, 0))
		assert.Equal(t, name, <-got)
	}
	assert.ErrorContains(t, r.Send("\xff", 0), `"\xff"`)
	require.NoError(t, r.Close())
}
