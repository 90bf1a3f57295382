package fleet

import (
	"context"
	"fmt"
	"time"
)

// Role is what a process is in a fleet.
type Role string

// The roles.
const (
	Alone Role = ""      // a fleet of one, without a server
	Lead  Role = "lead"  // puts the figures together and offers nothing
	Agent Role = "agent" // offers a part of the load
)

// Options are of which fleet a process is part, and as what. The zero value is
// that of a process alone.
type Options struct {
	Role   Role
	Server string // URL of a NATS server, with user and password if it asks for them
	Name   string // of the fleet; those of different names do not see each other
	Agents int    // for which a lead waits
	Seed   uint64 // of arrivals, given by the lead
	// Patience is how long operations may take to end after the last was due, as
	// the lead has it; 0 for ten seconds.
	Patience time.Duration

	pace pace
}

const defaultPatience = 10 * time.Second

// Run offers a load as part of a fleet. It returns the result, or nil for an agent, whose
// figures are in the result of the lead. The error is one of this package, or the cause of
// ctx, which may end a run at any time; Run then tells the others. Run takes at most For,
// Wait, Patience and a few seconds.
func Run(ctx context.Context, o Options, l Load) (*Result, error) {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.pace == (pace{}) {
		o.pace = usualPace
	}
	agents := 1
	if o.Role == Lead {
		agents = max(o.Agents, 1)
	}
	if err := l.check(agents); err != nil {
		return nil, err
	}
	switch o.Role {
	case Alone:
		return alone(ctx, o, l)
	case Lead:
		o.Agents = agents
		return (&lead{o: o, load: l}).run(ctx)
	case Agent:
		return nil, newAgent(o, l).run(ctx)
	}
	return nil, fmt.Errorf("%w: its role is %q, must be lead or agent", ErrLoad, o.Role)
}

// alone is a fleet of one, all in this process.
func alone(ctx context.Context, o Options, l Load) (*Result, error) {
	m := &member{hello: introduce(l), task: l.split(1, o)[0]}
	var samples []byte
	m.account, samples = newOffering(l, m.task).offer(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var err error
	if m.recorder, m.latency, err = audit(m.task, m.account, samples); err != nil {
		return nil, err
	}
	return merge(o, l, []*member{m}), nil
}
