package session

import (
	"encoding/binary"
	"time"
)

// The first view has no view before it whose members could agree on it. The
// node with the lowest name, of those that hear all others, founds the cluster: it
// has each of the others
// promise to wait for its view, and where all of them have, and none has any
// view, it makes one of all of them.
//
// A founder that is restarted meanwhile begins again with a higher ballot. That
// ends what the earlier one had begun, as nobody takes a view from a founder
// other than the one promised last; and if anybody had taken it already, the
// promise comes back with that view, and that it stays.
//
// A cluster that has a view is never founded anew, since a node with a view does
// not promise. For that, one such node must be left: if all of them are restarted
// there is nothing to remember, and what is founded is another cluster.
//
// In the same way a view is made to follow one that cannot have one by agreement
// any more, since most of its members have been restarted: all nodes but at most one
// promise to wait, all of which know that view and no later one. From then on they
// neither vote for another view nor take it. The one that is missing may have a
// later view, and is alone in it: nothing can be completed there, as that takes two.

// foundCluster founds the first view, if that is for this node to do.
func (s *Store) foundCluster() {
	s.mu.Lock()
	fit := len(s.suspects) == 0
	for _, name := range s.cfg.Nodes {
		fit = fit && (name >= s.cfg.Name || len(s.opinions[name].suspects) > 0)
	}
	s.mu.Unlock()
	if fit {
		s.found(&inquest{store: s, st: s.state.Load(), names: s.cfg.Nodes}, parts{}, parts{}, parts{})
	}
}

// found makes the view that follows that of the inquest, if the nodes promise to
// wait for it. Partitions that are lost begin anew in it, once those that still vote
// have surrendered.
func (s *Store) found(q *inquest, lost, surrender, doubted parts) {
	b, after := s.newFounding(), q.st.chain.epoch()
	request := appendBallot(binary.AppendUvarint([]byte{msgFound}, after), b)
	request = appendParts(appendParts(binary.LittleEndian.AppendUint64(request, s.list), lost), surrender)
	all := q.ask(request)
	if q.later != nil {
		s.establish(q.later, b, q.names)
	}
	if !all && (after == 0 || q.later != nil || len(q.heard) < max(len(q.names)-1, minNodes)) {
		return
	}
	v := &view{epoch: 1, after: after, founder: b, founded: lost, doubted: doubted}
	if after > 0 {
		if q.recount(&lost); lost != v.founded || !q.served(lost) {
			return
		}
		v.epoch = (after>>16+1)<<16 | b.round&0xFFFF
	}
	for _, name := range q.names { // in order
		if t, ok := q.heard[name]; ok {
			v.members = append(v.members, member{name, t.instance})
		}
	}
	s.establish(q.st.chain.then(v), b, q.names)
}

// establish has those take a view who have promised the founder to wait for it.
func (s *Store) establish(c chain, by ballot, names []string) {
	s.adopt(c, by)
	if s.state.Load().chain.epoch() < c.epoch() {
		return // it was overtaken
	}
	for _, name := range names {
		if name != s.cfg.Name {
			s.tellViews(name, c)
		}
	}
}

// newFounding draws the ballot of a founder.
func (s *Store) newFounding() ballot {
	b := s.newBallot()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ballots.mine = b
	return b
}

// promise answers a founder. A node that has a later view tells it. Of two founders
// one has a higher round, of which their views have different epochs.
func (s *Store) promise(d *decoder) ([]byte, error) {
	after, b, list, bar, surrender := d.uvarint(), d.ballot(), d.uint64(), d.parts(), d.parts()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if reply := s.apart(after, list); reply != nil {
		return reply, nil
	}
	mine := &s.ballots
	if mine.founds == after && b.round <= mine.founding.round && b != mine.founding {
		return binary.AppendUvarint([]byte{voteNo}, mine.founding.round), nil
	}
	mine.founding, mine.founds, mine.refused = b, after, time.Time{}
	mine.round = max(mine.round, b.round)
	return s.appendTestimony([]byte{voteYes}, bar, surrender), nil
}

// apart is the answer to a node that has another list of nodes or another view;
// nil where neither is so. The lock is held.
func (s *Store) apart(epoch, list uint64) []byte {
	mine := s.state.Load().chain
	switch {
	case mine.epoch() > epoch:
		return appendChain([]byte{voteMoved}, mine)
	case mine.epoch() < epoch:
		return appendChain([]byte{voteMoved}, nil)
	case list != s.list:
		return []byte{voteDiffer}
	}
	return nil
}
