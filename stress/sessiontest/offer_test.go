package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
)

// TestPartsOfASessionLoad: each session is written by one node, and read by
// another.
func TestPartsOfASessionLoad(t *testing.T) {
	for _, n := range []int{1, 7, 8, 9, 1001} {
		writer := make(map[int]int)
		var read []int
		for node := range 4 {
			l := workload{Node: node, Nodes: 4, Sessions: n}
			for _, s := range l.part() {
				assert.NotContains(t, writer, s)
				writer[s] = node
			}
		}
		assert.Len(t, writer, n)
		for node := range 4 {
			l := workload{Node: node, Nodes: 4, Sessions: n, Read: true}
			for _, s := range l.part() {
				assert.NotEqual(t, node, writer[s])
				read = append(read, s)
			}
			l.Read, l.Rate = false, 1
			for i, s := range l.part() {
				assert.Equal(t, i%2, s%2, "writes and reads take turns")
				assert.Equal(t, s%2 == 0, writer[s] == node)
			}
		}
		assert.Len(t, read, n)
	}
}

// fewSessions are a store in memory. What is asked for while it is held hangs.
type fewSessions struct {
	mu     sync.Mutex
	values map[string][]byte
	hang   chan struct{}
	stale  bool
}

func (f *fewSessions) Put(_ context.Context, key string, value []byte, _ time.Duration) error {
	if f.hang != nil {
		<-f.hang
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stale || f.values[key] == nil {
		f.values[key] = slices.Clone(value)
	}
	return nil
}

func (f *fewSessions) Get(_ context.Context, key string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if value, ok := f.values[key]; ok {
		return value, nil
	}
	return nil, errNoSession
}

var errNoSession = errors.New("no session")

func (f *fewSessions) Delete(context.Context, string) error { return nil }
func (f *fewSessions) Close() error                         { return nil }
func (f *fewSessions) Errors() Errors                       { return Errors{NotFound: errNoSession} }

func TestOfferSessions(t *testing.T) {
	offer := func(f *fewSessions, b *book, l workload) *account {
		l.At, l.Nodes, l.Sessions = time.Now().Add(time.Millisecond).UnixNano(), 1, len(b.acked)
		l.Callers, l.Times = 4, 3
		l.Acked = l.numbers(b)
		a, err := (&childNode{store: f}).offer(l)
		require.NoError(t, err)
		return a
	}
	enter := func(b *book, a *account) {
		l := workload{Nodes: 1, Sessions: len(b.acked)}
		require.NoError(t, l.enter(b, a.Acked))
		assert.Error(t, l.enter(b, a.Acked[1:]))
	}
	synctest.Test(t, func(t *testing.T) {
		f, b := &fewSessions{values: make(map[string][]byte)}, newBook(10)
		a := offer(f, b, workload{})
		enter(b, a)
		assert.Equal(t, uint32(3), b.acked[9].Load())
		a = offer(f, b, workload{Read: true})
		assert.Equal(t, [2]int{30, 0}, [2]int{a.N, a.Left})
		assert.Empty(t, a.Wrong)
		rec := measure.NewRecorder(0)
		rec.Import(a.Samples, 0)
		assert.Equal(t, 30, rec.Latency().N)

		a = offer(f, b, workload{Rate: 1000, Count: 100})
		assert.Equal(t, [3]int{100, 0, 100}, [3]int{a.N, a.Left, a.Open.N})
		assert.Empty(t, a.Wrong)
	})
	synctest.Test(t, func(t *testing.T) {
		f, b := &fewSessions{values: make(map[string][]byte), stale: true}, newBook(10)
		enter(b, offer(f, b, workload{}))
		a := offer(f, b, workload{Read: true})
		assert.Len(t, a.Wrong, mostWrongReads)
		assert.Equal(t, "latest", a.Wrong[0].Criterion)
		assert.Contains(t, a.Wrong[0].What, " has write 1, after write 3 was acknowledged")
	})
	synctest.Test(t, func(t *testing.T) {
		f, b := &fewSessions{values: make(map[string][]byte), hang: make(chan struct{})}, newBook(10)
		a := offer(f, b, workload{})
		assert.Equal(t, [2]int{30, 30}, [2]int{a.N, a.Left})
		assert.Equal(t, fmt.Sprintf("no operation has ended for %v", scenario.Stall), a.Why)
		close(f.hang)
	})
}

// TestDeadline: all that follow each other soon share one, and each has at least
// half of its time.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadline
		first := d.context(time.Second)
		time.Sleep(500 * time.Millisecond)
		assert.True(t, first == d.context(time.Second))
		time.Sleep(time.Nanosecond)
		second := d.context(time.Second)
		assert.False(t, first == second)
		assert.NoError(t, first.Err(), "others are still under it")
		time.Sleep(time.Second)
		synctest.Wait()
		assert.ErrorIs(t, second.Err(), context.DeadlineExceeded)
		d.end()
	})
}
