package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// standing is what a node last said of itself.
type standing struct {
	instance uint64
	epoch    uint64 // of its latest view, or 0
	complete bool   // it votes in all partitions that are its own in that view
}

// beatEvery is the time between two beats. They tell who needs to learn of a
// view, who wants to be in the next, and who has caught up.
const beatEvery = 100 * time.Millisecond

// turn is how long each node leaves it to those before it to propose the next
// view, so that they seldom compete.
const turn = 5 * beatEvery

// keep has this node know the present view, and sees to it that there is
// another one when that is wanted.
func (s *Store) keep() {
	clock := time.NewTicker(beatEvery)
	defer clock.Stop()
	for {
		s.beat()
		if st := s.state.Load(); st.view == nil {
			s.foundCluster()
		} else if members := s.wanted(st, time.Now()); members != nil && s.present(st, members) {
			s.propose(st, members)
		}
		select {
		case <-clock.C:
		case <-s.wake:
		case <-s.closed:
			return
		}
	}
}

// nudge has the keeper look at once.
func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Store) beat() {
	for _, p := range s.peers {
		if s.net.Alive(p.name) {
			p.beat(nil)
		}
	}
}

// catchUp asks the peer for the views that this node has missed.
func (p *peer) catchUp() {
	if p.asking.CompareAndSwap(false, true) {
		p.beat(func() { p.asking.Store(false) })
	}
}

// beat tells the peer how far this node is, and learns the same of it.
func (p *peer) beat(done func()) {
	s := p.store
	s.net.Go(p.name, s.appendStanding([]byte{msgBeat}), func(reply []byte, err error) {
		if done != nil {
			defer done()
		}
		d := &decoder{rest: reply, bad: err != nil}
		about, news := d.standing(), d.chain()
		if d.end() != nil {
			return
		}
		s.hear(p.name, about)
		s.adopt(news, ballot{})
		if mine := s.state.Load().chain; about.epoch < mine.epoch() {
			s.net.Go(p.name, appendChain([]byte{msgTell}, mine), func([]byte, error) {})
		}
	})
}

// beaten answers a beat.
func (s *Store) beaten(from string, d *decoder) ([]byte, error) {
	about := d.standing()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.hear(from, about)
	var news chain
	if mine := s.state.Load().chain; about.epoch < mine.epoch() {
		news = mine
	}
	return appendChain(s.appendStanding(nil), news), nil
}

// told takes views that another node has told of its own accord.
func (s *Store) told(d *decoder) ([]byte, error) {
	c := d.chain()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.adopt(c, ballot{})
	return []byte{}, nil
}

func (s *Store) standing() standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state.Load()
	return standing{s.instance, st.chain.epoch(), st.complete.Load()}
}

func (s *Store) appendStanding(b []byte) []byte {
	about := s.standing()
	b = binary.LittleEndian.AppendUint64(b, about.instance)
	b = binary.AppendUvarint(b, about.epoch)
	if about.complete {
		return append(b, 1)
	}
	return append(b, 0)
}

func (d *decoder) standing() standing {
	return standing{d.uint64(), d.uvarint(), d.byte() == 1}
}

// hear keeps what a node says of itself. Beats may overtake each other: the
// standing of one life never falls back.
func (s *Store) hear(from string, about standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	had, ok := s.heard[from]
	if ok && had.instance == about.instance && (had.epoch > about.epoch || had.epoch == about.epoch && had.complete) {
		return
	}
	if had != about {
		s.heard[from] = about
		s.tell()
	}
}

// tell has those look again who wait for news. The lock is held.
func (s *Store) tell() {
	close(s.news)
	s.news = make(chan struct{})
}

// adopt moves this node on to the latest of the views it is told of. by is the
// ballot of the founder if it is he who tells.
func (s *Store) adopt(told chain, by ballot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state.Load()
	mine := old.chain
	if told.epoch() <= mine.epoch() {
		return
	}
	if len(mine) == 0 && told.epoch() == 1 && s.ballots.founding != by {
		// This node has promised somebody else to wait for his first view. If this
		// one holds nevertheless, the founder will find out and tell so.
		return
	}
	for _, v := range told {
		if v.epoch <= mine.epoch() {
			continue
		}
		v.place()
		follows := v.epoch == mine.epoch()+1
		if !follows {
			mine = nil
		}
		self := v.index(s.instance)
		s.joined = s.joined || self >= 0
		for p := range s.parts {
			s.parts[p].enter(v.epoch, follows, v.rank(p, self))
		}
		mine = mine.then(v)
	}
	st := &state{chain: mine, view: mine.latest(), changed: make(chan struct{})}
	st.self = st.view.index(s.instance)
	for _, m := range st.view.members {
		st.peers = append(st.peers, s.peers[m.name])
	}
	if st.self < 0 {
		// Where this node was thought dead and comes back, it is another member.
		// Its name may be taken by that, and is its own even so.
		if s.joined {
			s.instance, s.joined = newInstance(), false
		}
	}
	s.wanting = time.Time{}
	s.state.Store(st)
	close(old.changed)
	s.tell()
}

// wanted returns the members that the view after this one should have, or nil
// if this one will do, if it is too early to tell, or if it is for another node
// to propose it.
func (s *Store) wanted(st *state, now time.Time) []member {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.cfg.Nodes {
		if s.alive(name) {
			delete(s.down, name)
		} else if s.down[name].IsZero() {
			s.down[name] = now
		}
	}
	members := s.next(st, now)
	if members == nil {
		s.wanting = time.Time{}
		return nil
	}
	if s.wanting.IsZero() {
		s.wanting = now
	}
	before := 0
	for _, m := range st.view.members[:max(st.self, 0)] {
		if s.alive(m.name) {
			before++
		}
	}
	if st.self < 0 || now.Sub(s.wanting) < time.Duration(before)*turn {
		return nil
	}
	return members
}

// present asks those who are to become members whether they still are who they
// were: what was heard of them may be older than their death.
func (s *Store) present(st *state, members []member) bool {
	for _, m := range members {
		if st.view.index(m.instance) >= 0 || m.name == s.cfg.Name {
			continue
		}
		p := s.peers[m.name]
		reply, err := p.call(s.appendStanding([]byte{msgBeat}))
		d := &decoder{rest: reply, bad: err != nil}
		about, _ := d.standing(), d.chain()
		if d.end() != nil {
			return false
		}
		s.hear(m.name, about)
		if about.instance != m.instance {
			return false
		}
	}
	return true
}

func (s *Store) alive(name string) bool { return name == s.cfg.Name || s.net.Alive(name) }

// next is the members of the next view, or nil.
//
// A view follows only once the members of the one before have caught up: so no
// partition waits for more than one newcomer. Nobody waits for a member that is
// dead, except those that have been thought dead themselves: as they forget what
// they know when they join, they leave it time to come back and ask them.
func (s *Store) next(st *state, now time.Time) []member {
	lost, joins := "", true
	for i, m := range st.view.members {
		about := s.heard[m.name]
		complete := about == standing{m.instance, st.view.epoch, true}
		switch dead := now.Sub(s.down[m.name]); {
		case i == st.self:
			if !st.complete.Load() {
				return nil
			}
		case !s.alive(m.name):
			if lost == "" && dead >= s.cfg.RepairAfter {
				lost = m.name
			}
			joins = joins && (complete || dead >= goodbye*s.cfg.RepairAfter)
		case about.instance == m.instance && !complete:
			return nil
		}
	}
	for _, name := range s.cfg.Nodes {
		// Who knows this view and that it is not in it wants to be in the next.
		about := s.heard[name]
		if joins && s.alive(name) && about.epoch == st.view.epoch && st.view.index(about.instance) < 0 {
			return st.view.with(member{name, about.instance})
		}
	}
	if lost != "" && len(st.view.members) > replicas {
		return st.view.without(lost)
	}
	return nil
}

// goodbye is how many times RepairAfter a member that had not caught up must be
// dead before nobody reckons with its return.
const goodbye = 10

// Replicated waits until every session has all its replicas among the nodes
// named, and each of these nodes has its share: so as far as this node knows,
// which it does in an epoch in which exactly they are members. It returns the
// error of ctx if that ends first.
func (s *Store) Replicated(ctx context.Context, on ...string) error {
	on = slices.Sorted(slices.Values(on))
	for {
		s.mu.Lock()
		why, news := s.unreplicated(on), s.news
		s.mu.Unlock()
		if why == "" {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%w: replication over %q: %s: %w", ErrNoQuorum, on, why, context.Cause(ctx))
		case <-s.closed:
			return ErrClosed
		}
	}
}

func (s *Store) unreplicated(on []string) string {
	st := s.state.Load()
	if st.view == nil {
		return "no configuration yet"
	}
	if !slices.EqualFunc(on, st.view.members, func(name string, m member) bool { return name == m.name }) {
		return "this is " + st.view.String()
	}
	for i, m := range st.view.members {
		about := s.heard[m.name]
		if i == st.self {
			about = standing{s.instance, st.view.epoch, st.complete.Load()}
		}
		if about != (standing{m.instance, st.view.epoch, true}) {
			return m.name + " has not caught up in " + st.view.String()
		}
	}
	return ""
}
