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

func (s *Store) foundCluster() {
	if s.cfg.Name != s.cfg.Nodes[0] {
		return
	}
	b := s.newBallot()
	instances := make(map[string]uint64)
	var existing chain
	s.survey(s.cfg.Nodes, appendBallot([]byte{msgFound}, b), func(from string, d *decoder) bool {
		switch d.byte() {
		case voteYes:
			if instance := d.uint64(); d.end() == nil && instance != 0 {
				instances[from] = instance
			}
		case voteNo:
			s.sawRound(d.uvarint())
		case voteMoved:
			if c := d.chain(); d.end() == nil && c.epoch() > existing.epoch() {
				existing = c
			}
		}
		return existing != nil
	})
	if existing == nil {
		if len(instances) < len(s.cfg.Nodes) {
			return
		}
		var members []member
		for _, name := range s.cfg.Nodes { // in order
			members = append(members, member{name, instances[name]})
		}
		existing = chain{{epoch: 1, members: members}}
	}
	s.adopt(existing, b)
	founded := appendChain(appendBallot([]byte{msgFounded}, b), existing)
	for _, p := range s.peers {
		s.net.Go(p.name, founded, func([]byte, error) {})
	}
}

// found answers a founder.
func (s *Store) found(d *decoder) ([]byte, error) {
	b := d.ballot()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.state.Load(); st.view != nil {
		return appendChain([]byte{voteMoved}, st.chain), nil
	}
	if b.compare(s.ballots.founding) < 0 {
		return binary.AppendUvarint([]byte{voteNo}, s.ballots.founding.round), nil
	}
	s.ballots.founding = b
	return binary.LittleEndian.AppendUint64([]byte{voteYes}, s.instance), nil
}

// founded takes the view of a founder.
func (s *Store) founded(d *decoder) ([]byte, error) {
	b, c := d.ballot(), d.chain()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.adopt(c, b)
	return []byte{}, nil
}
