package session

import "encoding/binary"

// The first view has no view before it whose members could agree on it. The
// node with the lowest name founds the cluster: it has each of the others
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
// any more, since most of its members have been restarted: again all nodes, which
// all know that view and no later one, promise to wait.

// foundCluster founds the first view, if that is for this node to do.
func (s *Store) foundCluster() {
	if s.cfg.Name == s.cfg.Nodes[0] {
		s.found(&inquest{store: s, st: s.state.Load(), names: s.cfg.Nodes}, parts{}, parts{})
	}
}

// found makes the view that follows that of the inquest, if all the nodes
// promise to wait for it. Partitions that are lost begin anew in it.
func (s *Store) found(q *inquest, lost, doubted parts) {
	b, after := s.newFounding(), q.st.chain.epoch()
	request := appendBallot(binary.AppendUvarint([]byte{msgFound}, after), b)
	request = appendParts(binary.LittleEndian.AppendUint64(request, s.list), lost)
	all := q.ask(request)
	if q.later != nil {
		s.establish(q.later, b, q.names)
	}
	if !all {
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
		v.members = append(v.members, member{name, q.heard[name].instance})
	}
	s.establish(q.st.chain.then(v), b, q.names)
}

// establish has those take a view who have promised the founder to wait for it.
func (s *Store) establish(c chain, by ballot, names []string) {
	s.adopt(c, by)
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

// promise answers a founder. A node that has a later view tells it.
func (s *Store) promise(d *decoder) ([]byte, error) {
	after, b, list, bar := d.uvarint(), d.ballot(), d.uint64(), d.parts()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if reply := s.apart(after, list); reply != nil {
		return reply, nil
	}
	mine := &s.ballots
	if mine.founds == after && b.compare(mine.founding) < 0 {
		return binary.AppendUvarint([]byte{voteNo}, mine.founding.round), nil
	}
	mine.founding, mine.founds = b, after
	mine.round = max(mine.round, b.round)
	return s.appendTestimony([]byte{voteYes}, bar, parts{}), nil
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
