package exchange

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tensile/stress/internal/pipe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStateFootprint(t *testing.T) {
	s, f := new(State), new(Frame)
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Answer(f) }))
}

func TestReplies(t *testing.T) {
	answer := func(s *State, connection, n uint64) Frame {
		var f Frame
		f.Request(connection, n)
		s.Answer(&f)
		return f
	}
	var own, other State
	first, second := answer(&own, 7, 1), answer(&own, 7, 2)
	foreign := answer(&other, 8, 1)
	damaged := second
	damaged[20] ^= 1
	var late State
	for _, c := range []struct {
		name  string
		reply Frame
		want  Verdict
	}{
		{"the right one", second, Right},
		{"an earlier one", first, Duplicated},
		{"of another connection", foreign, Misrouted},
		{"damaged", damaged, Corrupted},
		{"nothing", Frame{}, Corrupted},
		{"not asked yet", answer(&own, 7, 3), Corrupted},
		{"from a state that was lost", answer(&late, 7, 2), Stale},
		{"from the state of another connection", answer(&other, 7, 2), Stale},
	} {
		assert.Equal(t, c.want, Check(&c.reply, 7, 2), c.name)
	}
}

func FuzzCheck(f *testing.F) {
	var s State
	var r Frame
	r.Request(3, 1)
	f.Add(r[:], uint64(3), uint64(1))
	s.Answer(&r)
	f.Add(r[:], uint64(3), uint64(1))
	f.Add([]byte{}, uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, raw []byte, connection, n uint64) {
		var reply, want Frame
		copy(reply[:], raw)
		if Check(&reply, connection, n) != Right {
			return
		}
		// Only one reply is right.
		var s State
		if n > 1 {
			s.last.Request(connection, n-1)
			s.connection, s.answered = connection, n-1
		}
		want.Request(connection, n)
		s.Answer(&want)
		if reply != want {
			t.Fatalf("%x passes as the reply to request %d of connection %d, which is %x", reply, n, connection, want)
		}
	})
}

// serve answers on one connection after the other as reply says, until they end.
func serve(t *testing.T, reply func(i int, s *State, f *Frame, c net.Conn) error) *pipe.Listener {
	l := pipe.Listen()
	var all sync.WaitGroup
	all.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				s, f := new(State), new(Frame)
				for {
					if _, err := io.ReadFull(conn, f[:]); err != nil {
						return
					}
					if err := reply(i, s, f, conn); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // never fails
		all.Wait()
	})
	return l
}

func right(_ int, s *State, f *Frame, c net.Conn) error {
	s.Answer(f)
	_, err := c.Write(f[:])
	return err
}

func TestFaultsAreNamed(t *testing.T) {
	const n = 20
	mute := time.Hour
	for _, c := range []struct {
		name  string
		reply func(i int, s *State, f *Frame, c net.Conn) error
		want  Account
		says  string
	}{
		{"sound", right, Account{}, ""},
		{"loses one", func(i int, s *State, f *Frame, c net.Conn) error {
			if i == 7 && s.answered == 1 {
				return nil
			}
			return right(i, s, f, c)
		}, Account{Lost: 1}, "got no reply to request 2 within"},
		{"doubles one", func(i int, s *State, f *Frame, c net.Conn) error {
			err := right(i, s, f, c)
			if i == 7 && s.answered == 1 {
				_, err = c.Write(f[:])
			}
			return err
		}, Account{Duplicated: 1}, "got the reply to request 1 again"},
		{"forgets its state", func(i int, s *State, f *Frame, c net.Conn) error {
			if i == 7 && s.answered == 1 {
				*s = State{}
			}
			return right(i, s, f, c)
		}, Account{Stale: 2}, "after 1 requests: the state was lost"},
		{"answers twice", func(i int, s *State, f *Frame, c net.Conn) error {
			if i == 7 && s.answered == 1 {
				g := *f
				s.Answer(&g)
			}
			return right(i, s, f, c)
		}, Account{Stale: 2}, "used twice"},
		{"flips a bit", func(i int, s *State, f *Frame, c net.Conn) error {
			s.Answer(f)
			if i == 7 && s.answered == 2 {
				f[33] ^= 4
			}
			_, err := c.Write(f[:])
			return err
		}, Account{Corrupted: 1}, "answers nothing"},
		{"answers another connection", func(i int, s *State, f *Frame, c net.Conn) error {
			if i == 7 && s.answered == 1 {
				f.setWord(0, 9)
				f.Request(9, 2)
			}
			return right(i, s, f, c)
		}, Account{Misrouted: 1, Stale: 1}, "of connection 9"},
		{"hangs up", func(i int, s *State, f *Frame, c net.Conn) error {
			if i == 7 && s.answered == 1 {
				return io.EOF
			}
			return right(i, s, f, c)
		}, Account{Lost: 1, Broken: 1}, "ended at request 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := serve(t, c.reply)
			patience := mute
			if c.want.Lost > 0 && c.want.Broken == 0 {
				patience = 50 * time.Millisecond
			}
			callers := NewCallers(100, n, patience)
			require.NoError(t, callers.Connect(t.Context(), n, func(context.Context, int) (net.Conn, error) { return l.Dial() }))
			assert.Equal(t, Account{Connected: n, Held: n, Touched: n, Sent: n, Answered: n}, callers.Account())
			callers.Forget()
			callers.Touch(t.Context(), 2*n, 0)
			a := callers.Account()
			if c.says != "" && assert.NotEmpty(t, a.Examples) {
				assert.Contains(t, a.Examples[0], c.says)
			}
			if c.want.Lost == 0 {
				assert.Equal(t, n, a.Touched)
				assert.Equal(t, 3*n, a.Sent)
				assert.Equal(t, 3*n-c.want.Misrouted-c.want.Stale-c.want.Corrupted, a.Answered)
			}
			assert.Equal(t, n-max(c.want.Lost, c.want.Broken), a.Held)
			a = Account{
				Lost: a.Lost, Duplicated: a.Duplicated, Misrouted: a.Misrouted, Stale: a.Stale, Corrupted: a.Corrupted,
				Broken: a.Broken, Open: a.Open,
			}
			assert.Equal(t, c.want, a)
			callers.Close()
			assert.Zero(t, callers.Account().Held)
		})
	}
}

func TestFinish(t *testing.T) {
	const n = 10
	for _, c := range []struct {
		name string
		last func(i int, c net.Conn) (open bool) // what the server does on connection i instead of closing it
		want Account
		says string
	}{
		{"sound", func(int, net.Conn) bool { return false }, Account{}, ""},
		{"a late reply", func(i int, c net.Conn) bool {
			if i == 4 {
				_, _ = c.Write(make([]byte, Size)) // a buffer has room
			}
			return false
		}, Account{Duplicated: 1}, "after the last reply"},
		{"leaves one open", func(i int, _ net.Conn) bool { return i == 4 }, Account{Open: 1}, "did not end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := pipe.Listen()
			callers := NewCallers(0, n, 50*time.Millisecond)
			accepted := make(chan net.Conn, n)
			var all sync.WaitGroup
			all.Go(func() {
				for range n {
					conn, err := l.Accept()
					if !assert.NoError(t, err) {
						return
					}
					accepted <- conn
					all.Go(func() {
						var s State
						var f Frame
						if _, err := io.ReadFull(conn, f[:]); assert.NoError(t, err) {
							assert.NoError(t, right(0, &s, &f, conn))
						}
					})
				}
			})
			require.NoError(t, callers.Connect(t.Context(), n, func(context.Context, int) (net.Conn, error) { return l.Dial() }))
			all.Wait()
			for i := range n {
				conn := <-accepted
				if !c.last(i, conn) {
					assert.NoError(t, conn.Close())
				}
			}
			callers.Finish(t.Context())
			a := callers.Account()
			assert.Equal(t, c.want.Duplicated, a.Duplicated)
			assert.Equal(t, c.want.Open, a.Open)
			assert.Equal(t, c.want.Faults(), a.Faults())
			assert.Zero(t, a.Held)
			if c.says != "" && assert.NotEmpty(t, a.Examples) {
				assert.Contains(t, a.Examples[0], c.says)
			}
		})
	}
}

func TestFragments(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(c net.Conn, f []byte) error
		says string
	}{
		{"sound", func(c net.Conn, f []byte) error { _, err := io.ReadFull(c, f); return err }, ""},
		{
			"takes a piece for a request", func(c net.Conn, f []byte) error { _, err := c.Read(f); return err },
			"that came in pieces",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := pipe.Listen()
			var all sync.WaitGroup
			all.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					all.Go(func() {
						var s State
						var f Frame
						for c.read(conn, f[:]) == nil && right(0, &s, &f, conn) == nil {
						}
						_ = conn.Close() // the other end has gone
					})
				}
			})
			callers := NewCallers(0, 2, time.Second)
			require.NoError(t, callers.Connect(t.Context(), 2, func(context.Context, int) (net.Conn, error) { return l.Dial() }))
			err := callers.Fragments(t.Context())
			if c.says == "" {
				assert.NoError(t, err)
				assert.Zero(t, callers.Account().Faults())
				callers.Touch(t.Context(), 2, 0)
				assert.Zero(t, callers.Account().Faults(), "the account must go on behind them")
			} else {
				assert.ErrorContains(t, err, c.says)
			}
			callers.Close()
			_ = l.Close() // never fails
			all.Wait()
		})
	}
}

func TestTouchIsSpreadOverItsTime(t *testing.T) {
	l := serve(t, right)
	callers := NewCallers(0, 10, time.Hour)
	require.NoError(t, callers.Connect(t.Context(), 10, func(context.Context, int) (net.Conn, error) { return l.Dial() }))
	began := time.Now()
	callers.Touch(t.Context(), 20, 100*time.Millisecond)
	assert.GreaterOrEqual(t, time.Since(began), 90*time.Millisecond)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	callers.Touch(ctx, 1000, time.Hour)
	assert.Less(t, callers.Account().Sent, 100)
	callers.Close()
}

func TestConnectSaysWhyNot(t *testing.T) {
	callers := NewCallers(0, 10, time.Second)
	err := callers.Connect(t.Context(), 10, func(context.Context, int) (net.Conn, error) { return nil, net.ErrClosed })
	assert.ErrorIs(t, err, net.ErrClosed)
	assert.ErrorContains(t, err, "of 10")
	callers.Close()
}

// TestLives has connections over TCP come and go in each way.
func TestLives(t *testing.T) {
	for _, c := range []struct {
		name  string
		after func(c net.Conn, over chan struct{}) // what the server does when it has read to the end
		life  Life
		want  Account
		says  string
	}{
		{"hang up without a request", nil, Life{}, Account{}, ""},
		{"hang up in the middle of a request", nil, Life{Sends: Size + 3, Reads: Size},
			Account{Sent: someLives, Answered: someLives}, ""},
		{"reset in the middle of a reply", nil, Life{Sends: 2 * Size, Reads: Size + 1, Goes: Reset},
			Account{Sent: 2 * someLives, Answered: 2 * someLives}, ""},
		{"close their half", nil, Life{Sends: 2*Size + 5, Goes: CloseHalf},
			Account{Sent: 2 * someLives, Answered: 2 * someLives}, ""},
		{"left half open", func(_ net.Conn, over chan struct{}) { <-over }, Life{Sends: Size, Goes: CloseHalf},
			Account{Sent: someLives, Answered: someLives, Open: someLives}, "did not close the other"},
		{"more replies than requests", func(c net.Conn, _ chan struct{}) { _, _ = c.Write(make([]byte, Size)) },
			Life{Sends: Size, Goes: CloseHalf},
			Account{Sent: someLives, Answered: someLives, Duplicated: someLives}, "after the last reply"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var all sync.WaitGroup
			over := make(chan struct{})
			all.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					all.Go(func() {
						defer func() { _ = conn.Close() }()
						var s State
						var f Frame
						for err := error(nil); err == nil; {
							if _, err = io.ReadFull(conn, f[:]); err == nil {
								err = right(0, &s, &f, conn)
							}
						}
						if c.after != nil {
							c.after(conn, over)
						}
					})
				}
			})
			patience := time.Minute
			if c.want.Open > 0 {
				patience = time.Second
			}
			callers := NewCallers(0, 1, patience)
			require.NoError(t, callers.Live(t.Context(), someLives, func(int) Life { return c.life },
				func(ctx context.Context, _ int) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
				}))
			close(over)
			require.NoError(t, l.Close())
			all.Wait()
			a := callers.Account()
			if c.says != "" && assert.NotEmpty(t, a.Examples) {
				assert.Contains(t, a.Examples[0], c.says)
			}
			a.Examples = nil
			assert.Equal(t, c.want, a)
		})
	}
}

// someLives is how many lives TestLives has.
const someLives = 5
