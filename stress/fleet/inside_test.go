package fleet

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/links"
	"tensile/stress/load"
	"tensile/stress/measure"
)

// Tests of a whole fleet in this process: what is said between its members, and
// what happens where that goes wrong.

func nothing(context.Context, int) error { return nil }

// counts are the criteria that do not depend on what else the machine does.
var counts = Criteria[:2]

// quick is a load that is soon over.
func quick() Load {
	return Load{Rate: 1000, For: 100 * time.Millisecond, Do: nothing, Wait: 20 * time.Second, Criteria: counts}
}

// swift is a pace for short runs, on a machine that may be busy with others.
var swift = pace{beat: 20 * time.Millisecond, try: 300 * time.Millisecond, gone: time.Second, silence: 10 * time.Second}

// silence is how long it may last where it is what a test waits for.
const silence = 2 * time.Second

func options(s *server.Server, role Role, agents int) Options {
	return Options{Role: role, Server: address(s), Name: "x", Agents: agents, Seed: 7, Patience: time.Second, pace: swift}
}

// outcome is what Run returned.
type outcome struct {
	result *Result
	err    error
}

func running(ctx context.Context, o Options, l Load) <-chan outcome {
	c := make(chan outcome, 1)
	go func() {
		r, err := Run(ctx, o, l)
		c <- outcome{r, err}
	}()
	return c
}

// startAgents starts agents and returns them, and how each has ended.
func startAgents(t *testing.T, s *server.Server, loads ...Load) ([]*agent, func() []error) {
	agents, ended := make([]*agent, len(loads)), make([]chan error, len(loads))
	for i, l := range loads {
		agents[i], ended[i] = newAgent(options(s, Agent, 0), l), make(chan error, 1)
		go func() { ended[i] <- agents[i].run(t.Context()) }()
	}
	return agents, func() []error {
		errs := make([]error, len(loads))
		for i := range ended {
			select {
			case errs[i] = <-ended[i]:
			case <-time.After(30 * time.Second):
				t.Fatal("an agent does not end")
			}
		}
		return errs
	}
}

func TestAlone(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	c, err := dial(s.listener.Addr().String(), 8)
	require.NoError(t, err)
	defer func() { assert.NoError(t, c.close(8)) }()
	r, err := Run(t.Context(), Options{}, Load{Rate: 2000, For: 500 * time.Millisecond, Do: c.do})
	require.NoError(t, err)
	asked, again := s.counted(0, 1000)
	assert.Equal(t, 1000, asked)
	assert.Zero(t, again)
	assert.Equal(t, []int{1000, 1000, 1000, 0, 0}, []int{r.Asked, r.Started, r.Succeeded, r.Failed, r.Unfinished})
	assert.Equal(t, 1000, r.Latency.N)
	assert.True(t, r.Complete())
}

// TestPercentilesAreNotAveraged: of two agents one is slow in 2 % of its
// operations, which are 1 % of all. Its own p99 is slow and that of the fleet is
// not, and the average of both is neither.
func TestPercentilesAreNotAveraged(t *testing.T) {
	t.Parallel()
	const slow = 400 * time.Millisecond
	n := natsServer(t)
	l := Load{Rate: 2000, For: 600 * time.Millisecond, Wait: 10 * time.Second, Do: nothing}
	slowly := l
	slowly.Do = func(_ context.Context, i int) error {
		if i%50 == 0 {
			time.Sleep(slow)
		}
		return nil
	}
	agents, ended := startAgents(t, n, l, slowly)
	r, err := Run(t.Context(), options(n, Lead, 2), l)
	require.NoError(t, err)
	for _, err := range ended() {
		require.NoError(t, err)
	}
	var all []int64
	for _, a := range agents {
		for b := a.samples; len(b) > 0; b = b[perOperation:] {
			all = append(all, int64(binary.LittleEndian.Uint64(b[8:])))
		}
	}
	require.Len(t, all, 1200)
	assert.Equal(t, measure.Summarize(all, 0), r.Latency, "the summary of all samples")
	own := []int64{r.Parts[0].Latency.P99, r.Parts[1].Latency.P99}
	assert.GreaterOrEqual(t, max(own[0], own[1]), int64(slow), "of the slow one")
	assert.GreaterOrEqual(t, r.Latency.P999, int64(slow))
	assert.NotEqual(t, (own[0]+own[1])/2, r.Latency.P99, "the average of %v", own)

	actual := agents[0].account.Began - agents[1].account.Began
	assert.GreaterOrEqual(t, r.Spread, max(actual, -actual),
		"in one process the clocks are the same: it is an upper bound")
	assert.Less(t, time.Duration(r.Spread), time.Second)
}

// TestAccount: operations that fail and that never end are counted as such.
func TestAccount(t *testing.T) {
	t.Parallel()
	n := natsServer(t)
	stuck := make(chan struct{})
	var late atomic.Int64
	l := Load{Rate: 1000, For: 100 * time.Millisecond, Wait: 10 * time.Second, Do: func(_ context.Context, i int) error {
		switch {
		case i%10 == 3:
			return errors.New("refused by the subject")
		case i == 55:
			<-stuck
			late.Add(1)
		}
		return nil
	}}
	_, ended := startAgents(t, n, l, l)
	o := options(n, Lead, 2)
	o.Patience = 500 * time.Millisecond
	began := time.Now()
	r, err := Run(t.Context(), o, l)
	require.NoError(t, err)
	close(stuck)
	for _, err := range ended() {
		assert.NoError(t, err)
	}
	assert.Less(t, time.Since(began), load.Grace+15*time.Second)
	assert.Equal(t, []int{100, 100, 89, 10, 1}, []int{r.Asked, r.Started, r.Succeeded, r.Failed, r.Unfinished})
	missed := ""
	for _, c := range r.Checks {
		if c.Verdict == "failed" {
			missed += c.ID + " "
		}
	}
	assert.Contains(t, missed, "fleet.failed fleet.unfinished")
	assert.Contains(t, r.Notes[0], "refused by the subject")
}

// TestAgain: the same fleet once more, as with -count=2.
func TestAgain(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	twice := func(role Role) error {
		for range 2 {
			if _, err := Run(t.Context(), options(s, role, 2), quick()); err != nil {
				return err
			}
		}
		return nil
	}
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- twice(Agent) }()
	}
	assert.NoError(t, twice(Lead))
	assert.NoError(t, errors.Join(<-ended, <-ended))
}

// TestLeadIsDeafInTheEnd: who is let go and comes again is not heard by the lead
// that lets him go.
func TestLeadIsDeafInTheEnd(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	o := options(s, Lead, 1)
	var err error
	l := &lead{o: o, load: quick(), id: "L"}
	l.nc, err = connect(t.Context(), o.Server, "lead")
	require.NoError(t, err)
	defer l.nc.Close()
	require.NoError(t, l.claim(t.Context()))
	l.members = []*member{{id: "released", leave: func(error) {}}}
	comes, err := nats.Connect(o.Server)
	require.NoError(t, err)
	defer comes.Close()
	again := make(chan error, 1)
	_, err = comes.Subscribe(agentSubject("released"), func(*nats.Msg) { // and does not answer
		_, err := comes.Request(leadSubject(o.Name), encode(call{Protocol: protocol, Kind: callAlive, ID: "released"}),
			10*time.Second)
		again <- err
	})
	require.NoError(t, err)
	require.NoError(t, comes.Flush())
	l.release(t.Context(), nil)
	assert.ErrorIs(t, <-again, nats.ErrNoResponders)
}

// TestConnectionsBreak: a connection that is soon back costs nothing, nor does
// silence that is soon over. What got lost is asked for again.
func TestConnectionsBreak(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	const theServer, theLead, theAgent = 0, 1, 2
	between, err := links.New(3)
	require.NoError(t, err)
	defer func() { assert.NoError(t, between.Close()) }()
	between.Target(theServer, s.Addr().String())
	by := func(from int, role Role) Options {
		o := options(s, role, 1)
		o.Server = "nats://" + user + ":" + escaped + "@" + between.Addr(from, theServer)
		o.pace.gone = 3 * time.Second
		return o
	}
	var broken atomic.Int64
	l := quick()
	l.For = time.Second
	l.Do = func(_ context.Context, i int) error {
		switch i {
		case 200:
			broken.Add(int64(between.Break(theAgent, theServer)))
		case 400:
			between.Cut(theServer, theLead, true)
		case 600:
			between.Heal()
			broken.Add(int64(between.Break(theLead, theServer)))
		}
		return nil
	}
	a := newAgent(by(theAgent, Agent), l)
	ended := make(chan error, 1)
	go func() { ended <- a.run(t.Context()) }()
	r, err := Run(t.Context(), by(theLead, Lead), l)
	require.NoError(t, err)
	assert.NoError(t, <-ended)
	assert.Equal(t, 1000, r.Succeeded)
	assert.EqualValues(t, 2, broken.Load())
}

func TestNoLead(t *testing.T) {
	t.Parallel()
	l := quick()
	l.Wait = 300 * time.Millisecond
	began := time.Now()
	_, err := Run(t.Context(), options(natsServer(t), Agent, 0), l)
	assert.ErrorIs(t, err, ErrNoLead)
	assert.NotContains(t, err.Error(), "only")
	assert.Less(t, time.Since(began), 10*time.Second)
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	for _, role := range []Role{Lead, Agent} {
		o := options(s, role, 1)
		o.Server = "nats://fleet:wrong@" + s.Addr().String()
		_, err := Run(t.Context(), o, quick())
		assert.ErrorIs(t, err, ErrServer)
		assert.ErrorIs(t, err, nats.ErrAuthorization)
		assert.NotContains(t, err.Error(), "wrong")
	}
}

func TestTooFewAgents(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	l := quick()
	l.Wait = time.Second
	_, ended := startAgents(t, s, l)
	_, err := Run(t.Context(), options(s, Lead, 2), l)
	assert.ErrorIs(t, err, ErrAgents)
	assert.ErrorContains(t, err, "1 of 2")
	errs := ended()
	assert.ErrorIs(t, errs[0], ErrStopped)
	assert.ErrorContains(t, errs[0], "too few agents came")
}

// TestAnotherLoad: whoever has another load is told so, and so is everybody else.
func TestAnotherLoad(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	other := quick()
	other.Rate++
	agents, right := startAgents(t, s, quick())
	lead := running(t.Context(), options(s, Lead, 3), quick())
	require.Eventually(t, func() bool {
		agents[0].mu.Lock()
		defer agents[0].mu.Unlock()
		return agents[0].lead != ""
	}, 5*time.Second, time.Millisecond)
	_, wrong := startAgents(t, s, other)
	out := <-lead
	assert.ErrorIs(t, out.err, ErrLoad)
	assert.ErrorContains(t, out.err, "1000 ops/s for 100ms, constant arrivals")
	assert.ErrorContains(t, out.err, "1001 ops/s for 100ms, constant arrivals")
	assert.ErrorIs(t, wrong()[0], ErrLoad)
	assert.ErrorIs(t, right()[0], ErrStopped)
}

func TestFullAndTaken(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	l := quick()
	begun, enough := make(chan struct{}), make(chan struct{})
	l.Do = func(_ context.Context, i int) error {
		if i == 0 {
			close(begun)
			<-enough
		}
		return nil
	}
	_, ended := startAgents(t, s, l)
	o := options(s, Lead, 1)
	o.Patience = 20 * time.Second // for the first operation
	lead := running(t.Context(), o, l)
	<-begun
	_, err := Run(t.Context(), options(s, Agent, 0), l)
	assert.ErrorIs(t, err, ErrRefused)
	_, err = Run(t.Context(), options(s, Lead, 1), l)
	assert.ErrorIs(t, err, ErrTaken)
	other := options(s, Lead, 1)
	other.Name = "y"
	short := l
	short.Wait = 50 * time.Millisecond
	_, err = Run(t.Context(), other, short)
	assert.ErrorIs(t, err, ErrAgents, "fleets of different names do not see each other")
	close(enough)
	out := <-lead
	assert.NoError(t, out.err)
	assert.NoError(t, ended()[0])
}

// TestSpoiltSamples are refused, and the part is not measured.
func TestSpoiltSamples(t *testing.T) {
	t.Parallel()
	for says, spoil := range map[string]func([]byte) []byte{
		"a piece with a wrong checksum": func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"a piece of 0 bytes":            func([]byte) []byte { return nil },
		"the piece at 16 of 800, where that at 0 of 800 was asked for": func(b []byte) []byte {
			p, _ := decodePiece(b)
			p.offset += 16
			p.data = p.data[16:]
			return p.encode()
		},
		"the checksum of all is wrong": func(b []byte) []byte { // while that of the piece is not
			p, _ := decodePiece(b)
			p.data = append([]byte{}, p.data...)
			p.data[8]++
			return p.encode()
		},
	} {
		t.Run(says, func(t *testing.T) {
			s := natsServer(t)
			spoiler := newAgent(options(s, Agent, 0), quick())
			spoiler.spoil = spoil
			end := make(chan error, 1)
			go func() { end <- spoiler.run(t.Context()) }()
			_, ended := startAgents(t, s, quick())
			r, err := Run(t.Context(), options(s, Lead, 2), quick())
			require.NoError(t, err)
			assert.NoError(t, ended()[0])
			assert.ErrorIs(t, <-end, ErrStopped)
			assert.Equal(t, 1, r.Measured)
			assert.Equal(t, 50, r.Succeeded)
			for _, p := range r.Parts {
				if !p.Measured {
					assert.Equal(t, ErrSamples.Error()+": "+says, p.Why)
				}
			}
		})
	}
}

// mute joins a fleet and never answers.
func mute(t *testing.T, s *server.Server, l Load) {
	nc, err := nats.Connect(address(s))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	_, err = nc.Subscribe(agentSubject("mute"), func(msg *nats.Msg) {
		q, err := decode[question](msg.Data)
		if err != nil || q.Kind != askState || q.Task != nil {
			return
		}
		_ = msg.Respond(encode(answer{Clock: clock()}))
	})
	require.NoError(t, err)
	me := introduce(l)
	require.Eventually(t, func() bool {
		_, err := nc.Request(leadSubject("x"), encode(call{Protocol: protocol, Kind: callJoin, ID: "mute", Hello: &me}),
			time.Second)
		return err == nil
	}, 5*time.Second, 10*time.Millisecond)
}

// TestSilentAgent: one that is connected and says nothing is lost as well.
func TestSilentAgent(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	o := options(s, Lead, 2)
	o.pace.silence = silence
	lead := running(t.Context(), o, quick())
	mute(t, s, quick())
	_, ended := startAgents(t, s, quick())
	out := <-lead
	require.NoError(t, out.err)
	assert.NoError(t, ended()[0])
	assert.Equal(t, 1, out.result.Measured)
	assert.Contains(t, out.result.Parts[0].Why, "it said nothing for 2s")
}

// TestServerGone: nobody hangs where the server itself is lost.
func TestServerGone(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	l := quick()
	l.For = 20 * time.Second
	begun := make(chan struct{})
	l.Do = func(_ context.Context, i int) error {
		if i == 0 {
			close(begun)
		}
		return nil
	}
	o := options(s, Agent, 1)
	o.pace.silence = silence
	agent := running(t.Context(), o, l)
	o.Role = Lead
	lead := running(t.Context(), o, l)
	<-begun
	s.Shutdown()
	assert.ErrorIs(t, (<-lead).err, ErrLost)
	assert.ErrorIs(t, (<-agent).err, ErrLost)
}

// TestCancelled: a lead whose context ends lets its agents go, with the cause.
func TestCancelled(t *testing.T) {
	t.Parallel()
	s := natsServer(t)
	l := quick()
	l.For = 20 * time.Second
	begun := make(chan struct{}, 2)
	l.Do = func(_ context.Context, i int) error {
		if i == 0 || i == 10_000 { // the first of each agent
			begun <- struct{}{}
		}
		return nil
	}
	_, ended := startAgents(t, s, l, l)
	ctx, cancel := context.WithCancelCause(t.Context())
	lead := running(ctx, options(s, Lead, 2), l)
	for range 2 {
		<-begun
	}
	cause := errors.New("somebody had enough")
	cancel(cause)
	assert.ErrorIs(t, (<-lead).err, cause)
	for _, err := range ended() {
		assert.ErrorIs(t, err, ErrStopped)
		assert.ErrorContains(t, err, "somebody had enough")
	}
	_, err := Run(ctx, Options{}, l)
	assert.ErrorIs(t, err, cause, "alone")
}
