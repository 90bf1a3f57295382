package chaostest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// The limits of explored workers, in virtual time.
const (
	exploredWorkers  = 2
	exploredRestarts = 3
	exploredWithin   = 4 * time.Second
	exploredHung     = time.Second
	// A supervisor may let deaths decay: after so many times Within each is as good
	// as forgotten.
	forgotten = 4
)

// shift is workers of the subject with what the kit has them do, for one program.
type shift struct {
	*programs.Program
	workers Workers
	watched bool

	mu      programs.Lock
	jobs    []*job
	members [exploredWorkers]member
	working int
	moves   int
	closing bool
	closed  bool
}

// member is one worker.
type member struct {
	starts    []time.Time
	deaths    []time.Time
	disturbed bool // something was done to it
	doubtful  bool // it died so often that it may have been given up
	hung      bool
	failing   int  // how many of the next starts do
	slow      bool // its starts are
}

// job is an operation and what came of it.
type job struct {
	op      uint64
	worker  int
	does    chore
	gate    chan struct{} // what it waits for
	cancel  context.CancelFunc
	left    bool
	inside  bool
	handled int
	done    bool
	err     error
}

type chore int

const (
	works chore = iota
	isSlow
	fails
	dies
	waits
)

var chores = [...]string{"", ", which is slow", ", which fails", ", of which it dies", ", which waits"}

// failure is the error of the handler for one operation.
type failure uint64

func (f failure) Error() string { return fmt.Sprintf("operation %d has failed, on purpose", uint64(f)) }

// Events that operations on workers can meet.
const (
	workerDies  = "worker dies"
	startFails  = "start fails"
	slowStart   = "start is slow"
	workerWaits = "handler waits"
)

// shifts is the vocabulary of programs for workers.
func shifts(open func(testing.TB, WorkersConfig) Workers) *programs.Vocabulary[*shift] {
	return &programs.Vocabulary[*shift]{
		New: func(p *programs.Program, tb testing.TB) *shift {
			s := &shift{Program: p}
			s.workers = open(tb, WorkersConfig{Workers: exploredWorkers, Start: s.start, Restarts: exploredRestarts,
				Within: exploredWithin, Hung: exploredHung})
			_, s.watched = s.workers.(Watched)
			s.Step(fmt.Sprintf("%d workers, which may be restarted %d times within %v",
				exploredWorkers, exploredRestarts, exploredWithin))
			s.Rest()
			return s
		},
		Ops: []programs.Op[*shift]{
			{Name: "Do", Weight: 6, Always: true, Begin: (*shift).beginDo},
			{Name: "Do, dies", Weight: 3, Begin: (*shift).beginDie},
			{Name: "Do, waits", Weight: 3, Begin: (*shift).beginWait},
			{Name: "goes on", Weight: 4, Always: true, Begin: (*shift).beginGoOn},
			{Name: "leave", Weight: 2, Begin: (*shift).beginLeave},
			{Name: "starts fail", Weight: 2, Begin: (*shift).beginFailStart},
			{Name: "die now and then", Weight: 2, Begin: (*shift).beginDieSeldom},
			{Name: "time passes", Weight: 2, Begin: (*shift).beginTime},
			{Name: "Close", Weight: 1, Begin: (*shift).beginClose},
		},
		Events: []string{workerDies, startFails, slowStart, workerWaits},
	}
}

// start is WorkersConfig.Start.
func (s *shift) start(worker int) func(uint64) error {
	s.mu.Lock()
	m := &s.members[worker]
	now := time.Now()
	m.starts = append(m.starts, now)
	s.moves++
	recent := 0
	for _, at := range m.starts {
		if now.Sub(at) < exploredWithin/10 {
			recent++
		}
	}
	fails, slow, closed := m.failing > 0, m.slow, s.closed
	if fails {
		m.failing--
		m.died(now)
	}
	hung := m.hung
	s.mu.Unlock()
	if recent > exploredRestarts+1 && !hung {
		s.Violate("intensity", "worker %d was started %d times within %v: must be restarted %d times at most",
			worker, recent, exploredWithin/10, exploredRestarts)
	}
	if closed {
		s.Violate("explored", "worker %d was started after Close had returned", worker)
	}
	if slow {
		s.Event(slowStart)
		s.busy(func() { time.Sleep(10 * time.Millisecond) })
	}
	if fails {
		s.Event(startFails)
		panic(deadly)
	}
	return func(op uint64) error { return s.handle(worker, op) }
}

// died notes a death; the lock is held.
func (m *member) died(now time.Time) {
	m.disturbed = true
	m.deaths = append(m.deaths, now)
	recent := 0
	for _, at := range m.deaths {
		if now.Sub(at) < forgotten*exploredWithin {
			recent++
		}
	}
	m.doubtful = m.doubtful || recent >= exploredRestarts
}

func (s *shift) handle(worker int, op uint64) error {
	s.mu.Lock()
	s.moves++
	j := s.jobs[op]
	j.handled++
	times := j.handled
	j.inside = true
	s.mu.Unlock()
	if j.worker != worker {
		s.Violate("answers", "operation %d of worker %d was handled by worker %d", op, j.worker, worker)
	}
	if times > 1 {
		s.Violate("answers", "operation %d of worker %d was handled %d times", op, worker, times)
	}
	switch j.does {
	case isSlow:
		s.busy(func() { time.Sleep(10 * time.Millisecond) })
	case waits:
		s.Event(workerWaits)
		if gate := j.gate; gate != nil {
			<-gate
		}
	}
	s.mu.Lock()
	s.moves++
	j.inside = false
	if j.does == dies {
		s.members[worker].died(time.Now())
	}
	s.mu.Unlock()
	switch j.does {
	case fails:
		return failure(op)
	case dies:
		s.Event(workerDies)
		panic(deadly)
	}
	return nil
}

func (s *shift) job(worker int, does chore) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &job{op: uint64(len(s.jobs)), worker: worker, does: does, gate: make(chan struct{})}
	s.jobs = append(s.jobs, j)
	return j
}

// do calls Do and judges the answer.
func (s *shift) do(j *job) error {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	m := &s.members[j.worker]
	j.cancel = cancel
	m.disturbed = m.disturbed || j.does == waits || j.does == dies
	if j.does == waits && s.watched { // to be replaced counts as a death
		m.hung = true
		m.died(time.Now())
	}
	late := s.closed
	s.mu.Unlock()
	err := s.workers.Do(ctx, j.worker, j.op)
	s.mu.Lock()
	s.moves++
	j.done, j.err = true, err
	handled, disturbed, over := j.handled, m.disturbed, j.left || s.closing
	s.mu.Unlock()
	var of failure
	switch {
	case late && err == nil:
		s.Violate("answers", "Do of operation %d returned nil after Close had returned", j.op)
	case err == nil && handled != 1:
		s.Violate("answers", "operation %d of worker %d was answered as handled, and was handled %d times",
			j.op, j.worker, handled)
	case errors.As(err, &of) && uint64(of) != j.op:
		s.Violate("answers", "operation %d of worker %d got the answer to operation %d", j.op, j.worker, uint64(of))
	case err == nil && (j.does == fails || j.does == dies):
		s.Violate("answers", "operation %d of worker %d%s, was answered as handled", j.op, j.worker, chores[j.does])
	case err != nil && !over && !disturbed && j.does != fails:
		s.Violate("answers", "operation %d of worker %d, which was not hit, returned %q", j.op, j.worker, err)
	case err != nil && !over && j.does == fails && handled == 1 && !errors.As(err, &of):
		s.Violate("answers", "operation %d of worker %d returned %q: must be the handler's %q",
			j.op, j.worker, err, failure(j.op))
	}
	s.Tried("answers")
	return err
}

func (s *shift) busy(f func()) {
	s.mu.Lock()
	s.working++
	s.mu.Unlock()
	f()
	s.mu.Lock()
	s.working--
	s.moves++
	s.mu.Unlock()
}

const (
	shiftRest  = 60 * time.Millisecond // more than time may pass ahead
	shiftTries = 8
)

// Rest waits until nothing goes on any more, and judges.
func (s *shift) Rest() {
	pause := shiftRest
	for try := 0; ; try++ {
		programs.Settle(pause, s.seen)
		wrong := s.wrong()
		if wrong == nil {
			return
		}
		if try == shiftTries {
			wrong()
		}
		pause *= 2
	}
}

// seen is how much has moved, and how many acts must end before anything is at rest.
func (s *shift) seen() (moves, working int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moves, s.working
}

// wrong returns what says what does not hold at rest.
func (s *shift) wrong() (says func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var busy [exploredWorkers]bool
	inside := false
	for _, j := range s.jobs {
		if j.inside {
			busy[j.worker], inside = true, true
		}
	}
	for _, j := range s.jobs {
		if j.done || j.cancel == nil {
			continue
		}
		excused := j.inside || busy[j.worker] && !s.watched || s.members[j.worker].doubtful
		if j.left || !excused {
			return func() {
				s.Violate("answers", "operation %d of worker %d is never answered%s", j.op, j.worker,
					map[bool]string{true: ", though its context has ended"}[j.left])
			}
		}
	}
	if s.closing && !s.closed && !inside {
		return func() { s.Violate("explored", "Close has not returned, though no handler is at work") }
	}
	return nil
}
