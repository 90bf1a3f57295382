package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// lead is the process that puts the figures together.
type lead struct {
	o    Options
	load Load
	nc   *nats.Conn
	id   string
	end  context.CancelCauseFunc
	ear  *nats.Subscription // to what agents say

	mu        sync.Mutex
	members   []*member       // in the order in which they came
	gathering context.Context // ends when all are there
	full      context.CancelFunc
	attending sync.WaitGroup
}

// lead runs a fleet from the call for agents to their release.
func (l *lead) run(ctx context.Context) (result *Result, err error) {
	ctx, l.end = context.WithCancelCause(ctx)
	defer l.end(nil)
	l.id = nuid.Next()
	l.gathering, l.full = context.WithCancel(ctx)
	defer l.full()
	if l.nc, err = connect(ctx, l.o.Server, "lead"); err != nil {
		return nil, err
	}
	defer l.nc.Close()
	if err := l.claim(ctx); err != nil {
		return nil, err
	}
	defer func() { l.release(ctx, err) }()
	if err := l.gather(ctx); err != nil {
		return nil, err
	}
	if err := l.measure(ctx); err != nil {
		return nil, err
	}
	return l.result(), nil
}

// claim takes the place of the lead, if nobody has it.
func (l *lead) claim(ctx context.Context) error {
	subject := leadSubject(l.o.Name)
	var err error
	for began := time.Now(); !errors.Is(err, nats.ErrNoResponders); {
		try, cancel := context.WithTimeout(ctx, l.o.pace.try)
		_, err = l.nc.RequestWithContext(try, subject, encode(call{Protocol: protocol, Kind: callAlive, ID: l.id}))
		cancel()
		switch {
		case err == nil:
			return fmt.Errorf("%w for %q at %s", ErrTaken, l.o.Name, withoutSecrets(l.o.Server))
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Since(began) > l.o.pace.silence:
			return fmt.Errorf("%w at %s: %w", ErrServer, withoutSecrets(l.o.Server), err)
		}
	}
	if l.ear, err = l.nc.Subscribe(subject, func(msg *nats.Msg) { l.called(ctx, msg) }); err != nil {
		return fmt.Errorf("%w: %w", ErrServer, err)
	}
	return nil
}

// called answers what is said to the lead.
func (l *lead) called(ctx context.Context, msg *nats.Msg) {
	c, err := decodeCall(msg.Data)
	r := reply{Lead: l.id}
	switch {
	case err != nil:
		r.Refused = err.Error()
	case c.Protocol != protocol:
		r.Refused = fmt.Sprintf("it speaks version %d of the protocol, must be %d", c.Protocol, protocol)
	case c.Kind == callJoin:
		l.join(ctx, c, &r)
	case c.Kind == callLeave:
		l.leave(c)
	}
	_ = msg.Respond(encode(r)) // who does not hear it asks again
}

// join takes an agent in, or refuses it.
func (l *lead) join(ctx context.Context, c call, r *reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.members {
		if m.id == c.ID {
			return // it did not hear the answer
		}
	}
	switch ours := l.load.definition(); {
	case l.gathering.Err() != nil:
		r.Refused = fmt.Sprintf("it has all of its %d", l.o.Agents)
	case c.Hello.Load != ours:
		r.Other, r.Refused = true, fmt.Sprintf("the lead has %v, an agent on %s (process %d) has %v",
			ours, c.Hello.Host, c.Hello.PID, c.Hello.Load)
		l.end(fmt.Errorf("%w: %s", ErrLoad, r.Refused))
	default:
		m := &member{lead: l, id: c.ID, hello: *c.Hello}
		m.gone, m.leave = context.WithCancelCause(ctx)
		l.members = append(l.members, m)
		l.attending.Go(func() {
			if m.attend(l.gathering) != nil && l.gathering.Err() == nil {
				l.drop(m)
			}
		})
		if len(l.members) == l.o.Agents {
			l.full()
		}
	}
}

// drop makes room for another agent in place of one that is gone.
func (l *lead) drop(gone *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gathering.Err() != nil {
		return // it was counted: the run will tell
	}
	for i, m := range l.members {
		if m == gone {
			l.members = append(l.members[:i:i], l.members[i+1:]...)
			return
		}
	}
}

// leave hears that an agent goes.
func (l *lead) leave(c call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.members {
		if m.id == c.ID {
			m.leave(fmt.Errorf("%w: it left: %s", ErrLost, cut(c.Reason, mostFault)))
		}
	}
}

// gather waits until all agents are there.
func (l *lead) gather(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, l.load.wait())
	defer cancel()
	select {
	case <-l.gathering.Done(): // full, or ctx has ended
	case <-wait.Done():
	}
	came := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.full() // nobody is taken in from here on
		return len(l.members)
	}()
	l.attending.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if came < l.o.Agents {
		return fmt.Errorf("%w: %d of %d within %v, for %q at %s",
			ErrAgents, came, l.o.Agents, l.load.wait(), l.o.Name, withoutSecrets(l.o.Server))
	}
	return nil
}

// ahead is how long before the common start agents are told of it, beside the
// round trips that it takes to tell them.
const ahead = 100 * time.Millisecond

// measure takes all agents through their parts, those that get lost on the way
// excepted.
func (l *lead) measure(ctx context.Context) error {
	for k, t := range l.load.split(len(l.members), l.o) {
		l.members[k].task = t
	}
	l.each(func(m *member) error { return m.prepare(ctx) })
	at := clock() + int64(ahead)
	for _, m := range l.members {
		at = max(at, clock()+int64(ahead)+20*m.offset.within)
	}
	l.each(func(m *member) error { return m.begin(ctx, at) })
	l.each(func(m *member) error { return m.follow(ctx) })
	l.each(func(m *member) error { return m.collect(ctx) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var lost []error
	for _, m := range l.members {
		if m.lost == nil {
			return nil
		}
		lost = append(lost, fmt.Errorf("agent %d on %s: %w", m.task.Number, m.hello.Host, m.lost))
	}
	return fmt.Errorf("%w all agents: %w", ErrLost, errors.Join(lost...))
}

// each does something with all agents at once that are not lost. One for which
// it fails is.
func (l *lead) each(do func(*member) error) {
	var all sync.WaitGroup
	for _, m := range l.members {
		if m.lost == nil {
			all.Go(func() { m.lost = do(m) })
		}
	}
	all.Wait()
}

// release lets the agents go, each with the reason if it is not the regular one.
func (l *lead) release(ctx context.Context, err error) {
	// It is done when all else is cancelled, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.o.pace.try)
	defer cancel()
	// Who is let go may come again at once, for another run: this one must not
	// hear of it.
	_ = l.ear.Unsubscribe() // fails where the connection is lost
	var all sync.WaitGroup
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.members {
		q := question{Lead: l.id, Kind: askEnd}
		switch {
		case err != nil:
			q.Reason = cut(err.Error(), mostFault)
		case m.lost != nil:
			q.Reason = cut("it was held for lost: "+m.lost.Error(), mostFault)
		}
		all.Go(func() {
			// An agent that does not hear it finds out that the lead is gone.
			_, _ = l.nc.RequestWithContext(ctx, agentSubject(m.id), encode(q))
			m.leave(nil)
		})
	}
	all.Wait()
}
