package found

import (
	"context"
	"testing"
	"time"

	"github.com/Workiva/go-datastructures/queue"
	"github.com/alitto/pond/v2"
	"github.com/jackc/puddle/v2"
	commons "github.com/jolestar/go-commons-pool/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"
)

// What was found shows without package explore too, where it needs no rare order.
func TestPlain(t *testing.T) {
	for name, shows := range map[string]func(t *testing.T){
		"pond: a subpool of a pool with a full queue": func(t *testing.T) {
			parent := pond.NewPool(1, pond.WithQueueSize(1))
			sub := parent.NewSubpool(1)
			started, release := make(chan struct{}), make(chan struct{})
			sub.Submit(func() {
				close(started)
				<-release
			})
			<-started
			last := sub.Submit(func() {})
			parent.Submit(func() {})
			close(release)
			assertHangs(t, func() { _ = last.Wait() })
		},
		"pond: a subpool of a full pool that does not block": func(t *testing.T) {
			parent := pond.NewPool(1, pond.WithQueueSize(1), pond.WithNonBlocking(true))
			sub := parent.NewSubpool(1)
			release := make(chan struct{})
			for range 2 {
				require.NoError(t, parent.Go(func() { <-release }))
			}
			require.NoError(t, sub.Go(func() { t.Error("the task ran") }), "it is accepted")
			close(release)
			assertHangs(t, sub.StopAndWait)
		},
		"puddle: CreateResource beside Reset": func(t *testing.T) {
			making, reset := make(chan struct{}), make(chan struct{})
			p, err := puddle.NewPool(&puddle.Config[string]{MaxSize: 1, Destructor: func(string) {},
				Constructor: func(context.Context) (string, error) {
					close(making)
					<-reset
					return "from before the Reset", nil
				}})
			require.NoError(t, err)
			go func() {
				<-making
				p.Reset()
				close(reset)
			}()
			require.NoError(t, p.CreateResource(t.Context()))
			r, err := p.Acquire(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "from before the Reset", r.Value())
		},
		"go-commons-pool: a failing MakeObject beside BorrowObject": func(t *testing.T) {
			making, fail := make(chan struct{}), make(chan struct{})
			first := true
			config := commons.NewDefaultPoolConfig()
			config.MaxTotal = 1
			p := commons.NewObjectPool(t.Context(), commons.NewPooledObjectFactorySimple(func(context.Context) (any, error) {
				if !first {
					return new(int), nil
				}
				first = false
				close(making)
				<-fail
				return nil, errTask
			}), config)
			go func() { _, _ = p.BorrowObject(t.Context()) }()
			<-making
			time.AfterFunc(200*time.Millisecond, func() { close(fail) }) // the other waits by then
			assertHangs(t, func() { _, _ = p.BorrowObject(t.Context()) })
		},
		"suture: RemoveAndWait with a time-out, twice": func(t *testing.T) {
			s := suture.New("supervisor", suture.Spec{EventHook: func(suture.Event) {}})
			s.ServeBackground(t.Context())
			token := s.Add(service{})
			require.NoError(t, s.RemoveAndWait(token, 0))
			assertHangs(t, func() {
				for range 1000 {
					_ = s.RemoveAndWait(token, time.Nanosecond)
				}
				s.Add(service{})
			})
		},
		"go-datastructures: ExecuteInParallel of an empty queue": func(t *testing.T) {
			q := queue.New(1)
			queue.ExecuteInParallel(q, func(any) {})
			assertHangs(t, func() { q.Len() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shows(t)
		})
	}
}

// assertHangs fails the test if f returns.
func assertHangs(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		t.Error("it returns: the bug is gone")
	case <-time.After(3 * time.Second):
	}
}
