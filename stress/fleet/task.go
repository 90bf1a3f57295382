package fleet

import (
	"math/rand/v2"
	"time"
)

// task is what one agent is to offer.
type task struct {
	Number  int     `json:"number"` // of the agent, from 0
	First   int     `json:"first"`  // operation
	Count   int     `json:"count"`
	Rate    float64 `json:"rate"`
	Seed    uint64  `json:"seed"`
	Stagger int64   `json:"stagger_ns"` // after the common start
	// Patience is how long operations may take to end after the last was due.
	Patience time.Duration `json:"patience"`
}

// split divides a load among so many agents, to one operation. They begin one
// arrival apart, so that constant arrivals are evenly spaced over all of them and
// do not come in bursts of one from each.
func (l Load) split(agents int, o Options) []task {
	total := l.count()
	tasks := make([]task, agents)
	seeds := rand.New(rand.NewPCG(o.Seed, 0))
	first := 0
	for k := range tasks {
		count := total / agents
		if k < total%agents {
			count++
		}
		tasks[k] = task{
			Number: k, First: first, Count: count,
			Rate:     l.Rate * float64(count) / float64(total),
			Seed:     seeds.Uint64(),
			Stagger:  int64(float64(k) / l.Rate * float64(time.Second)),
			Patience: o.Patience,
		}
		first += count
	}
	return tasks
}

// accepts tells whether a task can be offered by an agent with this load.
func (l Load) accepts(t task) bool {
	return t.Number >= 0 && t.First >= 0 && t.Count > 0 && t.Count <= l.count() &&
		t.First <= l.count()-t.Count && t.Rate > 0 && t.Rate <= l.Rate && t.Stagger >= 0 && t.Patience > 0 &&
		t.Patience <= longest
}
