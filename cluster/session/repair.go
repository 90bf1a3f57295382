package session

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// catchUpPause is the time after which a newcomer asks again those who did not
// answer it.
const catchUpPause = 50 * time.Millisecond

// repair keeps this node up to date: in a new view it catches up as soon as it
// can; else it compares now and then what it holds with the other replicas.
func (s *Store) repair() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		st := s.state.Load()
		next := s.cfg.SyncEvery
		if st.view == nil || !s.caughtUp(st) {
			next = catchUpPause
		} else {
			if st.complete.CompareAndSwap(false, true) {
				s.announce()
			}
			s.compare(st)
			s.restore(st)
			s.release(st)
		}
		pause.Reset(next)
		select {
		case <-pause.C:
		case <-st.changed:
		case <-s.closed:
			return
		}
	}
}

// announce tells everybody at once that this node has caught up.
func (s *Store) announce() {
	s.mu.Lock()
	s.tell()
	s.mu.Unlock()
	s.beat()
	s.nudge()
}

// caughtUp takes over what this node lacks in its view from the replicas of the
// one before, and tells whether it lacks nothing any more.
func (s *Store) caughtUp(st *state) bool {
	lacking := s.lacking(st.view.epoch)
	before := st.chain.before()
	if len(lacking) == 0 || before == nil {
		return len(lacking) == 0
	}
	for i, m := range before.members {
		p := s.peer(m.name)
		if p == nil || !s.reachable(m.name) {
			continue
		}
		// One after the other: what the first has sent, the next only confirms.
		s.sync(p, st, slices.DeleteFunc(s.lacking(st.view.epoch), func(part int) bool { return before.rank(part, i) < 0 }))
	}
	return len(s.lacking(st.view.epoch)) == 0
}

// lacking is the partitions that are this node's and in which it cannot vote.
func (s *Store) lacking(epoch uint64) (parts []int) {
	for i := range s.parts {
		if s.parts[i].lacks(epoch) {
			parts = append(parts, i)
		}
	}
	return parts
}

// compare takes over what this node has missed in partitions in which it votes.
func (s *Store) compare(st *state) {
	for i, m := range st.view.members {
		p := s.peer(m.name)
		if p == nil || !s.reachable(m.name) {
			continue
		}
		var shared []int
		for part := range s.parts {
			if st.view.rank(part, i) >= 0 && st.view.rank(part, st.self) >= 0 {
				shared = append(shared, part)
			}
		}
		s.sync(p, st, shared)
	}
}

// release drops the partitions that are other nodes' by now, once all those
// nodes have caught up: until then they may ask this one.
func (s *Store) release(st *state) {
	s.mu.Lock()
	for i, m := range st.view.members {
		if i != st.self && s.heard[m.name] != (standing{m.instance, st.view.epoch, true}) {
			s.mu.Unlock()
			return
		}
	}
	s.mu.Unlock()
	for i := range s.parts {
		s.parts[i].release(st.view.epoch)
	}
}

// How a partition compares with that of the node which was asked.
const (
	syncRefused byte = iota + 1 // it is in another epoch, or has no say
	syncSame                    // it has the same records
	syncRecords                 // its records follow
)

// What follows in a list of records.
const (
	listEnd     byte = iota // no more; it began with the first key after the cursor
	listItem                // a record
	listMore                // no more in this message
	listDamaged             // no more, as the next record is damaged
)

// What the node which was asked may say of a partition.
const saysVoted = 1 // it voted in the epoch before

// syncSize is the length in bytes at which a reply with records is full.
const syncSize = 128 << 10

// pending is a partition that is being compared.
type pending struct {
	part   int
	cursor []byte // keys up to here have been taken over
}

// sync compares partitions with those of a peer, in one epoch, and takes over
// what is newer there.
func (s *Store) sync(from *peer, st *state, parts []int) {
	todo := make([]pending, len(parts))
	for i, part := range parts {
		todo[i].part = part
	}
	for len(todo) > 0 {
		request := binary.AppendUvarint([]byte{msgSync}, st.view.epoch)
		for i := range todo {
			request = s.parts[todo[i].part].ask(request, &todo[i])
		}
		reply, err := from.call(request)
		if err != nil {
			return
		}
		d := &decoder{rest: reply}
		asked := len(todo)
		for len(todo) > 0 && len(d.rest) > 0 {
			if s.parts[todo[0].part].take(d, st, from.name, &todo[0], s.moment()) {
				break // there is more of this one
			}
			todo = todo[1:]
		}
		if d.bad || len(todo) == asked && len(reply) <= syncSize {
			return
		}
	}
}

// callTime bounds a call that is no operation.
const callTime = time.Second

// call sends a request and waits for the reply.
func (p *peer) call(request []byte) (reply []byte, err error) {
	if request[0] == msgSync && !p.store.net.Alive(p.name) {
		return p.callVia(p.store.via(p.name), request)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	type answer struct {
		reply []byte
		err   error
	}
	answered := make(chan answer, 1)
	p.store.net.Go(p.name, request, func(reply []byte, err error) {
		answered <- answer{slices.Clone(reply), err}
	})
	select {
	case a := <-answered:
		return a.reply, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.store.closed:
		return nil, ErrClosed
	}
}

// ask appends the question how the partition compares.
func (p *partition) ask(b []byte, about *pending) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b = binary.AppendUvarint(b, uint64(about.part))
	b = binary.LittleEndian.AppendUint64(b, p.digest)
	return appendKey(b, about.cursor)
}

// compared answers with as many partitions as fit, in the order of the
// question.
func (s *Store) compared(d *decoder) ([]byte, error) {
	epoch := d.uvarint()
	reply := make([]byte, 0, 4<<10)
	for len(d.rest) > 0 && len(reply) < syncSize {
		part, digest, cursor := d.count(partitions-1), d.uint64(), d.bytes(MaxKey)
		if d.bad {
			return nil, errGarbled
		}
		reply = s.parts[part].reply(reply, epoch, digest, string(cursor))
	}
	return reply, nil
}

// reply appends how the partition compares with one that has the digest.
func (p *partition) reply(b []byte, epoch, digest uint64, cursor string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch || !p.votes && !p.voted {
		return append(b, syncRefused)
	}
	status := syncRecords
	if p.digest == digest {
		status = syncSame
	}
	says := byte(0)
	if p.voted {
		says |= saysVoted
	}
	b = binary.AppendUvarint(append(b, status, says), p.floor)
	b = binary.AppendUvarint(appendToken(b, p.fence), p.mark)
	if status == syncSame {
		return b
	}
	keys := slices.Collect(maps.Keys(p.records))
	slices.SortFunc(keys, cmp.Compare[string])
	for _, key := range keys {
		r := p.records[key]
		if key <= cursor || r.known == everyone {
			continue
		}
		if len(b) >= syncSize {
			return append(b, listMore)
		}
		if !intact(key, &r) {
			p.damage(key)
			return append(b, listDamaged)
		}
		b = appendRecord(append(b, listItem), key, &r)
	}
	return append(b, listEnd)
}

// take reads what a peer says of the partition, and tells whether more is to be
// asked for.
func (p *partition) take(d *decoder, st *state, from string, about *pending, now moment) (more bool) {
	status := d.byte()
	if status == syncRefused {
		return false
	}
	says, floor, fence, mark := d.byte(), d.uvarint(), d.token(), d.uvarint()
	if d.bad || status != syncSame && status != syncRecords {
		d.fail()
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	current := p.epoch == st.view.epoch
	if current {
		p.floor = max(p.floor, floor)
		p.raise(fence)
	}
	end := listEnd
	if status == syncRecords {
		for end = d.byte(); end == listItem; end = d.byte() {
			key, r := d.record()
			if d.bad {
				return false
			}
			if current {
				p.put(key, r, token{st.view.epoch, mark}, now)
			}
			about.cursor = append(about.cursor[:0], key...)
		}
	}
	if d.bad || !current {
		return false
	}
	if end == listEnd && says&saysVoted != 0 && !p.votes && p.rank >= 0 {
		p.hear(st.chain.before(), from, about.part)
	}
	return end == listMore
}
