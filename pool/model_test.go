package pool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"tensile/pool"
)

// model is a pool kept the obvious way: who holds a connection, who waits in
// which order, and how many connections are idle. Callers are numbered.
type model struct {
	size, maxWaiters  int
	dialFails, closed bool

	holds   map[int]bool
	waits   []int
	idle    int
	open    int
	outcome map[int]error // of callers that hold nothing and wait no more
}

var errDial = errors.New("dial refused")

// serve gives caller a connection, or the error of a dial.
func (m *model) serve(caller int, connected bool) {
	if !connected {
		if m.dialFails {
			m.outcome[caller] = errDial
			m.free(false)
			return
		}
		m.open++
	}
	m.holds[caller] = true
}

func (m *model) acquire(caller int) {
	switch {
	case m.closed:
		m.outcome[caller] = pool.ErrClosed
	case m.idle > 0:
		m.idle--
		m.serve(caller, true)
	case len(m.holds) < m.size:
		m.serve(caller, false)
	case m.maxWaiters != 0 && len(m.waits) >= max(m.maxWaiters, 0):
		m.outcome[caller] = pool.ErrOverflow
	default:
		m.waits = append(m.waits, caller)
	}
}

// free gives the room of a connection to the first who waits, with the
// connection or without.
func (m *model) free(connected bool) {
	if len(m.waits) > 0 {
		next := m.waits[0]
		m.waits = m.waits[1:]
		m.serve(next, connected)
	} else if connected {
		m.idle++
	}
}

func (m *model) release(caller int) {
	delete(m.holds, caller)
	if m.closed {
		m.open--
		return
	}
	m.free(true)
}

func (m *model) discard(caller int) {
	delete(m.holds, caller)
	m.open--
	m.free(false)
}

func (m *model) giveUp(caller int) {
	m.waits = slices.DeleteFunc(m.waits, func(w int) bool { return w == caller })
	m.outcome[caller] = context.Canceled
}

func (m *model) close() {
	m.closed = true
	for _, w := range m.waits {
		m.outcome[w] = pool.ErrClosed
	}
	m.waits = nil
	m.open -= m.idle
	m.idle = 0
}

// driver takes a pool through the same operations as its model, one at a time:
// an operation is over when every goroutine has come to rest.
type driver struct {
	t      *testing.T
	m      model
	p      *pool.Pool[*link]
	open   map[*link]bool
	mu     sync.Mutex // callers may return at the same time
	leases map[int]pool.Lease[*link]
	errs   map[int]error
	cancel map[int]context.CancelFunc
	ended  bool // Close has returned
}

type link struct{ holder int }

func newDriver(t *testing.T, size, maxWaiters int) *driver {
	d := &driver{
		t:    t,
		m:    model{size: size, maxWaiters: maxWaiters, holds: map[int]bool{}, outcome: map[int]error{}},
		open: map[*link]bool{}, leases: map[int]pool.Lease[*link]{}, errs: map[int]error{},
		cancel: map[int]context.CancelFunc{},
	}
	var err error
	d.p, err = pool.New(pool.Config[*link]{
		MaxSize: size, MaxWaiters: maxWaiters,
		Dial: func(context.Context) (*link, error) {
			if d.m.dialFails {
				return nil, errDial
			}
			l := &link{holder: -1}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.open[l] = true
			require.LessOrEqual(t, len(d.open), size, "connections open")
			return l, nil
		},
		Close: func(l *link) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			require.True(t, d.open[l], "a connection is closed twice")
			require.Equal(t, -1, l.holder, "a connection is closed while it is held")
			delete(d.open, l)
			return nil
		},
	})
	require.NoError(t, err)
	return d
}

func (d *driver) acquire(caller int) {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel[caller] = cancel
	d.m.acquire(caller)
	go func() {
		l, err := d.p.Acquire(ctx)
		d.mu.Lock()
		defer d.mu.Unlock()
		if err != nil {
			d.errs[caller] = err
			return
		}
		require.Equal(d.t, -1, l.Conn().holder, "a connection is lent twice")
		require.True(d.t, d.open[l.Conn()], "a closed connection is lent")
		l.Conn().holder = caller
		d.leases[caller] = l
	}()
	synctest.Wait()
}

func (d *driver) end(caller int, how func(pool.Lease[*link]), as func(int)) {
	l := d.leases[caller]
	delete(d.leases, caller)
	l.Conn().holder = -1
	as(caller)
	how(l)
	synctest.Wait()
}

func (d *driver) giveUp(caller int) {
	d.m.giveUp(caller)
	d.cancel[caller]()
	synctest.Wait()
}

// giveUpServed has the first who waits give up in the instant in which a
// connection comes home to it: it may get either, and must lose nothing.
func (d *driver) giveUpServed(holder int) {
	caller := d.m.waits[0]
	l := d.leases[holder]
	delete(d.leases, holder)
	l.Conn().holder = -1
	d.cancel[caller]()
	l.Release() // the caller has not run since
	synctest.Wait()
	if d.errs[caller] != nil {
		d.m.giveUp(caller)
	}
	d.m.release(holder)
}

func (d *driver) close() {
	d.m.close()
	go func() {
		require.NoError(d.t, d.p.Close())
		d.ended = true
	}()
	synctest.Wait()
}

// compare fails where the pool and its model are not the same.
func (d *driver) compare(after string) {
	d.t.Helper()
	require.Equal(d.t, d.m.holds, held(d.leases), after)
	require.Len(d.t, d.errs, len(d.m.outcome), after)
	for caller, want := range d.m.outcome {
		require.ErrorIs(d.t, d.errs[caller], want, "%s: caller %d", after, caller)
	}
	require.Equal(d.t, d.m.open, len(d.open), "%s: connections open", after)
	s := d.p.Stats()
	require.Equal(d.t, []int{d.m.size, d.m.idle, len(d.m.holds), len(d.m.waits)},
		[]int{s.MaxSize, s.Idle, s.InUse, s.Waiting}, "%s: size, idle, in use, waiting", after)
	require.Equal(d.t, d.m.closed && len(d.m.holds) == 0, d.ended, "%s: Close has returned", after)
}

func held(leases map[int]pool.Lease[*link]) map[int]bool {
	callers := map[int]bool{}
	for caller := range leases {
		callers[caller] = true
	}
	return callers
}

// pick returns one of the callers, in an order that does not depend on the map.
func pick[V any](from map[int]V, at byte) int {
	callers := make([]int, 0, len(from))
	for caller := range from {
		callers = append(callers, caller)
	}
	slices.Sort(callers)
	return callers[int(at)%len(callers)]
}

// play has a pool and its model do what two bytes each say, and then brings
// everything home.
func play(t *testing.T, shape byte, steps []byte) {
	synctest.Test(t, func(t *testing.T) {
		maxWaiters := []int{0, 0, 0, 1, 3, pool.NoWaiters}[int(shape/8)%6]
		d := newDriver(t, 1+int(shape)%4, maxWaiters)
		callers := 0
		for ; len(steps) >= 2; steps = steps[2:] {
			what, at := steps[0]%16, steps[1]
			after := fmt.Sprintf("step %d %d", what, at)
			switch {
			case what < 7:
				callers++
				d.acquire(callers)
			case what < 11 && len(d.leases) > 0:
				d.end(pick(d.leases, at), pool.Lease[*link].Release, d.m.release)
			case what < 13 && len(d.leases) > 0:
				d.end(pick(d.leases, at), pool.Lease[*link].Discard, d.m.discard)
			case what == 13 && len(d.m.waits) > 0 && at%2 == 0:
				d.giveUpServed(pick(d.leases, at/2))
			case what == 13 && len(d.m.waits) > 0:
				d.giveUp(d.m.waits[int(at)%len(d.m.waits)])
			case what == 14:
				d.m.dialFails = at%3 == 0
			case what == 15 && at < 8 && !d.m.closed:
				d.close()
			}
			d.compare(after)
		}
		d.m.dialFails = false
		for len(d.leases) > 0 {
			d.end(pick(d.leases, 0), pool.Lease[*link].Release, d.m.release)
			d.compare("bringing home")
		}
		require.Empty(t, d.m.waits)
		// No capacity was lost: all connections are lent at once.
		if !d.m.closed {
			for i := range d.m.size {
				d.acquire(callers + 1 + i)
			}
			require.Len(t, d.leases, d.m.size)
			for len(d.leases) > 0 {
				d.end(pick(d.leases, 0), pool.Lease[*link].Release, d.m.release)
			}
			d.close()
		}
		d.compare("closed")
		require.Empty(t, d.open)
		for _, cancel := range d.cancel {
			cancel()
		}
	})
}

func TestPoolAgainstAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		steps := make([]byte, 2*random.IntN(120))
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		play(t, byte(random.Uint32()), steps)
	}
}

func FuzzPool(f *testing.F) {
	f.Add(byte(0), []byte("\x00\x00\x00\x00\x00\x00\x0d\x00\x07\x00\x07\x00"))
	f.Add(byte(1), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x0e\x00\x0b\x00\x0b\x00"))
	f.Add(byte(25), []byte("\x00\x00\x00\x00\x00\x00\x0f\x01\x07\x00"))
	f.Fuzz(func(t *testing.T, shape byte, steps []byte) {
		if len(steps) <= 400 {
			play(t, shape, steps)
		}
	})
}
