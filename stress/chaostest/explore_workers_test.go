package chaostest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
	"tensile/stress/internal/programs"
)

func exploredWorkersOf(t *testing.T, fault string, schedules int) (explore.Outcome, *programs.Vocabulary[*shift]) {
	v := shifts(func(_ testing.TB, cfg WorkersConfig) Workers { return newFaultyCrew(cfg, fault) })
	return v.Explored(t, schedules), v
}

// TestExploredFaultsOfWorkers plants a fault of each kind in sound workers.
func TestExploredFaultsOfWorkers(t *testing.T) {
	programs.MustFind(t, map[string]string{
		"forgets of whom it died":                       "is never answered",
		"tries again what it died of":                   "was handled 2 times",
		"says that all is well at a death":              "answers: ",
		"waits for the handler and not for the context": "though its context has ended",
		"gives the next caller a late answer":           "answers: ",
		"hides the handler's error":                     "must be the handler's",
		"works for its neighbour":                       "was handled by worker",
		"never forgets a death":                         "serving: ",
		"starts again without end":                      "intensity: ",
		"ends when a start fails":                       "answers: |serving: ",
		"starts after Close":                            "after Close had returned",
		"Close waits for ever after a death":            "Close has not returned",
	}, func(t *testing.T, fault string) explore.Outcome {
		out, _ := exploredWorkersOf(t, fault, 3000)
		return out
	})
}

// Without a fault the workers are sound, and the programs reach what they are made of.
func TestExploredCoverageOfWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a process of its own")
	}
	out, v := exploredWorkersOf(t, "", 5000)
	require.Nil(t, out.Failure, "%v", out)
	c := v.Coverage(out.Counts)
	t.Log(c)
	assert.GreaterOrEqual(t, float64(c.Tried), 0.95*float64(c.All), "%v", c.Never)
	for _, criterion := range []string{"answers", "serving"} {
		assert.Positive(t, c.Promises[criterion], criterion)
	}
}

// faultyCrew is workers that are sound, but for the fault that they are told to have.
type faultyCrew struct {
	fault  string
	cfg    WorkersConfig
	hands  []*faultyHand
	closed chan struct{}
	all    sync.WaitGroup
}

type faultyHand struct {
	number int
	tasks  chan faultyTask
	gone   chan struct{} // closed once it is given up
	deaths []time.Time
	answer chan error // of all callers, by one fault
}

type faultyTask struct {
	op    uint64
	reply chan error
}

var (
	errNotServed = errors.New("the worker does not serve")
	errDied      = errors.New("the worker died of it")
)

func newFaultyCrew(cfg WorkersConfig, fault string) *faultyCrew {
	c := &faultyCrew{fault: fault, cfg: cfg, closed: make(chan struct{})}
	for i := range cfg.Workers {
		h := &faultyHand{number: i, tasks: make(chan faultyTask), gone: make(chan struct{}), answer: make(chan error, 1)}
		c.hands = append(c.hands, h)
		c.all.Go(func() { c.lives(h) })
	}
	return c
}

func (c *faultyCrew) Do(ctx context.Context, worker int, op uint64) error {
	if c.fault == "works for its neighbour" && op%5 == 4 {
		worker = (worker + 1) % len(c.hands)
	}
	h, t := c.hands[worker], faultyTask{op, make(chan error, 1)}
	if c.fault == "gives the next caller a late answer" {
		t.reply = h.answer
	}
	select {
	case h.tasks <- t:
	case <-h.gone:
		return errNotServed
	case <-c.closed:
		return errNotServed
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.fault == "waits for the handler and not for the context" {
		return <-t.reply
	}
	select {
	case err := <-t.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lives has a worker live again and again, as often as it may.
func (c *faultyCrew) lives(h *faultyHand) {
	for c.life(h) {
		now := time.Now()
		h.deaths = append(h.deaths, now)
		recent := 0
		for _, at := range h.deaths {
			if now.Sub(at) < c.cfg.Within || c.fault == "never forgets a death" {
				recent++
			}
		}
		if recent > c.cfg.Restarts && c.fault != "starts again without end" {
			close(h.gone)
			return
		}
	}
	if c.fault == "starts after Close" {
		go func() {
			time.Sleep(time.Millisecond)
			_ = c.cfg.Start(h.number)
		}()
	}
}

// life is one of a worker. It reports true if it ends by its death.
func (c *faultyCrew) life(h *faultyHand) bool {
	handle, ok := c.start(h)
	if !ok {
		return c.fault != "ends when a start fails"
	}
	for {
		select {
		case <-c.closed:
			return false
		case t := <-h.tasks:
			err, died := c.perform(handle, t.op)
			if died {
				switch c.fault {
				case "forgets of whom it died":
					return true
				case "tries again what it died of":
					_, _ = c.perform(handle, t.op)
				case "says that all is well at a death":
					err = nil
				case "Close waits for ever after a death":
					c.all.Add(1)
				}
			} else if err != nil && c.fault == "hides the handler's error" {
				err = errors.New("it failed")
			}
			t.reply <- err
			if died {
				return true
			}
		}
	}
}

func (c *faultyCrew) start(h *faultyHand) (handle func(uint64) error, ok bool) {
	defer func() { ok = recover() == nil }()
	return c.cfg.Start(h.number), true
}

func (c *faultyCrew) perform(handle func(uint64) error, op uint64) (err error, died bool) {
	defer func() {
		if recover() != nil {
			err, died = errDied, true
		}
	}()
	return handle(op), false
}

func (c *faultyCrew) Close() error {
	close(c.closed)
	c.all.Wait()
	return nil
}
