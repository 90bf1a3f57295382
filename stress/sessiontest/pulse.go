package sessiontest

import (
	"context"
	"sync"
	"time"

	"tensile/stress/internal/programs"
)

const (
	// The machine is able while every process that runs answers the kit within ableWithin.
	ableWithin = 250 * time.Millisecond
	beatPause  = 50 * time.Millisecond
)

// pulse knows for how long the machine has been able. Nobody is blamed for what did not
// happen while it was not.
type pulse struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	since time.Time // it has been able
	asked time.Time // what was asked then is not answered yet; zero if all is
}

func startPulse(p *programs.Program, c *cluster) *pulse {
	ctx, cancel := context.WithCancel(p.Context())
	b := &pulse{cancel: cancel, ended: make(chan struct{}), since: time.Now()}
	go b.run(ctx, c)
	return b
}

func (b *pulse) stop() {
	b.cancel()
	<-b.ended
}

func (b *pulse) run(ctx context.Context, c *cluster) {
	defer close(b.ended)
	for ctx.Err() == nil {
		asked := time.Now()
		b.mu.Lock()
		b.asked = asked
		b.mu.Unlock()
		_ = everyNode(c.running(), func(n *member) error {
			_, err := n.ask(ctx, nodeCommand{}) // of one that is killed meanwhile, others know
			return err
		})
		b.mu.Lock()
		b.asked = time.Time{}
		if time.Since(asked) > ableWithin {
			b.since = time.Now()
		}
		b.mu.Unlock()
		select {
		case <-time.After(beatPause):
		case <-ctx.Done():
		}
	}
}

// able is for how long the machine has been able, since no earlier than from.
func (b *pulse) able(from time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.asked.IsZero() && time.Since(b.asked) > ableWithin {
		return 0
	}
	if b.since.After(from) {
		from = b.since
	}
	return time.Since(from)
}
