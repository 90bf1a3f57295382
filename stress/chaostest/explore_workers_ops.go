package chaostest

import (
	"fmt"
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// shiftsOf are the explorations of the workers that open returns.
func shiftsOf(open func(testing.TB, WorkersConfig) Workers) []programs.Part {
	v := shifts(open)
	return []programs.Part{{Name: "workers", Body: v.Body, Short: 1700 * time.Millisecond, Full: 15 * time.Second,
		Least: 100, Coverage: v.Coverage}}
}

// crewPackages are those of the subject.
func crewPackages(t *testing.T, open func(testing.TB, WorkersConfig) Workers) []string {
	if open == nil {
		return nil
	}
	w := open(t, WorkersConfig{Workers: 1, Start: func(int) func(uint64) error {
		return func(uint64) error { return nil }
	},
		Restarts: exploredRestarts, Within: exploredWithin})
	if w == nil {
		return nil
	}
	_ = w.Close()
	return programs.Packages(open, w)
}

func (s *shift) act(j *job) *programs.Act {
	return &programs.Act{Text: fmt.Sprintf("Do %d at worker %d%s", j.op, j.worker, chores[j.does]),
		Result: func() string {
			switch {
			case !j.done:
				return "not yet"
			case j.err == nil:
				return "nil"
			}
			return j.err.Error()
		},
		Do: func() programs.Next { _ = s.do(j); return nil }}
}

func (s *shift) beginDo(choice int) *programs.Act {
	return s.act(s.job(choice%exploredWorkers, [...]chore{works, works, fails, isSlow}[choice/exploredWorkers%4]))
}

func (s *shift) beginDie(choice int) *programs.Act {
	return s.act(s.job(choice%exploredWorkers, dies))
}

func (s *shift) beginWait(choice int) *programs.Act {
	return s.act(s.job(choice%exploredWorkers, waits))
}

// beginGoOn has a handler that waits go on: it may answer late, as its worker was
// replaced.
func (s *shift) beginGoOn(choice int) *programs.Act {
	for i := range s.jobs {
		j := s.jobs[(i+choice)%len(s.jobs)]
		if j.inside && j.gate != nil {
			gate := j.gate
			j.gate = nil
			return &programs.Act{Text: fmt.Sprintf("operation %d goes on", j.op), Do: func() programs.Next {
				close(gate)
				return nil
			}}
		}
	}
	return nil
}

func (s *shift) beginLeave(choice int) *programs.Act {
	for i := range s.jobs {
		j := s.jobs[(i+choice)%len(s.jobs)]
		if !j.done && !j.left && j.cancel != nil {
			return &programs.Act{Text: fmt.Sprintf("the caller of %d leaves", j.op), Do: func() programs.Next {
				s.mu.Lock()
				j.left = true
				s.mu.Unlock()
				j.cancel()
				return nil
			}}
		}
	}
	return nil
}

// beginFailStart has the next starts of a worker fail, or be slow.
func (s *shift) beginFailStart(choice int) *programs.Act {
	m := &s.members[choice%exploredWorkers]
	n := choice / exploredWorkers % 4
	text := fmt.Sprintf("the next %d starts of worker %d fail", n, choice%exploredWorkers)
	if m.slow = n == 0; m.slow {
		text = fmt.Sprintf("starts of worker %d are slow", choice%exploredWorkers)
	}
	m.failing = n
	return &programs.Act{Text: text, Do: func() programs.Next { return nil }}
}

// beginDieSeldom has a worker die more often than it may within a while, but each time
// long after the time before.
func (s *shift) beginDieSeldom(choice int) *programs.Act {
	worker, n := choice%exploredWorkers, exploredRestarts+choice/exploredWorkers%3
	return &programs.Act{Text: fmt.Sprintf("worker %d dies %d times, %v apart", worker, n, (forgotten+1)*exploredWithin),
		Do: func() programs.Next {
			for range n {
				s.busy(func() { time.Sleep((forgotten + 1) * exploredWithin) })
				_ = s.do(s.job(worker, dies))
			}
			return nil
		}}
}

func (s *shift) beginTime(choice int) *programs.Act {
	d := [...]time.Duration{exploredHung, exploredWithin / 2, exploredWithin, (forgotten + 1) * exploredWithin}[choice%4]
	return &programs.Act{Text: fmt.Sprintf("%v pass", d), Do: func() programs.Next {
		s.busy(func() { time.Sleep(d) })
		return nil
	}}
}

func (s *shift) beginClose(int) *programs.Act {
	for _, j := range s.jobs {
		if j.inside {
			return nil
		}
	}
	if s.closing {
		return nil
	}
	s.closing = true
	return &programs.Act{Text: "Close", Do: func() programs.Next { s.shut(); return nil }}
}

func (s *shift) shut() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	err := s.workers.Close()
	s.mu.Lock()
	s.closed = true
	s.moves++
	waits := false
	for _, m := range s.members {
		waits = waits || m.hung
	}
	s.mu.Unlock()
	if err != nil && !waits {
		s.Violate("explored", "Close returned %q", err)
	}
}

// Finish lets all handlers go on, has each worker serve that cannot have been given
// up, and closes them.
func (s *shift) Finish() {
	for i := range s.members {
		s.members[i].failing, s.members[i].slow = 0, false
	}
	s.Step("all go on")
	for _, j := range s.jobs {
		if j.gate != nil {
			close(j.gate)
			j.gate = nil
		}
	}
	s.Rest()
	if !s.closing {
		s.Step("each worker serves")
		for worker := range s.members {
			if m := &s.members[worker]; !m.doubtful {
				s.serves(worker)
			}
		}
		s.Step("Close")
		s.Go("Close", s.shut)
		s.Rest()
	}
	for _, j := range s.jobs {
		if j.cancel != nil {
			j.cancel()
		}
	}
}

// serves has a worker serve, which may say for a while that it does not yet.
func (s *shift) serves(worker int) {
	const tries = 30
	for range tries {
		j := s.job(worker, works)
		s.Go("serve", func() { _ = s.do(j) })
		s.Rest()
		if j.done && j.err == nil {
			s.Tried("serving")
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Violate("serving", "worker %d does not serve, though it died %d times, and never more than %d times within %v",
		worker, len(s.members[worker].deaths), exploredRestarts-1, forgotten*exploredWithin)
}
