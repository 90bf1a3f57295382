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

// errReleased ends an agent that has done all that was asked of it.
var errReleased = errors.New("released")

// agent is this process as the lead sees it.
type agent struct {
	o    Options
	load Load
	nc   *nats.Conn
	id   string
	end  context.CancelCauseFunc

	start chan int64          // when to begin, by the clock of this process
	spoil func([]byte) []byte // what a test does to a piece on its way

	mu       sync.Mutex
	lead     string    // its id; "" before it has been found
	heard    time.Time // from the lead
	offering *offering // nil before there is a task
	account  *account  // nil before the task is done
	samples  []byte
}

func newAgent(o Options, l Load) *agent {
	return &agent{o: o, load: l, id: nuid.Next(), start: make(chan int64, 1)}
}

// run is the whole life of an agent.
func (a *agent) run(ctx context.Context) error {
	ctx, a.end = context.WithCancelCause(ctx)
	defer a.end(nil)
	nc, err := connect(ctx, a.o.Server, "agent")
	if err != nil {
		return err
	}
	defer nc.Close()
	a.nc = nc
	if _, err := nc.Subscribe(agentSubject(a.id), a.answer); err != nil {
		return fmt.Errorf("%w: %w", ErrServer, err)
	}
	if err := a.join(ctx); err != nil {
		return err
	}
	var watching sync.WaitGroup
	watching.Go(func() { a.watch(ctx) })
	a.work(ctx)
	<-ctx.Done()
	watching.Wait()
	cause := context.Cause(ctx)
	if errors.Is(cause, errReleased) {
		cause = nil
	} else {
		a.leave(cause)
	}
	// What was said last may not have gone out. An error here is that of a
	// connection that is lost, of which there is nothing to say.
	_ = nc.FlushTimeout(a.o.pace.try)
	return cause
}

// join looks for the lead until it has one.
func (a *agent) join(ctx context.Context) error {
	me := introduce(a.load)
	message := encode(call{Protocol: protocol, Kind: callJoin, ID: a.id, Hello: &me})
	wait, cancel := context.WithTimeout(ctx, a.load.wait())
	defer cancel()
	for {
		try, done := context.WithTimeout(wait, a.o.pace.try)
		msg, err := a.nc.RequestWithContext(try, leadSubject(a.o.Name), message)
		done()
		if err == nil {
			return a.joined(msg.Data)
		}
		if sleep(wait, reconnecting) != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return fmt.Errorf("%w within %v, for %q at %s", ErrNoLead, a.load.wait(), a.o.Name, withoutSecrets(a.o.Server))
		}
	}
}

// joined takes the answer of a lead.
func (a *agent) joined(data []byte) error {
	r, err := decode[reply](data)
	switch {
	case err != nil:
		return err
	case r.Other:
		return fmt.Errorf("%w: %s", ErrLoad, r.Refused)
	case r.Refused != "":
		return fmt.Errorf("%w: %s", ErrRefused, r.Refused)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lead, a.heard = r.Lead, time.Now()
	return nil
}

// watch ends the agent where its lead is gone. As long as the lead asks there is
// nothing to do.
func (a *agent) watch(ctx context.Context) {
	p := a.o.pace
	for sleep(ctx, p.beat) == nil {
		a.mu.Lock()
		heard, lead := a.heard, a.lead
		a.mu.Unlock()
		if time.Since(heard) < 4*p.beat {
			continue
		}
		msg, err := p.reach(ctx, a.nc, leadSubject(a.o.Name), encode(call{Protocol: protocol, Kind: callAlive, ID: a.id}))
		if err == nil {
			var r reply
			if r, err = decode[reply](msg.Data); err == nil && r.Lead != lead {
				err = fmt.Errorf("%w: another has taken its place", ErrLost)
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				a.end(fmt.Errorf("the lead of the fleet: %w", err))
			}
			return
		}
		a.mu.Lock()
		a.heard = time.Now()
		a.mu.Unlock()
	}
}

// work offers the part of this agent once it is told to.
func (a *agent) work(ctx context.Context) {
	var at int64
	select {
	case at = <-a.start:
	case <-ctx.Done():
		return
	}
	if sleep(ctx, time.Duration(at-clock())) != nil {
		return
	}
	a.mu.Lock()
	o := a.offering
	a.mu.Unlock()
	account, samples := o.offer(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account, a.samples = &account, samples
}

// leave tells the lead that this agent goes, if it can still be told.
func (a *agent) leave(why error) {
	_ = a.nc.Publish(leadSubject(a.o.Name),
		encode(call{Protocol: protocol, Kind: callLeave, ID: a.id, Reason: cut(why.Error(), mostFault)}))
}

// answer answers a question of the lead.
func (a *agent) answer(msg *nats.Msg) {
	asked := clock()
	q, err := decode[question](msg.Data)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil && a.lead != "" && q.Lead != a.lead {
		err = fmt.Errorf("%w: this agent has another lead", ErrMessage)
	}
	if err == nil {
		a.heard = time.Now()
		if q.Kind == askPiece {
			var p piece
			if p, err = pieceOf(a.samples, q.Offset, min(q.Most, int(a.nc.MaxPayload()))); err == nil {
				b := p.encode()
				if a.spoil != nil {
					b = a.spoil(b)
				}
				_ = msg.Respond(b) // what does not arrive is asked for again
				return
			}
		} else {
			err = a.follow(q)
		}
	}
	reply := answer{Clock: asked, Account: a.account}
	if a.offering != nil {
		reply.Started = int(a.offering.started.Load())
	}
	if err != nil {
		reply.Error = err.Error()
	}
	_ = msg.Respond(encode(reply))
	switch {
	case err != nil || q.Kind != askEnd:
	case q.Reason == "":
		a.end(errReleased)
	default:
		a.end(fmt.Errorf("%w: %s", ErrStopped, q.Reason))
	}
}

// follow does what the lead asks for. The agent is locked.
func (a *agent) follow(q question) error {
	switch q.Kind {
	case askState:
	case askPrepare:
		if q.Task == nil || !a.load.accepts(*q.Task) {
			return fmt.Errorf("%w: a task that is no part of the load", ErrMessage)
		}
		if a.offering == nil {
			a.offering = newOffering(a.load, *q.Task)
		}
	case askStart:
		if a.offering == nil {
			return fmt.Errorf("%w: nothing to start", ErrMessage)
		}
		select {
		case a.start <- q.At:
		default: // told before
		}
	case askEnd: // once it is answered
	default:
		return fmt.Errorf("%w: a question of the kind %q", ErrMessage, cut(q.Kind, 80))
	}
	return nil
}
