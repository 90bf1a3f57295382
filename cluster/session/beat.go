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

// opinion is what a node last said of others.
type opinion struct {
	list     uint64   // stands for its Config.Nodes
	suspects []string // nodes that it believes dead
}

// keep has this node know the present view, and sees to it that there is
// another one when that is wanted.
func (s *Store) keep() {
	clock := time.NewTicker(beatEvery)
	defer clock.Stop()
	for {
		s.watch(time.Now())
		s.beat()
		if st := s.state.Load(); st.view == nil {
			s.foundCluster()
		} else if members := s.wanted(st, time.Now()); members != nil && s.present(st, members) {
			s.propose(st, st.view.next(members))
		}
		if st := s.state.Load(); st.view != nil && s.stuck(st, time.Now()) {
			s.mend(st, nil, false)
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
	for _, name := range s.known(s.state.Load()) {
		if p := s.peer(name); p != nil && s.net.Alive(name) {
			p.beat(nil)
		}
	}
}

// known is the nodes of the configuration and those of the views, by name: more
// than the former where another node has a longer list.
func (s *Store) known(st *state) []string {
	names := slices.Clone(s.cfg.Nodes)
	for _, v := range st.chain {
		for _, m := range v.members {
			if at, ok := slices.BinarySearch(names, m.name); !ok {
				names = slices.Insert(names, at, m.name)
			}
		}
	}
	return names
}

// watch finds out who is believed dead, by this node and by a majority.
func (s *Store) watch(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state.Load()
	names := s.known(st)
	s.suspects = slices.DeleteFunc(slices.Clone(names), s.alive)
	for _, name := range names {
		if !s.deadToMost(st, name) {
			delete(s.down, name)
		} else if s.down[name].IsZero() {
			s.down[name] = now
		}
	}
}

// deadToMost tells whether a majority of the members believes a node dead. Where
// only a link is broken, most others still hear of the node, and it stays a member:
// leaving it out would cost a share of the data, and it would be back at once.
func (s *Store) deadToMost(st *state, name string) bool {
	if st.view == nil {
		return false
	}
	votes := 0
	for i, m := range st.view.members {
		of := s.opinions[m.name].suspects
		if i == st.self {
			of = s.suspects
		}
		if s.alive(m.name) && slices.Contains(of, name) {
			votes++
		}
	}
	return votes > len(st.view.members)/2
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
	s.net.Go(p.name, s.appendReport([]byte{msgBeat}), func(reply []byte, err error) {
		if done != nil {
			defer done()
		}
		d := &decoder{rest: reply, bad: err != nil}
		about, thinks, rumours, news := d.standing(), d.opinion(), d.rumours(), d.chain()
		if d.end() != nil {
			return
		}
		s.hear(p.name, about, thinks)
		s.overhear(rumours)
		s.adopt(news, ballot{})
		if mine := s.state.Load().chain; about.epoch < mine.epoch() {
			s.tellViews(p.name, mine)
		}
	})
}

// beaten answers a beat. Of those whom the sender does not hear, it says what
// this node has heard of them.
func (s *Store) beaten(from string, d *decoder) ([]byte, error) {
	about, thinks := d.standing(), d.opinion()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.hear(from, about, thinks)
	var news chain
	if mine := s.state.Load().chain; about.epoch < mine.epoch() {
		news = mine
	}
	return appendChain(s.appendRumours(s.appendReport(nil), thinks.suspects), news), nil
}

// tellViews tells a node of views, of this one's own accord: as the founder, where
// it was the last to found one.
func (s *Store) tellViews(to string, c chain) {
	s.mu.Lock()
	by := s.ballots.mine
	s.mu.Unlock()
	s.net.Go(to, appendChain(appendBallot([]byte{msgTell}, by), c), func([]byte, error) {})
}

// told takes views that another node has told of its own accord.
func (s *Store) told(d *decoder) ([]byte, error) {
	by, c := d.ballot(), d.chain()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.adopt(c, by)
	return []byte{}, nil
}

func (s *Store) standing() standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state.Load()
	return standing{s.instance, st.chain.epoch(), st.complete.Load()}
}

// appendReport encodes the standing of this node, and its opinion.
func (s *Store) appendReport(b []byte) []byte {
	b = appendStanding(b, s.standing())
	s.mu.Lock()
	defer s.mu.Unlock()
	b = binary.LittleEndian.AppendUint64(b, s.list)
	b = binary.AppendUvarint(b, uint64(len(s.suspects)))
	for _, name := range s.suspects {
		b = appendKey(b, name)
	}
	return b
}

func appendStanding(b []byte, about standing) []byte {
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

// maxKnown bounds the names in an opinion: of two lists.
const maxKnown = 2 * maxNodes

func (d *decoder) opinion() opinion {
	o := opinion{list: d.uint64()}
	for range d.count(maxKnown) {
		o.suspects = append(o.suspects, string(d.bytes(maxName)))
	}
	return o
}

// rumour is the standing of a node, from another one.
type rumour struct {
	name  string
	about standing
}

func (s *Store) appendRumours(b []byte, of []string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	of = slices.DeleteFunc(slices.Clone(of), func(name string) bool {
		return s.heard[name] == standing{} || !s.alive(name)
	})
	b = binary.AppendUvarint(b, uint64(len(of)))
	for _, name := range of {
		b = appendStanding(appendKey(b, name), s.heard[name])
	}
	return b
}

func (d *decoder) rumours() (all []rumour) {
	for range d.count(maxKnown) {
		all = append(all, rumour{string(d.bytes(maxName)), d.standing()})
	}
	return all
}

// overhear takes rumours about nodes that this one cannot hear itself.
func (s *Store) overhear(rumours []rumour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rumours {
		if !s.alive(r.name) {
			s.note(r.name, r.about)
		}
	}
}

// hear keeps what a node says of itself and of others.
func (s *Store) hear(from string, about standing, thinks opinion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opinions[from] = thinks
	s.note(from, about)
}

// note keeps the standing of a node. Beats may overtake each other: the standing
// of one life never falls back. The lock is held.
func (s *Store) note(name string, about standing) {
	had, ok := s.heard[name]
	if ok && had.instance == about.instance && (had.epoch > about.epoch || had.epoch == about.epoch && had.complete) {
		return
	}
	if had != about {
		s.heard[name] = about
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
//
// Who has promised a founder to wait for his view takes no other one to follow
// the present: neither what those had agreed on who are dead now, nor the view of
// another founder, unless there is a later one already. If that one holds
// nevertheless, the founder will find out, take it itself and tell so. If the founder
// has died, nobody tells any more; then this node gives up what it has.
func (s *Store) adopt(told chain, by ballot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state.Load()
	mine := old.chain
	if told.epoch() <= mine.epoch() {
		return
	}
	if v := told.latest(); v.founder != (ballot{}) && v.founder == s.ballots.mine && v.after != mine.epoch() {
		return // what this node was about to found has been overtaken
	}
	if promised := s.ballots.founding; s.pledged() && promised != by && promised != s.ballots.mine {
		next := told.following(mine.epoch())
		if next != nil && next.founder != promised && (next.founder == (ballot{}) || next == told.latest()) {
			if s.ballots.refused.IsZero() {
				s.ballots.refused = time.Now()
			}
			if time.Since(s.ballots.refused) < goodbye*s.cfg.RepairAfter {
				return
			}
			s.forgetLife()
		}
	}
	for _, v := range told {
		if v.epoch <= mine.epoch() {
			continue
		}
		v.place()
		follows := v.after == mine.epoch()
		if !follows {
			mine = nil
		}
		self := v.index(s.instance)
		s.joined = s.joined || self >= 0
		for p := range s.parts {
			s.parts[p].enter(v.epoch, follows, v.rank(p, self), v.founded.has(p))
		}
		mine = mine.then(v)
	}
	st := &state{chain: mine, view: mine.latest(), changed: make(chan struct{})}
	st.self = st.view.index(s.instance)
	for i, m := range st.view.members {
		if st.peers = append(st.peers, nil); i != st.self {
			st.peers[i] = s.peer(m.name)
		}
	}
	if st.self < 0 {
		// Where this node was thought dead and comes back, it is another member.
		// Its name may be taken by that, and is its own even so.
		if s.joined {
			s.instance, s.joined = newInstance(), false
		}
	}
	s.wanting, s.unwell = time.Time{}, time.Time{}
	s.state.Store(st)
	close(old.changed)
	s.tell()
}

// forgetLife has this node be as good as restarted. The lock is held.
func (s *Store) forgetLife() {
	s.instance, s.joined = newInstance(), false
	for i := range s.parts {
		s.parts[i].forgetAll()
	}
}

// Replicated waits until, as far as this node knows, exactly the nodes that are named
// are members, and each of them has its share of the sessions. It returns the error of
// ctx if that ends first.
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
		return "no configuration yet" + s.others()
	}
	if !slices.EqualFunc(on, st.view.members, func(name string, m member) bool { return name == m.name }) {
		return "this is " + st.view.String()
	}
	return s.behind(st)
}

// behind says which member has not caught up, or nothing. The lock is held.
func (s *Store) behind(st *state) string {
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
