package found

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/jackc/puddle/v2"
	commons "github.com/jolestar/go-commons-pool/v2"
	"golang.org/x/sync/semaphore"

	"tensile/stress/explore"
)

var pools = []program{
	{module: "github.com/jackc/puddle/v2", name: "a cancel at the hand-off", run: puddleCancel},
	{module: "github.com/jackc/puddle/v2", name: "Close beside Acquire", run: puddleClose},
	{module: "github.com/jackc/puddle/v2", name: "CreateResource beside Reset", run: puddleReset,
		finds: "a resource from before the Reset is lent"},
	{module: "github.com/jolestar/go-commons-pool/v2", name: "two return, two wait", run: commonsReturn, left: true,
		finds: "an object is idle, and BorrowObject waits"},
	{module: "github.com/jolestar/go-commons-pool/v2", name: "a failing MakeObject beside BorrowObject", run: commonsFail,
		left: true, finds: "there is room for an object, and BorrowObject waits"},
	{module: "github.com/jolestar/go-commons-pool/v2", name: "a cancel at the hand-off", run: commonsCancel, left: true},
	{module: "github.com/failsafe-go/failsafe-go", name: "bulkhead: a cancel at the hand-off", run: bulkheadCancel},
	{module: "golang.org/x/sync", name: "semaphore: a cancel at the hand-off", run: semaphoreCancel},
}

// lastPlace has somebody wait for the only place under a context that is cancelled
// while the place is given back: it must be there afterwards.
func lastPlace(e *explore.Run, acquire func(context.Context) (release func(), err error)) {
	release, err := acquire(e.Context())
	e.Check(err == nil, "the first acquire failed: %v", err)
	waits, cancel := context.WithCancel(e.Context())
	each(e, func() {
		if release, err := acquire(waits); err == nil {
			release()
		}
	}, release, cancel)
	afterwards, stop := context.WithTimeout(e.Context(), late)
	defer stop()
	release, err = acquire(afterwards)
	e.Check(err == nil, "the place is lost: %v", err)
	release()
}

func newPuddle(e *explore.Run, size int32, open *atomic.Int32, value func() int) *puddle.Pool[int] {
	p, err := puddle.NewPool(&puddle.Config[int]{
		MaxSize: size,
		Constructor: func(context.Context) (int, error) {
			open.Add(1)
			return value(), nil
		},
		Destructor: func(int) { open.Add(-1) },
	})
	e.Check(err == nil, "NewPool: %v", err)
	return p
}

func puddleCancel(e *explore.Run) {
	var open atomic.Int32
	p := newPuddle(e, 1, &open, func() int { return 0 })
	lastPlace(e, func(ctx context.Context) (func(), error) {
		r, err := p.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		return r.Release, nil
	})
	p.Close()
	e.Check(open.Load() == 0, "%d resources are open after Close", open.Load())
}

func puddleClose(e *explore.Run) {
	var open atomic.Int32
	p := newPuddle(e, 2, &open, func() int { return 0 })
	use := func() {
		if r, err := p.Acquire(e.Context()); err == nil {
			r.Destroy()
		}
		if r, err := p.TryAcquire(e.Context()); err == nil {
			r.Release()
		}
		for _, r := range p.AcquireAllIdle() {
			r.Release()
		}
		_ = p.CreateResource(e.Context())
	}
	each(e, use, use, p.Close)
	time.Sleep(time.Second)
	e.Check(open.Load() == 0, "%d resources are open after Close", open.Load())
}

// A Reset destroys all resources, and those that are being made as soon as they are
// given back: what is lent afterwards was made afterwards.
func puddleReset(e *explore.Run) {
	var open, generation atomic.Int32
	p := newPuddle(e, 1, &open, func() int { return int(generation.Load()) })
	each(e, func() { _ = p.CreateResource(e.Context()) }, func() {
		p.Reset()
		generation.Add(1)
	})
	r, err := p.Acquire(e.Context())
	e.Check(err == nil, "Acquire: %v", err)
	e.Check(r.Value() == 1, "a resource from before the Reset is lent")
	r.Release()
	p.Close()
}

func newCommons(e *explore.Run, size int, create func(context.Context) (any, error)) *commons.ObjectPool {
	config := commons.NewDefaultPoolConfig()
	config.MaxTotal, config.MaxIdle = size, size
	return commons.NewObjectPool(e.Context(), commons.NewPooledObjectFactorySimple(create), config)
}

func newObject(context.Context) (any, error) { return new(int), nil }

// Two wait for an object, and two are given back: both are served.
func commonsReturn(e *explore.Run) {
	p := newCommons(e, 2, newObject)
	var lent []any
	for range 2 {
		object, err := p.BorrowObject(e.Context())
		e.Check(err == nil, "BorrowObject: %v", err)
		lent = append(lent, object)
	}
	within(e, "an object is idle, and BorrowObject waits", func() {
		borrow := func() { _, _ = p.BorrowObject(e.Context()) }
		each3(e, borrow, borrow, func() {
			for _, object := range lent {
				_ = p.ReturnObject(e.Context(), object)
			}
		})
	})
}

// Of two who want the only object, the first to make it fails: the other makes it.
func commonsFail(e *explore.Run) {
	var made atomic.Int32
	p := newCommons(e, 1, func(context.Context) (any, error) {
		if made.Add(1) == 1 {
			return nil, errTask
		}
		return new(int), nil
	})
	within(e, "there is room for an object, and BorrowObject waits", func() {
		borrow := func() {
			object, err := p.BorrowObject(e.Context())
			if err == nil {
				err = p.ReturnObject(e.Context(), object)
			}
			e.Check(err == nil || errors.Is(err, errTask), "BorrowObject or ReturnObject: %v", err)
		}
		each3(e, borrow, borrow)
	})
}

func commonsCancel(e *explore.Run) {
	p := newCommons(e, 1, newObject)
	lastPlace(e, func(ctx context.Context) (func(), error) {
		object, err := p.BorrowObject(ctx)
		return func() { _ = p.ReturnObject(context.Background(), object) }, err
	})
}

func bulkheadCancel(e *explore.Run) {
	b := bulkhead.New[int](1)
	lastPlace(e, func(ctx context.Context) (func(), error) {
		err := b.AcquirePermitWithMaxWait(ctx, time.Second)
		return b.ReleasePermit, err
	})
}

func semaphoreCancel(e *explore.Run) {
	s := semaphore.NewWeighted(2)
	lastPlace(e, func(ctx context.Context) (func(), error) {
		err := s.Acquire(ctx, 2)
		return func() { s.Release(2) }, err
	})
}
