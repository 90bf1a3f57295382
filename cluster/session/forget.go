package session

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// Deleted and expired sessions are forgotten in rounds. One replica of a partition
// leads a round, within one epoch and together with both others:
//
//  1. Hold: it names the versions it wants to forget. Both others say which of
//     these they hold, and agree to be gone. Only what all three hold goes on.
//  2. Mark: all three raise their mark to the number of the round. From then on
//     whatever is fetched from any of them is fetched after it held those versions.
//  3. Forget, a TombstoneLife after all three have marked: each drops what it
//     still holds in just that version, and raises its fence to the mark. For a
//     key of which nothing is left it then takes only what was fetched since.
//
// The wait leaves time to those operations that fetched before the mark; what is
// safe does not depend on it. docs/sessions.md has the proof. A round that comes to
// nothing is begun anew, with another number. It ends with its epoch.

// token tells how far a replica was when something was fetched from it: by its
// epoch and its mark. It goes with what was fetched, as a fencing token does.
type token struct{ epoch, number uint64 }

func (t token) before(u token) bool {
	return cmp.Or(cmp.Compare(t.epoch, u.epoch), cmp.Compare(t.number, u.number)) < 0
}

func appendToken(b []byte, t token) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, t.epoch), t.number)
}

func (d *decoder) token() token { return token{d.uvarint(), d.uvarint()} }

// item is a version of a key that is to be forgotten.
type item struct {
	key     string
	version Version
	holders uint8 // replicas, by rank, that hold it and agree that it is gone
}

// round is one round of a partition, as its leader keeps it.
type round struct {
	part   int
	number uint64
	items  []item
	marked time.Time // since when all replicas have
	done   uint8     // replicas, by rank, that have carried out the present step
	failed uint8     // that have not, or not all of it
}

// forget leads rounds, until the store is closed.
func (s *Store) forget() {
	tick := time.NewTicker(s.cfg.SyncEvery)
	defer tick.Stop()
	var epoch uint64
	var open []*round
	for {
		select {
		case <-tick.C:
		case <-s.closed:
			return
		}
		st := s.state.Load()
		if st.view == nil || st.self < 0 {
			continue
		}
		if st.view.epoch != epoch {
			epoch, open = st.view.epoch, nil
		}
		open = s.finish(st, open)
		open = append(open, s.open(st, open)...)
	}
}

// open takes rounds as far as the mark, in partitions that have none, and returns
// those that have come so far.
func (s *Store) open(st *state, open []*round) []*round {
	busy := make(map[int]bool, len(open))
	for _, r := range open {
		busy[r.part] = true
	}
	now := s.moment()
	var rounds []*round
	for part := range s.parts {
		rank := st.view.rank(part, st.self)
		if rank < 0 || busy[part] || !s.reaches(st, part) {
			continue
		}
		// The others stand in for the replica that ranks first, where that has
		// forgotten nothing for so long.
		now := now
		now.life -= time.Duration(rank) * 3 * (s.cfg.TombstoneLife + s.cfg.SyncEvery)
		if items := s.parts[part].gone(st.view.epoch, now); len(items) > 0 {
			rounds = append(rounds, &round{part: part, items: items})
		}
	}
	s.step(st, msgHold, rounds)
	rounds = slices.DeleteFunc(rounds, func(r *round) bool {
		rank := st.view.rank(r.part, st.self)
		r.items = slices.DeleteFunc(r.items, func(i item) bool { return i.holders|1<<rank != everyone })
		r.done, r.failed = 0, 0
		return len(r.items) == 0 || !s.parts[r.part].lead(st.view.epoch, rank, r)
	})
	s.step(st, msgMark, rounds)
	rounds = slices.DeleteFunc(rounds, func(r *round) bool { return !r.ended(st) })
	for _, r := range rounds {
		r.marked, r.done = time.Now(), 0
	}
	return rounds
}

// finish carries out the rounds whose time has come, and returns those that have
// not ended.
func (s *Store) finish(st *state, open []*round) []*round {
	var due []*round
	for _, r := range open {
		if time.Since(r.marked) >= s.cfg.TombstoneLife {
			s.parts[r.part].follow(msgForget, st.view.epoch, r.number, r.items, moment{})
			r.failed = 0
			due = append(due, r)
		}
	}
	s.step(st, msgForget, due)
	return slices.DeleteFunc(open, func(r *round) bool { return r.ended(st) })
}

// reaches tells whether the other replicas of a partition are believed alive.
func (s *Store) reaches(st *state, part int) bool {
	for _, at := range st.view.table[part] {
		if p := st.peers[at]; p != nil && !s.net.Alive(p.name) {
			return false
		}
	}
	return true
}

// ended tells whether both others have carried out the step.
func (r *round) ended(st *state) bool { return r.done|1<<st.view.rank(r.part, st.self) == everyone }

// step has the other replicas carry out a step of rounds.
func (s *Store) step(st *state, kind byte, rounds []*round) {
	if len(rounds) == 0 {
		return
	}
	var mu sync.Mutex // of rounds
	var peers sync.WaitGroup
	for i, p := range st.peers {
		if p == nil {
			continue
		}
		l := &letter{peer: p, kind: kind, epoch: st.view.epoch, mu: &mu}
		peers.Go(func() {
			for _, r := range rounds {
				if rank := st.view.rank(r.part, i); rank >= 0 && !l.add(r, rank) {
					return
				}
			}
			l.send()
		})
	}
	peers.Wait()
}

// letter is a step of many rounds on its way to a peer, in messages of about
// syncSize.
type letter struct {
	peer     *peer
	kind     byte
	epoch    uint64
	mu       *sync.Mutex
	request  []byte
	sections []section
}

// section is some items of a round, as one message has them.
type section struct {
	*round
	rank     int // of the peer
	from, to int // items
}

// add puts a round into the letter, and sends what is full. It tells whether the
// peer still answers.
func (l *letter) add(r *round, rank int) bool {
	l.mu.Lock()
	done := r.done&(1<<rank) != 0
	l.mu.Unlock()
	for from := 0; from < len(r.items) && !done; {
		if l.request == nil {
			l.request = binary.AppendUvarint([]byte{l.kind}, l.epoch)
		}
		to, size := from, len(l.request)
		for to < len(r.items) && size < syncSize {
			size += len(r.items[to].key) + itemOverhead
			to++
		}
		l.request = binary.AppendUvarint(l.request, uint64(r.part))
		l.request = binary.AppendUvarint(l.request, r.number)
		l.request = binary.AppendUvarint(l.request, uint64(to-from))
		for i := from; i < to; i++ {
			l.request = appendVersion(appendKey(l.request, r.items[i].key), r.items[i].version)
		}
		l.sections = append(l.sections, section{r, rank, from, to})
		from = to
		if len(l.request) >= syncSize && !l.send() {
			return false
		}
	}
	return true
}

// itemOverhead is what an item takes in a message beyond its key.
const itemOverhead = 2 + 16

// send sends what there is and takes the answers.
func (l *letter) send() (answered bool) {
	if len(l.sections) == 0 {
		return true
	}
	reply, err := l.peer.call(l.request)
	d := &decoder{rest: reply, bad: err != nil}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.sections {
		at.take(d, l.peer.store)
	}
	l.request, l.sections = nil, nil
	return !d.bad
}

// take reads what a peer says to a section.
func (at section) take(d *decoder, s *Store) {
	accepted, mark := d.byte(), d.uvarint()
	bit := uint8(1) << at.rank
	if accepted != 1 || d.bad {
		at.failed |= bit
		s.parts[at.part].found(mark)
		return
	}
	for i := at.from; i < at.to; i++ {
		if d.byte() == 1 {
			at.items[i].holders |= bit
		}
	}
	if d.bad {
		at.failed |= bit
	}
	if at.to == len(at.items) && at.failed&bit == 0 {
		at.done |= bit
	}
}

// forgetting answers a step of another node's rounds.
func (s *Store) forgetting(kind byte, d *decoder) ([]byte, error) {
	epoch := d.uvarint()
	now := s.moment()
	var items []item
	reply := []byte{}
	for len(d.rest) > 0 && len(reply) < syncSize {
		part, number, n := d.count(partitions-1), d.uvarint(), d.count(MaxMessage/itemOverhead)
		items = items[:0]
		for i := 0; i < n && !d.bad; i++ {
			items = append(items, item{key: string(d.bytes(MaxKey)), version: d.version()})
		}
		if d.bad {
			return nil, errGarbled
		}
		reply = s.parts[part].answer(reply, kind, epoch, number, items, now)
	}
	return reply, nil
}

// answer appends what this replica says to a step.
func (p *partition) answer(b []byte, kind byte, epoch, number uint64, items []item, now moment) []byte {
	accepted, mark := p.follow(kind, epoch, number, items, now)
	if !accepted {
		return binary.AppendUvarint(append(b, 0), mark)
	}
	b = binary.AppendUvarint(append(b, 1), mark)
	for _, i := range items {
		b = append(b, i.holders)
	}
	return b
}

// gone is what this replica would forget. Whatever goes with the records of the
// epoch is done only if it votes.
func (p *partition) gone(epoch uint64, now moment) (items []item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch || !p.votes {
		return nil
	}
	for key, r := range p.records {
		if r.over(now) && intact(key, &r) {
			items = append(items, item{key: key, version: r.version})
		}
	}
	return items
}

// lead gives a round its number and carries out its mark on this replica. No two
// marks of an epoch have the same number, whoever leads: by number, the rank of
// the leader can be told.
func (p *partition) lead(epoch uint64, rank int, r *round) bool {
	p.mu.Lock()
	r.number = (max(p.mark, p.seen)/replicas+1)*replicas + uint64(rank)
	p.mu.Unlock()
	accepted, _ := p.follow(msgMark, epoch, r.number, r.items, moment{})
	return accepted
}

// found keeps what mark a peer is at, which the next round is to exceed.
func (p *partition) found(mark uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = max(p.seen, mark)
}

// follow carries out a step on this replica. In reply to hold, an item has a
// holder if it is held here.
func (p *partition) follow(kind byte, epoch, number uint64, items []item, now moment) (accepted bool, mark uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch || !p.votes || kind == msgMark && number < p.mark || kind == msgForget && number > p.mark {
		return false, p.mark
	}
	switch kind {
	case msgMark:
		p.mark = number
	case msgForget:
		p.raise(token{epoch, number})
	}
	for i := range items {
		key := items[i].key
		r, ok := p.records[key]
		if !ok || r.version != items[i].version {
			continue
		}
		switch kind {
		case msgHold:
			if r.over(now) && intact(key, &r) {
				items[i].holders = 1
			}
		case msgMark:
			if r.known != everyone {
				p.digest -= imprint(key, r.version)
				r.known = everyone
				p.records[key] = r
			}
		case msgForget:
			p.floor = max(p.floor, r.version.Counter)
			p.drop(key, r)
		}
	}
	return true, p.mark
}

// raise raises the fence.
func (p *partition) raise(to token) {
	if p.fence.before(to) {
		p.fence = to
	}
}
