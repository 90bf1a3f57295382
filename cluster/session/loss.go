package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Mending: what to do about partitions of which two replicas have lost their
// memory. Nobody can catch up there any more, as that takes two that know; and
// where it has hit most of the members, these cannot agree on another view. So all
// nodes are asked what they have. What is lost for certain begins anew in the next
// view, empty. Until its loss is declared, whoever reads there what was not written
// since gets ErrLost.
//
// That is safe since nobody can complete anything there in an earlier view. In the
// present one, two of the three replicas have sworn not to vote any more, or
// are lives that have ended. In those before, all nodes but one have left them, so
// that no two replicas are left there.

// testimony is what a node says of its partitions in an epoch.
type testimony struct {
	instance uint64
	votes    parts // it votes
	voted    parts // it did in the epoch before
	barred   parts // it has sworn not to vote any more
	pledged  bool  // it has promised a founder to wait, and has no vote on the next view
}

// appendTestimony encodes the testimony of this node, and has it swear before that
// it will not vote in partitions of bar: in those in which it does not now, and
// those that it is to surrender. The lock is held.
func (s *Store) appendTestimony(b []byte, bar, surrender parts) []byte {
	t := testimony{instance: s.instance, pledged: s.pledged()}
	for i := range s.parts {
		votes, voted, barred := s.parts[i].testify(bar.has(i), surrender.has(i))
		t.votes.put(i, votes)
		t.voted.put(i, voted)
		t.barred.put(i, barred)
	}
	b = binary.LittleEndian.AppendUint64(b, t.instance)
	b = appendParts(appendParts(appendParts(b, t.votes), t.voted), t.barred)
	if t.pledged {
		return append(b, 1)
	}
	return append(b, 0)
}

// pledged tells whether this node waits for the view of a founder. The lock is held.
func (s *Store) pledged() bool {
	return s.ballots.founding != ballot{} && s.ballots.founds == s.state.Load().chain.epoch()
}

func (d *decoder) testimony() testimony {
	return testimony{ // in the order in which they are encoded
		instance: d.uint64(),
		votes:    d.parts(),
		voted:    d.parts(),
		barred:   d.parts(),
		pledged:  d.byte() == 1,
	}
}

// witness answers who asks what this node has.
func (s *Store) witness(d *decoder) ([]byte, error) {
	epoch, list, bar, surrender := d.uvarint(), d.uint64(), d.parts(), d.parts()
	if err := d.end(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if reply := s.apart(epoch, list); reply != nil {
		return reply, nil
	}
	return s.appendTestimony([]byte{voteYes}, bar, surrender), nil
}

// inquest is what all nodes say in one epoch.
type inquest struct {
	store   *Store
	st      *state
	names   []string // who is to say
	dead    []string // declared to be, with their memory
	patient bool     // somebody is missing, who may come back with what he knows
	heard   map[string]testimony
	later   chain // that somebody has
}

// ask puts a request to the nodes, which is answered by a testimony, and tells
// whether all have answered.
func (q *inquest) ask(request []byte) bool {
	s := q.store
	q.heard, q.later = make(map[string]testimony), nil
	alive := slices.DeleteFunc(slices.Clone(q.names), func(name string) bool { return !s.alive(name) })
	s.survey(alive, request, func(from string, d *decoder) bool {
		switch d.byte() {
		case voteYes:
			if t := d.testimony(); d.end() == nil && t.instance != 0 {
				q.heard[from] = t
			}
		case voteNo:
			s.sawRound(d.uvarint())
		case voteMoved:
			if c := d.chain(); d.end() == nil && c.epoch() > q.st.chain.epoch() {
				q.later = c
			}
		}
		return q.later != nil
	})
	return q.later == nil && len(q.heard) == len(q.names)
}

// look asks what there is.
func (q *inquest) look(bar, surrender parts) {
	request := binary.AppendUvarint([]byte{msgWitness}, q.st.view.epoch)
	request = binary.LittleEndian.AppendUint64(request, q.store.list)
	q.ask(appendParts(appendParts(request, bar), surrender))
	q.store.adopt(q.later, ballot{})
}

// count tells of how many replicas of a partition in a view the testimony is as of
// says, and of how many that is not known. In the present view lives
// count; in the one before, nodes.
func (q *inquest) count(v *view, part int, of func(*testimony, int) bool) (have, unknown int) {
	if v == nil {
		return 0, 0
	}
	for _, at := range v.table[part] {
		m := v.members[at]
		t, ok := q.heard[m.name]
		switch {
		case slices.Contains(q.dead, m.name):
		case !ok:
			unknown++
		case (v != q.st.view || t.instance == m.instance) && of(&t, part):
			have++
		}
	}
	return have, unknown
}

func votes(t *testimony, part int) bool { return t.votes.has(part) }
func voted(t *testimony, part int) bool { return t.voted.has(part) }
func free(t *testimony, part int) bool  { return !t.barred.has(part) }

// lost is the partitions in which nobody can ever complete anything as things
// are. It is not ok if there are some of which that cannot be told yet.
func (q *inquest) lost() (lost parts, ok bool) {
	for part := range partitions {
		have, unknown := q.count(q.st.view, part, votes)
		able, _ := q.count(q.st.view, part, free)
		had, unknownBefore := q.count(q.st.chain.before(), part, voted)
		if !q.patient {
			unknown, unknownBefore = 0, 0
		}
		switch {
		case have >= majority:
		case have+unknown >= majority, able+unknown >= majority && had+unknownBefore >= majority:
			return parts{}, false // it comes, or may come, to two that vote
		default:
			lost.put(part, true)
		}
	}
	return lost, true
}

// recount takes those out of lost of which two replicas may yet vote in the
// present view, and returns those of them in which one of two is known to.
func (q *inquest) recount(lost *parts) (contested parts) {
	for part := range partitions {
		if !lost.has(part) {
			continue
		}
		if have, unknown := q.count(q.st.view, part, votes); have+unknown >= majority {
			lost.put(part, false)
			if have < majority {
				contested.put(part, true)
			}
		}
	}
	return contested
}

// served tells whether all partitions but those that are lost have two replicas
// that vote.
func (q *inquest) served(lost parts) bool {
	for part := range partitions {
		if have, _ := q.count(q.st.view, part, votes); have < majority && !lost.has(part) {
			return false
		}
	}
	return true
}

// barred tells whether somebody will not vote before the next view.
func (q *inquest) barred() bool {
	for _, t := range q.heard {
		if t.barred != (parts{}) {
			return true
		}
	}
	return false
}

// agree tells whether the members can agree on the next view: most of them still
// are who they were, and free to vote.
func (q *inquest) agree() bool {
	n := 0
	for _, m := range q.st.view.members {
		if t := q.heard[m.name]; t.instance == m.instance && !t.pledged {
			n++
		}
	}
	return n > len(q.st.view.members)/2
}

// mend has another view follow if something is lost in this one for good. dead
// are nodes that are declared to be; declare says that what is lost is declared to
// be. It says why not everything is as it should be; nothing if it is.
func (s *Store) mend(st *state, dead []string, declare bool) (why string) {
	q := &inquest{store: s, st: st, dead: dead}
	q.names = slices.DeleteFunc(s.known(st), func(name string) bool { return slices.Contains(dead, name) })
	q.look(parts{}, parts{})
	var missing []string
	for _, name := range q.names {
		if _, ok := q.heard[name]; !ok {
			missing = append(missing, name)
		}
	}
	q.patient = len(missing) > 0
	lost, ok := q.lost()
	agree := q.agree()
	doubted := st.view.doubted.with(lost)
	if declare {
		doubted = parts{}
	}
	switch {
	case len(q.names) < minNodes:
		return fmt.Sprintf("nodes %q are too few, and must be %d or more", q.names, minNodes)
	case q.later != nil:
		return "there is a later view"
	case len(missing) > 1 || !agree && (q.patient || len(q.heard) < minNodes):
		return fmt.Sprintf("nodes %q do not answer in epoch %d%s", missing, st.view.epoch, s.differing())
	case !ok:
		return "a partition has yet to catch up"
	case agree && lost == parts{} && doubted == st.view.doubted && !q.barred():
		return ""
	case !agree:
		rest := lost
		s.found(q, lost, q.recount(&rest), doubted)
	default:
		s.giveUp(q, lost, doubted)
	}
	return "another view is to follow"
}

// giveUp has the members agree on a view in which what is lost begins anew.
func (s *Store) giveUp(q *inquest, lost, doubted parts) {
	if lost != (parts{}) {
		all := lost
		q.look(all, parts{})
		if contested := q.recount(&lost); contested != (parts{}) && !q.patient {
			lost = all
			q.look(all, contested)
			q.recount(&lost)
		}
		if lost != all || len(q.heard) < len(q.names)-1 || !q.served(lost) {
			return // it is not, or not yet
		}
	}
	next := q.st.view.next(q.st.view.members)
	next.founded, next.doubted = lost, doubted
	s.propose(q.st, next)
}

// stuck tells whether the view has long had members that have not caught up, and
// it is for this node to see why.
func (s *Store) stuck(st *state, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind(st) == "" {
		s.unwell = time.Time{}
		return false
	}
	if s.unwell.IsZero() {
		before := 0
		for _, name := range s.known(st) {
			if name < s.cfg.Name && s.alive(name) {
				before++
			}
		}
		s.unwell = now.Add(s.cfg.RepairAfter + time.Duration(before)*turn)
	}
	if now.Before(s.unwell) {
		return false
	}
	s.unwell = now.Add(s.cfg.RepairAfter)
	return true
}

// differing says which nodes have another list of nodes, for errors.
func (s *Store) differing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.others()
}

// others is differing. The lock is held.
func (s *Store) others() string {
	var names []string
	for name, o := range s.opinions {
		if o.list != s.list && s.alive(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf(": the Nodes of %q differ from those of this node, %q, and must be the same", names, s.cfg.Nodes)
}

// DeclareDead says that nodes never come back with the memory that they had. It is
// needed if a node stays away and others were restarted before its share was replicated
// again, or if two nodes stay away. The store cannot tell such nodes from nodes that are
// cut off, and waits for them. DeclareDead gives up what only they had: those sessions are
// [ErrLost] until they are written again, or until [Store.DeclareLost].
//
// If a node that is named is cut off and not dead, its clients may continue with what it
// has, so make sure that it is dead.
//
// DeclareDead returns nil once everything else is served. It returns ErrConfig if a node
// that is named is this one or is alive, and ErrNoQuorum, with the reason, if ctx ends
// first.
func (s *Store) DeclareDead(ctx context.Context, dead ...string) error {
	return s.declare(ctx, dead, false)
}

// DeclareLost accepts that what was lost is lost. Once it has returned nil, sessions that
// were [ErrLost] and that nobody has written since are not found. Nodes that are named
// are declared dead as well, as by [Store.DeclareDead], with its errors.
func (s *Store) DeclareLost(ctx context.Context, dead ...string) error {
	return s.declare(ctx, dead, true)
}

func (s *Store) declare(ctx context.Context, dead []string, lost bool) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for why := ""; ; {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: declaring what is lost: %s: %w", ErrNoQuorum, why, context.Cause(ctx))
		case <-s.closed:
			return ErrClosed
		}
		for _, name := range dead {
			if s.alive(name) {
				return fmt.Errorf("%w: node %q must be dead", ErrConfig, name)
			}
		}
		if st := s.state.Load(); st.view == nil {
			why = "no configuration yet" + s.differing()
		} else if why = s.mend(st, dead, lost); why == "" {
			return nil
		}
		pause.Reset(beatEvery)
	}
}
