package registry_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tensile/registry"
)

// life is a name between its registration and its end, and what it must do.
type life struct {
	held    bool  // its handler does not return
	waiting []int // accepted and not handled, in order; held, the first is in the handler
	handled []int
}

// model is a registry kept the obvious way. A handler either returns at once,
// or is held and returns when told to.
type model struct {
	bound  int
	names  map[int]*life
	closed bool
	sent   int
}

func (m *model) send(name int) (*life, error) {
	l, known := m.names[name]
	switch {
	case m.closed:
		return nil, registry.ErrClosed
	case !known:
		return nil, registry.ErrUnknown
	case l.held && len(l.waiting) >= m.bound:
		return nil, registry.ErrFull
	}
	if l.held {
		l.waiting = append(l.waiting, m.sent)
	} else {
		l.handled = append(l.handled, m.sent)
	}
	return l, nil
}

func (m *model) letGo(l *life) {
	l.held = false
	l.handled = append(l.handled, l.waiting...)
	l.waiting = nil
}

// real is the side of a life that the registry sees: what its handler got, and
// the gate at which it is held.
type real struct {
	mu   sync.Mutex
	got  []int
	gate chan struct{} // nil while it is not held
}

func (r *real) handle(m int) {
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	if gate != nil {
		<-gate
	}
	r.mu.Lock()
	r.got = append(r.got, m)
	r.mu.Unlock()
	if m%11 == 0 {
		panic("on purpose") // the message counts as handled
	}
}

func (r *real) all() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

const modelNames = 6

// play has a registry and its model do what two bytes each say, and then lets
// everything go.
func play(t *testing.T, bound byte, steps []byte) {
	synctest.Test(t, func(t *testing.T) {
		m := model{bound: 1 + int(bound)%5, names: map[int]*life{}}
		r, err := registry.New[int](registry.Config{Mailbox: m.bound, OnPanic: func(string, any, []byte) {}})
		require.NoError(t, err)
		lives := map[*life]*real{}
		// settle gives every lane the time to get round handlers that are held.
		settle := func() {
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		compare := func(after string) {
			for l, real := range lives {
				require.Equal(t, l.handled, real.all(), after)
			}
			if !m.closed {
				require.Equal(t, len(m.names), r.Len(), after)
			}
		}
		letGo := func(l *life) {
			real := lives[l]
			m.letGo(l)
			real.mu.Lock()
			gate := real.gate
			real.gate = nil
			real.mu.Unlock()
			close(gate)
		}
		closing := make(chan struct{})
		for ; len(steps) >= 2; steps = steps[2:] {
			what, n := steps[0]%16, int(steps[1])%modelNames
			name := fmt.Sprint("name-", n)
			l, known := m.names[n]
			after := fmt.Sprintf("step %d on %s", what, name)
			switch {
			case what < 3:
				fresh := &real{}
				err := r.Register(name, fresh.handle)
				switch {
				case m.closed:
					require.ErrorIs(t, err, registry.ErrClosed, after)
				case known:
					require.ErrorIs(t, err, registry.ErrTaken, after)
				default:
					require.NoError(t, err, after)
					m.names[n] = &life{}
					lives[m.names[n]] = fresh
				}
			case what == 3:
				err := r.Unregister(name)
				switch {
				case m.closed:
					require.ErrorIs(t, err, registry.ErrClosed, after)
				case !known:
					require.ErrorIs(t, err, registry.ErrUnknown, after)
				default:
					require.NoError(t, err, after)
					delete(m.names, n) // its life goes on while it is held
				}
			case what == 4 && known && !l.held:
				l.held = true
				lives[l].mu.Lock()
				lives[l].gate = make(chan struct{})
				lives[l].mu.Unlock()
			case what == 5:
				for l := range lives {
					if l.held && len(l.waiting)%2 == n%2 {
						letGo(l)
					}
				}
				settle()
			case what == 6 && n == 0 && steps[1] < 64 && !m.closed:
				m.closed = true
				clear(m.names)
				go func() {
					require.NoError(t, r.Close())
					close(closing)
				}()
				synctest.Wait()
			case what > 6:
				for range 1 + int(steps[1])/64 {
					m.sent++
					_, want := m.send(n)
					require.ErrorIs(t, r.Send(name, m.sent), want, after)
					if l != nil && !l.held {
						settle() // or the mailbox would be full by chance
					}
				}
			}
			settle()
			compare(after)
		}
		for l := range lives {
			if l.held {
				letGo(l)
			}
		}
		if !m.closed {
			m.closed = true
			require.NoError(t, r.Close())
		} else {
			<-closing
		}
		compare("closed") // everything accepted was handled by when Close returned
		require.Equal(t, 0, r.Len())
	})
}

func TestRegistryAgainstAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	for range 100 {
		steps := make([]byte, 2*random.IntN(100))
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		play(t, byte(random.Uint32()), steps)
	}
}

func FuzzRegistry(f *testing.F) {
	f.Add(byte(0), []byte("\x00\x00\x04\x00\x07\xff\x07\xff\x03\x00\x00\x00\x07\x00\x05\x00\x05\x01"))
	f.Add(byte(3), []byte("\x00\x00\x04\x00\x07\xff\x06\x00\x05\x00\x05\x01\x07\x00"))
	f.Fuzz(func(t *testing.T, bound byte, steps []byte) {
		if len(steps) <= 300 {
			play(t, bound, steps)
		}
	})
}
