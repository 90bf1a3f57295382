package cluster

import (
	"fmt"
	"time"
)

const (
	tick         = 25 * time.Millisecond
	beatInterval = 2 * tick
	// A peer is suspected after silenceBase and slackFactor times the longest
	// delay seen lately, but at the latest after silenceMost.
	silenceBase = 350 * time.Millisecond
	slackFactor = 4
	silenceMost = 2 * time.Second
	// longestGap is the most of the time between two ticks that counts as time in
	// which this node was running. It is below silenceBase: a node that was
	// stopped reads first what has come meanwhile.
	longestGap = 250 * time.Millisecond
	// slackDecay is the time in which a delay that was seen loses most of its
	// weight.
	slackDecay = 10 * time.Second
	// accusationValid is how long the word of another counts.
	accusationValid = 20 * tick
	// forgetAfter is how long those that are gone are listed, and those of which
	// only gossip knows are dialled.
	forgetAfter = 10 * time.Minute
)

// monitor sends beats, ends calls that wait too long and looks out for silence.
func (n *Node) monitor() {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	last := time.Now()
	for beat := false; ; beat = !beat {
		select {
		case <-clock.C:
		case <-n.ctx.Done():
			return
		}
		now := time.Now()
		n.look(now.Sub(last), beat)
		last = now
	}
}

// look is one tick, gap after the one before. A node that was stopped or not
// scheduled meanwhile did not listen either: that time does not count.
func (n *Node) look(gap time.Duration, beat bool) {
	now := n.clock.Add(int64(min(gap, longestGap)))
	n.mu.Lock()
	n.slack -= time.Duration(float64(n.slack) * float64(tick) / float64(slackDecay))
	n.delayed(gap-tick, n.cfg.Name)
	var links []*link
	var silent []*peer
	hearing := 0
	limit := min(silenceBase+slackFactor*n.slack, silenceMost)
	for _, p := range n.peers {
		links = append(links, p.links()...)
		if p.state != Alive || p.joining {
			if now-p.since > int64(forgetAfter) {
				n.forget(p)
			}
			continue
		}
		silence := now - p.lastHeard(now)
		if silence < p.silence {
			n.delayed(time.Duration(p.silence)-beatInterval-tick, p.name)
		}
		p.silence = silence
		if silence < int64(silenceBase) {
			hearing++
		} else {
			silent = append(silent, p)
		}
	}
	for _, p := range silent {
		n.suspect(p, now, limit, hearing)
	}
	n.mu.Unlock()
	for _, l := range links {
		if beat {
			l.beat()
		}
		if l.ours {
			l.expire(now)
		}
	}
}

// delayed takes in a delay that turned out to be harmless.
func (n *Node) delayed(by time.Duration, whose string) {
	if by = min(by, silenceMost); by <= n.slack {
		return
	}
	n.slack = by
	if by > tick {
		n.cfg.Log.Debug("delay", "of", whose, "by", by)
	}
}

// suspect looks at a peer that has been silent for a while. Beyond the limit it
// is accused: the others that can be heard are told. It is dead once most of
// them, this node among them, accuse it.
func (n *Node) suspect(p *peer, now int64, limit time.Duration, hearing int) {
	silence := time.Duration(p.silence)
	accuse := silence >= limit
	accusation := appendIdentity(nil, p.identity)
	votes := 0
	if accuse {
		votes = 1
	}
	for _, q := range n.peers {
		if q == p || q.state != Alive || q.joining || q.silence >= int64(silenceBase) {
			continue
		}
		if accuse && q.out != nil {
			q.out.signal(kindAccuse, accusation)
		}
		if said, ok := p.accusers[q.name]; ok && now-said < int64(accusationValid) {
			votes++
		}
	}
	switch {
	case 2*votes > hearing+1:
		n.fail(p, fmt.Errorf("not heard for %v, say %d of %d", silence, votes, hearing+1))
	case silence > 2*limit && p.out != nil:
		// The others hear it: so it is the connection.
		out := p.out
		n.wg.Go(func() { out.close(fmt.Errorf("not heard for %v", silence)) })
	}
}

// accused notes that another node does not hear a peer, and confirms it where
// this node has come to its verdict already.
func (n *Node) accused(by string, who identity, asks bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[who.name]
	if p == nil || p.incarnation != who.incarnation {
		return
	}
	p.accusers[by] = n.clock.Load()
	if q := n.peers[by]; asks && p.state == Failed && q != nil && q.out != nil {
		q.out.signal(kindConfirm, appendIdentity(nil, who))
	}
}

// forget drops a peer that has been gone for long.
func (n *Node) forget(p *peer) {
	p.cancel()
	n.disconnect(p, ErrUnreachable)
	delete(n.peers, p.name)
}
