package fleet

import (
	"context"
	"fmt"
	"time"

	"tensile/stress/load"
	"tensile/stress/measure"
)

// member is an agent as the lead sees it. From when the fleet is full, one
// goroutine at a time has to do with it.
type member struct {
	lead  *lead
	id    string
	hello hello
	gone  context.Context // ends, with the reason, where the agent takes its leave
	leave context.CancelCauseFunc

	task     task
	offset   offset
	lost     error // why its part is not measured
	seen     int   // operations started when it was last heard of
	account  account
	recorder *measure.Recorder
	latency  measure.Latency
}

// ask puts a question to the agent and has the answer.
func (m *member) ask(ctx context.Context, q question) (answer, error) {
	data, err := m.send(ctx, q)
	if err != nil {
		return answer{}, err
	}
	a, err := decodeAnswer(data, m.task)
	if err == nil && a.Error != "" {
		err = fmt.Errorf("%w: %s", ErrMessage, cut(a.Error, mostFault))
	}
	if err == nil {
		m.seen = a.Started
	}
	return a, err
}

// send is ask for an answer of any kind.
func (m *member) send(ctx context.Context, q question) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(m.gone, func() { cancel(context.Cause(m.gone)) })()
	q.Lead = m.lead.id
	msg, err := m.lead.o.pace.reach(ctx, m.lead.nc, agentSubject(m.id), encode(q))
	if err != nil {
		return nil, err
	}
	return msg.Data, nil
}

// attend makes sure that the agent is there until ctx ends.
func (m *member) attend(ctx context.Context) error {
	for {
		if _, err := m.ask(ctx, question{Kind: askState}); err != nil {
			return err
		}
		if err := sleep(ctx, m.lead.o.pace.beat); err != nil {
			return err
		}
	}
}

// readings is how often the clock of an agent is read: the quickest round trip
// says most.
const readings = 16

// prepare hands the agent its task and reads its clock.
func (m *member) prepare(ctx context.Context) error {
	if _, err := m.ask(ctx, question{Kind: askPrepare, Task: &m.task}); err != nil {
		return err
	}
	for i := range readings {
		asked := clock()
		a, err := m.ask(ctx, question{Kind: askState})
		if err != nil {
			return err
		}
		if o := read(asked, a.Clock, clock()); i == 0 || o.within < m.offset.within {
			m.offset = o
		}
	}
	return nil
}

// begin has the agent begin at an instant of ours.
func (m *member) begin(ctx context.Context, at int64) error {
	_, err := m.ask(ctx, question{Kind: askStart, At: m.offset.theirs(at + m.task.Stagger)})
	return err
}

// follow waits until the agent has offered its part.
func (m *member) follow(ctx context.Context) error {
	l := m.lead
	most := l.load.For + l.o.Patience + load.Grace + l.o.pace.silence
	for began := time.Now(); time.Since(began) < most; {
		a, err := m.ask(ctx, question{Kind: askState})
		switch {
		case err != nil:
			return err
		case a.Account != nil:
			m.account = *a.Account
			return nil
		}
		if err := sleep(ctx, l.o.pace.beat); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: it did not end within %v", ErrLost, most)
}

// collect has the samples come, piece by piece, and looks through them.
func (m *member) collect(ctx context.Context) error {
	samples := make([]byte, 0, m.account.Size)
	for len(samples) < m.account.Size {
		data, err := m.send(ctx, question{Kind: askPiece, Offset: len(samples), Most: int(m.lead.nc.MaxPayload())})
		if err != nil {
			return err
		}
		p, err := decodePiece(data)
		if err != nil {
			return err
		}
		if p.offset != uint64(len(samples)) || p.size != uint64(m.account.Size) {
			return fmt.Errorf("%w: the piece at %d of %d, where that at %d of %d was asked for",
				ErrSamples, p.offset, p.size, len(samples), m.account.Size)
		}
		samples = append(samples, p.data...)
	}
	var err error
	m.recorder, m.latency, err = audit(m.task, m.account, samples)
	return err
}

// began is when the agent began, without its stagger, by our clock.
func (m *member) began() instant { return m.offset.ours(m.account.Began) }
