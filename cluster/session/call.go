package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// call is one question to the replicas of a key, all in one epoch. It is over
// when a majority has answered, or can no longer do so.
type call struct {
	view  *view     // in which it is asked
	until time.Time // it is not to be sent later

	mu     sync.Mutex
	done   chan struct{} // closed when it is over
	over   bool
	oks    int
	failed int
	best   record // the newest answer
	agreed bool   // all answers are the same version

	least, most uint64 // marks of those who answered
	fence       uint64 // the highest of theirs
}

// answer takes what a replica says.
func (c *call) answer(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.take(a)
	if c.oks == majority {
		c.end()
	}
}

// take counts an answer. Its value is copied if it is kept.
func (c *call) take(a answer) {
	c.oks++
	newer := a.found.version.Compare(c.best.version)
	c.agreed = c.oks == 1 || c.agreed && newer == 0
	if newer > 0 {
		c.best = a.found
		c.best.value = bytes.Clone(a.found.value)
	}
	if c.oks == 1 {
		c.least = a.mark
	}
	c.least, c.most, c.fence = min(c.least, a.mark), max(c.most, a.mark), max(c.fence, a.fence)
}

// token is that of what was fetched. Once the call is over it does not change.
func (c *call) token() token { return token{c.view.epoch, c.most} }

// fail takes that a replica will not answer.
func (c *call) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed++
	if !c.over && c.failed > replicas-majority {
		c.end()
	}
}

func (c *call) end() {
	c.over = true
	close(c.done)
}

// outcome tells how many have answered, and whether the call is over. Once it
// is, nothing of it changes any more.
//
// Where one replica answered before a round of forgetting and another after what
// it forgot, the one may have told of what the other has had a later version of:
// that is no answer.
func (c *call) outcome() (oks int, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.least < c.fence {
		return 0, c.over
	}
	return c.oks, c.over
}

// How long to wait before asking again: where replicas have refused, for the
// views to settle; where they are silent, long, since most likely they are busy
// and more questions would not help.
const (
	firstPause   = 2 * time.Millisecond
	lastPause    = 100 * time.Millisecond
	firstSilence = time.Second
)

// operation is one of Get, Put and Delete, from its start to its end.
type operation struct {
	store *Store
	ctx   context.Context
	name  string // for errors
	key   string
	wire  []byte // key, as messages have it
	part  int
	until time.Time
	timer *time.Timer
	since uint64 // epoch in which phase 1 was answered
	sent  bool   // phase 2 of a write was sent
	// fetched is the token of what phase 1 has fetched, which phase 2 carries.
	fetched token
}

// errAnew: the partition has begun anew since phase 1. What that has found is of
// no account any more, and must not be stored.
var errAnew = errors.New("the partition has begun anew")

// begin checks the key and sets the deadline.
func (s *Store) begin(ctx context.Context, name, key string) (*operation, error) {
	if len(key) > MaxKey || key == "" {
		return nil, fmt.Errorf("%w: %s: key of %d bytes, must be 1 to %d", ErrTooLarge, name, len(key), MaxKey)
	}
	o := &operation{store: s, ctx: ctx, name: name, key: key, wire: appendKey(nil, key), part: partitionOf(key)}
	o.until = time.Now().Add(s.cfg.Timeout)
	o.timer = time.NewTimer(firstSilence)
	return o, nil
}

func (o *operation) end() { o.timer.Stop() }

// keep has a majority store a record, which follows from what was fetched.
func (o *operation) keep(c *call, sealed []byte, r record) error {
	o.fetched = c.token()
	_, err := o.ask(opStore, append(appendToken(nil, o.fetched), sealed...), r)
	return err
}

// ask has a majority of the replicas perform an operation, all of them in one
// epoch, and asks again as long as there is time.
//
// It may well ask again in a later epoch: what a majority answered there, it
// answered after everything that was completed in earlier ones. And a record is
// stored twice to the same effect as once.
func (o *operation) ask(kind byte, payload []byte, r record) (*call, error) {
	s := o.store
	pause, silence, oks := firstPause, firstSilence, 0
	for time.Now().Before(o.until) {
		st := s.state.Load()
		if st.view == nil {
			if err := o.wait(lastPause, st.changed, nil); err != nil {
				return nil, o.failed(0, st, err)
			}
			continue
		}
		if kind == opStore && st.view.epoch != o.since && st.chain.foundedSince(o.part, o.since) {
			if o.sent {
				return nil, o.failed(oks, st, errAnew)
			}
			return nil, errAnew
		}
		c := o.send(st, kind, payload, r)
		if err := o.wait(silence, c.done, st.changed); err != nil {
			return nil, o.failed(oks, st, err)
		}
		var over bool
		if oks, over = c.outcome(); oks >= majority {
			o.since = st.view.epoch
			return c, nil
		}
		if !over {
			silence *= 2
			continue
		}
		if err := o.wait(pause, st.changed, nil); err != nil {
			return nil, o.failed(oks, st, err)
		}
		pause = min(2*pause, lastPause)
	}
	return nil, o.failed(oks, s.state.Load(), nil)
}

// send puts the question to the three replicas.
func (o *operation) send(st *state, kind byte, payload []byte, r record) *call {
	c := &call{view: st.view, until: o.until, done: make(chan struct{})}
	o.sent = o.sent || kind == opStore && o.name != "get"
	for _, at := range st.view.table[o.part] {
		if p := st.peers[at]; p != nil {
			p.send(kind, st.view.epoch, payload, c)
			continue
		}
		key := o.wire[len(o.wire)-len(o.key):]
		a := o.store.parts[o.part].perform(kind, st.view.epoch, key, r, o.fetched, o.store.moment())
		if a.status != statusDone {
			c.fail()
			continue
		}
		c.answer(a)
	}
	return c
}

// wait waits for either channel, but no longer than d. Its error is the reason to
// give up.
func (o *operation) wait(d time.Duration, done, changed <-chan struct{}) error {
	o.timer.Reset(min(d, time.Until(o.until)))
	select {
	case <-done:
	case <-changed:
	case <-o.timer.C:
	case <-o.ctx.Done():
		return context.Cause(o.ctx)
	case <-o.store.closed:
		return ErrClosed
	}
	return nil
}

func (o *operation) failed(oks int, st *state, cause error) error {
	kindOf := ErrNoQuorum
	if o.sent {
		kindOf = ErrUncertain
	}
	text := fmt.Sprintf("%s %q: %d of %d replicas answered in epoch %d", o.name, o.key, oks, replicas, st.chain.epoch())
	if st.view == nil {
		text = fmt.Sprintf("%s %q: no configuration yet%s", o.name, o.key, o.store.differing())
	}
	if cause != nil {
		return fmt.Errorf("%w: %s: %w", kindOf, text, cause)
	}
	return fmt.Errorf("%w: %s", kindOf, text)
}
