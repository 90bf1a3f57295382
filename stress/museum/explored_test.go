package museum

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/gomodule/redigo/redis"
	"github.com/jackc/puddle"
	puddlev2 "github.com/jackc/puddle/v2"
	"github.com/panjf2000/ants/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
	"tensile/stress/internal/trials"
)

// explored are the bugs of the exhibits, by name, as small as they can be.
var explored = map[string]func(e *explore.Run){
	"redigo":                 redigoExplored,
	"puddle, cancelled":      puddleCancelled,
	"puddle, failed dial":    puddleFailedDial,
	"puddle v2, failed dial": puddle2Explored,
	"hashmap":                hashmapExplored,
	"pond":                   pondExplored,
	"ants":                   antsExplored,
}

// exploredMemory are the packages of exhibits whose operations are functions of
// sync/atomic.
var exploredMemory = map[string][]string{"ants": {"github.com/panjf2000/ants/v2/..."}}

// late is when, in virtual time, whoever still waits will do so forever.
const late = 10 * time.Second

// lastPlace has somebody wait for the only place of a pool under a context that is
// cancelled while the place is given back: it must be there afterwards.
func lastPlace(e *explore.Run, acquire func(context.Context) (release func(), err error)) {
	release, err := acquire(e.Context())
	e.Check(err == nil, "the first acquire failed: %v", err)
	waits, cancel := context.WithCancel(e.Context())
	e.Go("waiter", func() {
		if release, err := acquire(waits); err == nil {
			release()
		}
	})
	e.Go("holder", release)
	e.Go("canceller", cancel)
	e.Wait()
	afterwards, stop := context.WithTimeout(e.Context(), late)
	defer stop()
	release, err = acquire(afterwards)
	e.Check(err == nil, "the place is lost: %v", err)
	release()
}

func redigoExplored(e *explore.Run) {
	pool := &redis.Pool{MaxActive: 1, MaxIdle: 1, Wait: true, Dial: func() (redis.Conn, error) { return idleConn{}, nil }}
	defer pool.Close()
	lastPlace(e, func(ctx context.Context) (func(), error) {
		c, err := pool.GetContext(ctx)
		return func() { _ = c.Close() }, err
	})
}

// idleConn is a connection on which nothing happens.
type idleConn struct{}

func (idleConn) Close() error                   { return nil }
func (idleConn) Err() error                     { return nil }
func (idleConn) Do(string, ...any) (any, error) { return nil, nil }
func (idleConn) Send(string, ...any) error      { return nil }
func (idleConn) Flush() error                   { return nil }
func (idleConn) Receive() (any, error)          { return nil, nil }

func puddleCancelled(e *explore.Run) {
	pool := puddle.NewPool(func(context.Context) (any, error) { return net.Conn(nil), nil }, func(any) {}, 1)
	lastPlace(e, func(ctx context.Context) (func(), error) {
		r, err := pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		return r.Release, nil
	})
}

var errDial = errors.New("nobody answers")

// Of two who want the only place, the first to dial fails: the other is to dial
// then.
func puddleFailedDial(e *explore.Run) {
	var dials atomic.Int32
	pool := puddle.NewPool(func(context.Context) (any, error) {
		if dials.Add(1) == 1 {
			return nil, errDial
		}
		return 1, nil
	}, func(any) {}, 1)
	ctx, stop := context.WithTimeout(e.Context(), late)
	defer stop()
	var unserved atomic.Int32
	for _, name := range []string{"a", "b"} {
		e.Go(name, func() {
			r, err := pool.Acquire(ctx)
			switch {
			case err == nil:
				r.Release()
			case !errors.Is(err, errDial):
				unserved.Add(1)
			}
		})
	}
	e.Wait()
	e.Check(unserved.Load() == 0, "a dial failed, and who waited behind it was not served")
}

// A dial fails after its caller has given up: the next must be served.
func puddle2Explored(e *explore.Run) {
	var dials atomic.Int32
	pool, err := puddlev2.NewPool(&puddlev2.Config[int]{
		MaxSize:    1,
		Destructor: func(int) {},
		Constructor: func(context.Context) (int, error) {
			if dials.Add(1) == 1 {
				time.Sleep(time.Millisecond)
				return 0, errDial
			}
			return 1, nil
		},
	})
	e.Check(err == nil, "NewPool: %v", err)
	ctx, cancel := context.WithCancel(e.Context())
	e.Go("caller", func() {
		if r, err := pool.Acquire(ctx); err == nil {
			r.Release()
		}
	})
	e.Go("canceller", cancel)
	e.Wait()
	within(e, "the next caller gets no answer", func() {
		for {
			r, err := pool.Acquire(e.Context())
			if err == nil {
				r.Release()
				return
			}
		}
	})
}

// within fails the schedule if f does not return.
func within(e *explore.Run, otherwise string, f func()) {
	done := make(chan struct{})
	e.Go("last", func() {
		f()
		close(done)
	})
	select {
	case <-done:
	case <-time.After(late):
		e.Check(false, "%s", otherwise)
	}
}

// Names are registered while the map grows.
func hashmapExplored(e *explore.Run) {
	names := newHashmap()
	const each = 6
	name := func(g, i int) string { return strconv.Itoa(g) + "/" + strconv.Itoa(i) }
	for g := range 3 {
		e.Go("registrar "+strconv.Itoa(g), func() {
			for i := range each {
				names.Add(name(g, i), &box{})
			}
		})
	}
	e.Wait()
	time.Sleep(time.Second) // it grows in the background
	for g := range 3 {
		for i := range each {
			_, ok := names.Get(name(g, i))
			e.Check(ok, "a name that is registered is unknown: %s", name(g, i))
		}
	}
}

// The pool is not stopped: Stop hands its work to a pool of the whole process, which
// a schedule must leave alone.
func pondExplored(e *explore.Run) {
	pool := pond.NewPool(1, pond.WithQueueSize(1), pond.WithContext(e.Context()))
	var ran atomic.Int32
	within(e, "Go does not return", func() {
		done := make(chan struct{})
		const callers = 4
		for range callers {
			e.Go("caller", func() {
				_ = pool.Go(func() { ran.Add(1) })
				done <- struct{}{}
			})
		}
		for range callers {
			<-done
		}
	})
	time.Sleep(time.Second)
	e.Check(ran.Load() == 4, "%d of 4 tasks ran", ran.Load())
}

func antsExplored(e *explore.Run) {
	pool, err := ants.NewPool(1, ants.WithExpiryDuration(time.Minute), ants.WithLogger(log.New(io.Discard, "", 0)))
	e.Check(err == nil, "NewPool: %v", err)
	var ran atomic.Int32
	within(e, "Submit does not return", func() {
		done := make(chan struct{})
		submit := func(task func()) {
			e.Go("caller", func() {
				_ = pool.Submit(task)
				done <- struct{}{}
			})
		}
		submit(func() { panic("a task") })
		submit(func() { ran.Add(1) })
		submit(func() { ran.Add(1) })
		for range 3 {
			<-done
		}
	})
	time.Sleep(time.Second)
	e.Check(ran.Load() == 2, "%d of 2 tasks ran", ran.Load())
	pool.Release()
}

const sideVariable = "TENSILE_EXHIBIT_SIDE"

// TestMuseumExplored measures how soon the bugs are found by package explore, and
// whether the versions without them are accused.
func TestMuseumExplored(t *testing.T) {
	effort := trials.Wanted(t)
	for _, e := range exhibits {
		t.Run(e.name, func(t *testing.T) {
			if name, side := os.Getenv(exhibitVariable), os.Getenv(sideVariable); side != "" {
				if name == e.name {
					e.measure(t, effort, side == "broken")
				}
				return
			}
			for _, side := range []string{"broken", "fixed"} {
				child := exec.Command("go", "test", "-count=1", "-timeout=0", "-v", "-run="+"^TestMuseumExplored$", ".")
				child.Env = append(os.Environ(), exhibitVariable+"="+e.name, sideVariable+"="+side)
				if side == "broken" {
					child.Env = append(child.Env, "GOFLAGS="+os.Getenv("GOFLAGS")+" "+e.flags(t))
				}
				out, err := child.CombinedOutput()
				_, _ = os.Stdout.Write(out) // with the result
				assert.NoError(t, err, side)
			}
		})
	}
}

// measure looks for the bug, or for an alarm on the version without it.
func (x exhibit) measure(t *testing.T, effort trials.Effort, broken bool) {
	f := explored[x.name]
	require.NotNil(t, f, "%s is explored", x.name)
	s := trials.Subject{Group: "museum", Name: x.name,
		Options: []explore.Option{explore.AllowLeft(), explore.Points(50_000)}}
	if packages := exploredMemory[x.name]; packages != nil {
		s.Options = append(s.Options, explore.Memory(packages...))
	}
	if broken {
		s.Run = f
	} else {
		s.Sound = f
	}
	s.Measure(t, effort)
}
