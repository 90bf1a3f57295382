package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"syscall"
	"time"
)

// peer is one life of another node. The node's lock guards it.
type peer struct {
	identity
	state   State
	joining bool  // was never connected, so is not listed
	out, in *link // nil while there is none
	since   int64 // by the clock, of the last change

	silence  time.Duration    // as of the last tick: time in which this node listened
	accusers map[string]int64 // nodes that do not hear it either, and when they said so

	ctx    context.Context // ends when this life is over, or the node closed
	cancel context.CancelFunc
	kick   chan struct{} // ends a pause between two dials
}

func (p *peer) member() Member {
	return Member{Name: p.name, Addr: p.addr, Incarnation: p.incarnation, State: p.state}
}

func (p *peer) links() []*link {
	var all []*link
	for _, l := range []*link{p.out, p.in} {
		if l != nil {
			all = append(all, l)
		}
	}
	return all
}

// heard reports whether anything came from the peer since it was last called.
func (p *peer) heard() bool {
	heard := false
	for _, l := range p.links() {
		heard = l.heard.Swap(false) || l.busy.Load() || heard
	}
	return heard
}

// disconnect closes the links and takes the peer out of the routes.
func (n *Node) disconnect(p *peer, cause error) {
	for _, l := range p.links() {
		// The callbacks of calls that end with it must not run under this lock.
		n.wg.Go(func() { l.close(cause) })
	}
	p.out, p.in = nil, nil
	n.reroute(p.name, nil)
}

func (n *Node) reroute(name string, l *link) {
	routes := maps.Clone(*n.routes.Load())
	if l == nil {
		delete(routes, name)
	} else {
		if routes == nil {
			routes = make(map[string]*link)
		}
		routes[name] = l
	}
	n.routes.Store(&routes)
}

// learn adds a life of a node, with the link to it if there is one. It is called with
// the lock held.
func (n *Node) learn(who identity, first *link) *peer {
	p := &peer{
		identity: who, joining: true, since: n.clock.Load(),
		accusers: make(map[string]int64), kick: make(chan struct{}, 1),
	}
	p.ctx, p.cancel = context.WithCancel(n.ctx)
	n.peers[who.name] = p
	n.wg.Go(func() { n.connect(p, first) })
	return p
}

// adopt adds a node that this one has dialled as a seed. If that node has dialled back
// already, it has everything it needs.
func (n *Node) adopt(who identity, l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil || n.peers[who.name] != nil {
		_ = l.conn.Close() // it does not run yet
		return
	}
	n.learn(who, l)
}

// supersede ends a life because a later one has begun.
func (n *Node) supersede(p *peer) {
	if p.state == Alive {
		n.fail(p, ErrSuperseded)
	}
	p.cancel()
	n.disconnect(p, fmt.Errorf("%w: %q: %w", ErrUnreachable, p.name, ErrSuperseded))
	delete(n.peers, p.name)
}

// fail declares a peer dead.
func (n *Node) fail(p *peer, cause error) {
	if p.state != Alive {
		return
	}
	p.state, p.since = Failed, n.clock.Load()
	n.disconnect(p, fmt.Errorf("%w: %q has failed: %w", ErrUnreachable, p.name, cause))
	if !p.joining {
		n.emit(Event{p.member(), cause})
	}
}

// left notes that the peer at the other end of a link is about to leave.
func (n *Node) left(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[l.member]
	if p == nil || p.in != l {
		return
	}
	n.hasLeft(p)
}

// goes takes in from a member that another has left, which this node may have taken to
// be dead, or have missed behind a partition.
func (n *Node) goes(who identity) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.peers[who.name]; p != nil && p.incarnation == who.incarnation {
		n.hasLeft(p)
	}
}

// hasLeft ends the life of a peer, and tells the others, once. It is called with the
// lock held.
func (n *Node) hasLeft(p *peer) {
	if p.state == Left {
		return
	}
	p.state, p.since = Left, n.clock.Load()
	p.cancel()
	if p.in != nil { // stays open for a while, for the answer to its leave
		p.in.end = n.clock.Load() + int64(farewell)
		p.in = nil
	}
	n.disconnect(p, fmt.Errorf("%w: %q has left", ErrUnreachable, p.name))
	if !p.joining {
		n.emit(Event{p.member(), nil})
	}
	for _, q := range n.peers {
		if q.state == Alive && q.out != nil {
			q.out.signal(kindGone, appendIdentity(nil, p.identity))
		}
	}
}

// heardOf handles what gossip or a member reports about another node.
func (n *Node) heardOf(who identity) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[who.name]
	switch {
	case n.err != nil || n.leaving || who.name == n.cfg.Name:
	case p == nil:
		n.learn(who, nil)
	case who.incarnation > p.incarnation && (p.state != Alive || p.joining):
		n.supersede(p)
		n.learn(who, nil)
	}
	// A later life of one that is alive will present itself, and be judged.
}

// judgeWithin bounds how long a node that presents itself under the name of one
// that is alive waits for the verdict.
const (
	judgeWithin = handshakeTimeout / 2
	judgePause  = 5 * time.Millisecond
)

// judge decides whether to accept a dialler that has proved that it has the secret.
func (n *Node) judge(d proof) verdict {
	v := verdict{code: welcome, self: n.identity()}
	switch {
	case d.self == v.self:
		v.code = isSelf
		return v
	case d.self.name == v.self.name:
		v.code = nameTaken
		return v
	case d.target.name != "" && (d.target.name != v.self.name || d.target.incarnation != v.self.incarnation):
		v.code = wrongTarget
		return v
	}
	pause := time.NewTicker(judgePause)
	defer pause.Stop()
	arrived := n.clock.Load()
	for {
		v.code = n.judgeLife(d.self, arrived, &v.known)
		if v.code != 0 {
			return v
		}
		select {
		case <-pause.C:
		case <-n.ctx.Done():
			v.code = wrongTarget
			return v
		}
	}
}

// judgeLife compares a dialler with the life of it that is known. It returns 0
// while it cannot tell.
func (n *Node) judgeLife(who identity, arrived int64, known *uint64) verdictCode {
	n.mu.Lock()
	defer n.mu.Unlock()
	clock := n.clock.Load()
	p := n.peers[who.name]
	switch {
	case n.err != nil || n.leaving:
		return wrongTarget
	case p == nil:
		n.learn(who, nil)
	case who.incarnation < p.incarnation, who.incarnation == p.incarnation && p.state == Left:
		*known = p.incarnation
		return superseded
	case who.incarnation == p.incarnation:
	case p.state == Alive && !p.joining:
		// Its name is taken, unless it died just now. What it sent before that
		// may be read only now, so one word is not enough.
		switch since := clock - arrived; {
		case since > int64(judgeWithin), since > int64(4*beatInterval) && p.silence < 2*beatInterval:
			return nameTaken
		}
		return 0
	default:
		n.supersede(p)
		n.learn(who, nil)
	}
	return welcome
}

// accepted installs a link that a peer has dialled and uses. The peer has therefore given
// up the previous one.
func (n *Node) accepted(who identity, l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[who.name]
	if n.err != nil || p == nil || p.identity != who || p.state == Left {
		return false
	}
	if old := p.in; old != nil {
		n.wg.Go(func() { old.close(fmt.Errorf("%w: %q has dialled again", ErrUnreachable, p.name)) })
	}
	p.in = l
	l.run()
	select { // it is there: so dial it now, if there is no link to it
	case p.kick <- struct{}{}:
	default:
	}
	return true
}

// connected installs a link to a peer, which makes it a member.
func (n *Node) connected(p *peer, l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil || p.ctx.Err() != nil || n.peers[p.name] != p {
		return false
	}
	p.out = l
	p.silence = 0
	l.run()
	l.signal(kindBeat, nil) // the other side waits for a first word
	// Gossip may have missed one of the two: so it is told whom this node knows. And
	// nobody may have told it, while it was not to be reached, of those that left.
	for _, q := range n.peers {
		switch {
		case q == p || q.joining:
		case q.state == Alive:
			l.signal(kindKnown, appendIdentity(nil, q.identity))
		case q.state == Left:
			l.signal(kindGone, appendIdentity(nil, q.identity))
		}
	}
	n.reroute(p.name, l)
	if p.joining || p.state != Alive {
		p.joining, p.state, p.since = false, Alive, n.clock.Load()
		clear(p.accusers)
		n.emit(Event{p.member(), nil})
	}
	return true
}

// The pauses between two dials of a peer. A peer that is gone is dialled less and less
// often, because it may return when a partition has healed.
const (
	firstPause   = time.Millisecond
	longestPause = time.Second
	// breakPause is the longest pause after a connection that broke as soon as it was
	// open. A handshake is work, and a peer that breaks each connection must not keep
	// this node busy.
	breakPause = 20 * tick
)

// connect keeps a link to a peer open for as long as the peer lives. first is a link that
// is open already, or nil.
func (n *Node) connect(p *peer, first *link) {
	l, pause := first, firstPause
	for p.ctx.Err() == nil {
		if l == nil {
			l = n.redial(p)
		}
		if l != nil {
			opened := time.Now()
			if !n.connected(p, l) {
				_ = l.conn.Close()
				return
			}
			select {
			case <-l.closed:
			case <-p.ctx.Done():
				return
			}
			l = nil
			if time.Since(opened) > beatInterval {
				pause = firstPause
				continue // at once: the reason for a refusal must be known soon
			}
			pause = min(pause, breakPause)
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-p.kick:
		case <-p.ctx.Done():
		}
		wait.Stop()
		pause = min(2*pause, longestPause)
	}
}

// dropped notes that a link is gone.
func (n *Node) dropped(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
	p := n.peers[l.member]
	if p == nil {
		return
	}
	switch l {
	case p.out:
		p.out = nil
		n.reroute(p.name, nil)
	case p.in:
		p.in = nil
	default:
		return
	}
}

// redial dials a peer once and acts on the result. It returns nil if that did not lead
// to a link.
func (n *Node) redial(p *peer) *link {
	l, v, err := n.dial(p.ctx, Member{Name: p.name, Addr: p.addr, Incarnation: p.incarnation}, p.identity)
	if err != nil {
		n.cfg.Log.Debug("dial", "member", p.name, "error", err)
		if errors.Is(err, syscall.ECONNREFUSED) {
			n.mu.Lock()
			n.fail(p, err) // nothing listens at its address
			n.mu.Unlock()
		}
		return nil
	}
	switch v.code {
	case welcome:
		return l
	case nameTaken:
		n.ousted(n.nameTaken(p.addr))
	case superseded:
		n.ousted(ErrSuperseded)
	case wrongTarget, isSelf:
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.peers[p.name] != p {
			return nil
		}
		if v.self.name == p.name && v.self.incarnation > p.incarnation {
			n.supersede(p)
			n.learn(v.self, nil)
		} else if v.self.name != p.name {
			n.fail(p, fmt.Errorf("%q is at its address", v.self.name))
		}
	}
	return nil
}

// ousted ends this node because a peer has no place for it any more. While it leaves,
// that is only what those say who know that already.
func (n *Node) ousted(cause error) {
	n.mu.Lock()
	leaving := n.leaving
	n.mu.Unlock()
	if !leaving {
		n.stop(cause)
	}
}
