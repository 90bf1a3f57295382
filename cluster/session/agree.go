package session

import (
	"cmp"
	"encoding/binary"
	"time"
)

// The members of a view agree on the one that follows by single-decree Paxos
// (Lamport, 2001). Members are lives of nodes: an acceptor that was restarted
// and has forgotten its promises is not a member any more. So nothing need be
// written to a disk.

// ballot orders proposals; the highest promised prevails.
type ballot struct{ round, instance uint64 }

func (b ballot) compare(c ballot) int {
	return cmp.Or(cmp.Compare(b.round, c.round), cmp.Compare(b.instance, c.instance))
}

// ballots is what this node has promised and accepted.
type ballots struct {
	round    uint64    // the highest heard of
	mine     ballot    // of this node, when it last was the founder
	founding ballot    // promised to a founder
	refused  time.Time // since when this node does not take another view for that
	founds   uint64    // the epoch whose successor that founder makes; 0 for the first view
	epoch    uint64    // the view whose successor the rest is about
	promised ballot
	accepted ballot
	value    view // accepted
}

// Votes.
const (
	voteYes    byte = iota + 1
	voteNo          // a higher ballot was promised
	voteMoved       // another epoch, or not a member
	voteDiffer      // another list of nodes
)

// surveyTime bounds how long one phase waits for answers.
const surveyTime = time.Second

// survey puts a request to nodes, this one among them, and hands each reply to
// take, on this goroutine, until that has had enough.
func (s *Store) survey(names []string, request []byte, take func(from string, d *decoder) (enough bool)) {
	type answer struct {
		from  string
		reply []byte
		err   error
	}
	answers := make(chan answer, len(names))
	for _, name := range names {
		if name == s.cfg.Name {
			reply, err := s.handle(name, request)
			answers <- answer{name, reply, err}
			continue
		}
		s.net.Go(name, request, func(reply []byte, err error) {
			answers <- answer{name, append([]byte(nil), reply...), err}
		})
	}
	late := time.NewTimer(surveyTime)
	defer late.Stop()
	for range names {
		select {
		case a := <-answers:
			if a.err == nil && take(a.from, &decoder{rest: a.reply}) {
				return
			}
		case <-late.C:
			return
		case <-s.closed:
			return
		}
	}
}

// newBallot draws a ballot above all that were heard of.
func (s *Store) newBallot() ballot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ballots.round++
	return ballot{s.ballots.round, s.instance}
}

func (s *Store) sawRound(round uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ballots.round = max(s.ballots.round, round)
}

func appendBallot(b []byte, x ballot) []byte {
	b = binary.AppendUvarint(b, x.round)
	return binary.LittleEndian.AppendUint64(b, x.instance)
}

func (d *decoder) ballot() ballot { return ballot{d.uvarint(), d.uint64()} }

// propose has the members of a view agree on the one that follows. It need not
// be this one in the end.
func (s *Store) propose(st *state, next *view) {
	names := make([]string, len(st.view.members))
	for i, m := range st.view.members {
		names[i] = m.name
	}
	b, decided := s.newBallot(), *next
	var accepted ballot
	request := appendBallot(binary.AppendUvarint([]byte{msgPromise}, st.view.epoch), b)
	if !s.poll(st.view, names, request, func(d *decoder) {
		if at := d.ballot(); at != (ballot{}) {
			if value := d.content(); !d.bad && at.compare(accepted) > 0 {
				accepted, decided = at, value
			}
		}
	}) {
		return
	}
	request = appendBallot(binary.AppendUvarint([]byte{msgAccept}, st.view.epoch), b)
	if !s.poll(st.view, names, appendContent(request, &decided), func(*decoder) {}) {
		return
	}
	decided.epoch, decided.after = st.view.epoch+1, st.view.epoch
	s.adopt(st.chain.then(&decided), ballot{})
	s.beat() // the others learn of it by the epoch
}

// poll tells whether a majority of the members votes yes.
func (s *Store) poll(v *view, names []string, request []byte, yes func(*decoder)) bool {
	votes := 0
	s.survey(names, request, func(_ string, d *decoder) bool {
		switch d.byte() {
		case voteYes:
			if yes(d); d.end() == nil {
				votes++
			}
		case voteNo:
			s.sawRound(d.uvarint())
		case voteMoved:
			if news := d.chain(); d.end() == nil {
				s.adopt(news, ballot{})
			}
		}
		return votes > len(v.members)/2
	})
	return votes > len(v.members)/2
}

// vote answers both phases.
func (s *Store) vote(phase byte, d *decoder) ([]byte, error) {
	epoch, b := d.uvarint(), d.ballot()
	var value view
	if phase == msgAccept {
		value = d.content()
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state.Load()
	if st.view == nil || st.view.epoch != epoch || st.self < 0 {
		var news chain
		if st.chain.epoch() > epoch {
			news = st.chain
		}
		return appendChain([]byte{voteMoved}, news), nil
	}
	mine := &s.ballots
	if mine.epoch != epoch {
		mine.epoch, mine.promised, mine.accepted = epoch, ballot{}, ballot{}
	}
	if b.compare(mine.promised) < 0 || s.pledged() {
		return binary.AppendUvarint([]byte{voteNo}, mine.promised.round), nil
	}
	mine.promised = b
	if phase == msgAccept {
		mine.accepted, mine.value = b, value
		return []byte{voteYes}, nil
	}
	reply := appendBallot([]byte{voteYes}, mine.accepted)
	if mine.accepted != (ballot{}) {
		reply = appendContent(reply, &mine.value)
	}
	return reply, nil
}
