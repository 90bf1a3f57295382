package cluster

import (
	"fmt"
	"time"
)

const (
	tick         = 25 * time.Millisecond
	beatInterval = 2 * tick
	// A peer is suspected once it has been silent for silenceBase, or where beats
	// were late lately for slackBase and slackFactor times the longest delay; but
	// at the latest after silenceMost. So delays of up to 25 ms change nothing.
	silenceBase = 350 * time.Millisecond
	slackBase   = 200 * time.Millisecond
	slackFactor = 6
	silenceMost = 2 * time.Second
	// slackDecay is the time in which a delay loses most of its weight.
	slackDecay = 10 * time.Second
	// longestListen is the most of the time between two ticks in which this node
	// counts as listening. If it was more, this node was stopped or starved
	// meanwhile, and what came is yet to be read.
	longestListen = 4 * tick
	// longestGap is the most of that time that counts for the time-outs of calls.
	longestGap = 250 * time.Millisecond
	// farewell is how long the connection of a member that leaves stays open: it
	// closes it itself once it has read that its leave was heard.
	farewell = 40 * tick
	// accusationValid is how long the word of another counts.
	accusationValid = 20 * tick
	// forgetAfter is how long those that are gone are listed, and those of which
	// only gossip knows are dialled.
	forgetAfter = 10 * time.Minute
)

// monitor sends beats, ends calls that wait too long and looks out for silence.
func (n *Node) monitor() {
	continued, end := notifyContinued()
	defer end()
	clock := time.NewTicker(tick)
	defer clock.Stop()
	last := time.Now()
	for beat := false; ; {
		select {
		case <-clock.C:
			now := time.Now()
			n.look(now.Sub(last), beat)
			last, beat = now, !beat
		case <-continued:
			last = time.Now() // the gap may not have been looked at yet
			n.wasStopped()
		case <-n.ctx.Done():
			return
		}
	}
}

// wasStopped forgets the delays: that this process was stopped looks like one,
// and says nothing of others.
func (n *Node) wasStopped() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slack = 0
}

// look is one tick, gap after the one before.
func (n *Node) look(gap time.Duration, beat bool) {
	now := n.clock.Add(int64(min(gap, longestGap)))
	listened := min(gap, longestListen)
	n.mu.Lock()
	n.slack -= time.Duration(float64(n.slack) * float64(tick) / float64(slackDecay))
	n.delayed(gap-tick, n.cfg.Name)
	var links []*link
	var silent []*peer
	hearing := 0
	for l := range n.links {
		links = append(links, l)
		if l.end != 0 && now >= l.end {
			l.end = 0
			n.wg.Go(func() { l.close(fmt.Errorf("%w: %q has left", ErrUnreachable, l.member)) })
		}
	}
	for _, p := range n.peers {
		if p.state != Alive || p.joining {
			if now-p.since > int64(forgetAfter) {
				n.forget(p)
			}
			continue
		}
		if p.heard() {
			n.delayed(p.silence-beatInterval, p.name)
			p.silence = 0
		} else {
			p.silence += listened
		}
		if p.silence < silenceBase {
			hearing++
		} else {
			silent = append(silent, p)
		}
	}
	limit := min(max(silenceBase, slackBase+slackFactor*n.slack), silenceMost)
	for _, p := range silent {
		n.suspect(p, now, limit, hearing)
	}
	n.mu.Unlock()
	for _, l := range links {
		if beat {
			l.beat()
		}
		l.expire(now)
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
	accuse := p.silence >= limit
	accusation := appendIdentity(nil, p.identity)
	votes := 0
	if accuse {
		votes = 1
	}
	for _, q := range n.peers {
		if q == p || q.state != Alive || q.joining || q.silence >= silenceBase {
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
		n.fail(p, fmt.Errorf("not heard for %v, say %d of %d", p.silence, votes, hearing+1))
	case p.silence > 2*limit && p.out != nil:
		// The others hear it: so it is the connection.
		out, silence := p.out, p.silence
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
