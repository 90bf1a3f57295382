package queuetest

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tensile/stress/explore"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// explorations are those of the brokers in memory that open returns.
func explorations(open func(testing.TB, Config) Broker) []programs.Part {
	var v *programs.Vocabulary[*model]
	return []programs.Part{{
		Name: "programs",
		Body: func(t *testing.T) func(*explore.Run) {
			v = vocabulary(open, offered(t, open))
			return v.Body(t)
		},
		Short: 2 * time.Second, Full: 15 * time.Second, Least: 300,
		Coverage: func(counts map[string]int) programs.Coverage { return v.Coverage(counts) },
	}}
}

// offers are what a broker can do besides.
type offers struct {
	optionAbilities
	delays bool
}

// offered asks a broker, outside of any schedule: an option that it does not offer
// must not be asked of it.
func offered(t *testing.T, open func(testing.TB, Config) Broker) (o offers) {
	b := open(t, Config{Queues: 1, Visibility: longVisibility})
	if b == nil {
		return o
	}
	o.optionAbilities = brokerAbilities(b)
	delays := make(chan bool, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
		defer cancel()
		var delayed bool
		if err := b.Publish(ctx, 0, payload.Body(1)); err == nil {
			if d, err := b.Receive(ctx, 0); err == nil {
				_, delayed = d.(DelayedDelivery)
			}
		}
		_ = b.Close()
		delays <- delayed
	}()
	select {
	case o.delays = <-delays:
	case <-time.After(scenario.Settle):
	}
	return o
}

// look is what a first look at a subject says.
type look struct {
	packages []string
	reason   string // why it can not be explored, if it can not
}

// lookAt tells whether a subject is in memory as a whole: it may not wait for a
// network while a consumer waits for a message.
func lookAt(t *testing.T, open func(testing.TB, Config) Broker) look {
	before := atNetwork()
	b := open(t, Config{Queues: 1, Visibility: longVisibility})
	if b == nil {
		return look{reason: "there is no subject"}
	}
	x := look{packages: programs.Packages(open, b)}
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	looked := make(chan struct{})
	wait.UntilParked(ctx, new(sync.WaitGroup), func() {
		defer close(looked)
		_, _ = b.Receive(ctx, 0)
		_ = b.Close()
	})
	for range looks {
		if atNetwork() > before {
			x.reason = "it waits for a network, or for another process"
			break
		}
		time.Sleep(betweenLooks)
	}
	leave()
	select {
	case <-looked:
	case <-time.After(scenario.Settle):
	}
	return x
}

// Who waits for a network does not do so at every instant.
const (
	looks        = 5
	betweenLooks = 10 * time.Millisecond
)

// atNetwork is how many goroutines wait for a descriptor.
func atNetwork() int {
	text := make([]byte, 1<<20)
	return strings.Count(string(text[:runtime.Stack(text, true)]), " [IO wait")
}

// prepare begins to prepare the explore phase; nil if there is none.
func (k *kit) prepare(parts []programs.Part) *programs.Phase {
	x := lookAt(k.T, k.open)
	if x.reason != "" {
		k.NotOffered("explored", x.reason)
		return nil
	}
	return programs.Prepare(k.Scenario, parts, x.packages)
}
