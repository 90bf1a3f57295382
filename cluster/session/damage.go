package session

import "encoding/binary"

// A record that is not as it was written has lost its memory of one key: the
// replica answers nothing about that, since it cannot tell how late a version it
// had. It takes over what both other replicas have, as a newcomer does.

// damage keeps that the record of a key is damaged.
func (p *partition) damage(key string) {
	if p.damaged == nil {
		p.damaged = make(map[string]bool)
	}
	p.damaged[key] = true
}

// restore takes over from the other replicas what is damaged here.
func (s *Store) restore(st *state) {
	for part := range s.parts {
		for _, key := range s.parts[part].broken(st.view.epoch) {
			s.restoreKey(st, part, key)
		}
	}
}

func (p *partition) broken(epoch uint64) (keys []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch || !p.votes {
		return nil
	}
	for key := range p.damaged {
		keys = append(keys, key)
	}
	return keys
}

// restoreKey needs an answer of both others; but one that does not vote has lost what
// it had as well, and nothing more can be learnt from it.
func (s *Store) restoreKey(st *state, part int, key string) {
	c := &call{view: st.view}
	for _, at := range st.view.table[part] {
		p := st.peers[at]
		if p == nil {
			continue
		}
		request := binary.AppendUvarint([]byte{msgOperations, opRead}, st.view.epoch)
		reply, err := p.call(appendKey(request, key))
		d := &decoder{rest: reply, bad: err != nil}
		a := d.answer(opRead)
		switch {
		case d.end() != nil:
			return
		case a.status == statusDone:
			c.take(a)
		case a.status != statusRefused || a.epoch != st.view.epoch:
			return
		}
	}
	if c.oks > 0 {
		s.parts[part].replace(c, key, s.moment())
	}
}

// replace has what the other replicas hold in the place of what is damaged.
func (p *partition) replace(c *call, key string, now moment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	have, ok := p.records[key]
	if p.epoch != c.view.epoch || !p.votes || ok && intact(key, &have) {
		return
	}
	delete(p.damaged, key)
	delete(p.records, key)
	p.raise(token{c.view.epoch, c.fence})
	if r := c.best; (r.version != Version{}) {
		r.known, r.due = 0, r.dueFrom(now)
		p.records[key] = r
	}
	// What the damaged record counts for in the digest is not known any more.
	p.digest = 0
	for key, r := range p.records {
		if r.known != everyone {
			p.digest += imprint(key, r.version)
		}
	}
}
