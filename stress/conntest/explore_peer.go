package conntest

import (
	"slices"
	"time"

	"tensile/stress/internal/exchange"
)

// requests are the bytes from the next one to send on, up to some bytes of the
// request that is the n-th from it.
func (c *peer) requests(n, more int) []byte {
	var text []byte
	for i := range n + 1 {
		var f exchange.Frame
		f.Request(c.number, uint64(c.whole+1+i))
		text = append(text, f[:]...)
	}
	return text[c.part : n*exchange.Size+more]
}

// sends writes the next bytes of a peer, cut at some of them. A piece is seen by the
// server before the next one comes.
func (c *peer) sends(text []byte, how string, cuts ...int) {
	m := c.m
	if c.conn == nil {
		return // the server was closed before
	}
	m.mu.Lock()
	if how == "" && c.right < c.whole {
		how = early
	}
	c.sending, c.how = true, how
	m.mu.Unlock()
	if how != "" {
		m.Tried("fragments")
	}
	defer func() {
		m.mu.Lock()
		c.sending = false
		m.moves++
		m.mu.Unlock()
	}()
	from := 0
	for _, to := range append(slices.Clone(cuts), len(text)) {
		if from > 0 {
			m.via.pause()
		}
		m.mu.Lock()
		end := c.whole*exchange.Size + c.part + to - from
		c.offered = (end + exchange.Size - 1) / exchange.Size
		m.mu.Unlock()
		n, err := c.conn.Write(text[from:to])
		m.mu.Lock()
		end = c.whole*exchange.Size + c.part + n
		c.whole, c.part = end/exchange.Size, end%exchange.Size
		c.last = time.Now()
		m.moves++
		m.mu.Unlock()
		if err != nil {
			return // the connection has ended: whether it may is judged there
		}
		from = to
	}
}

// fills sends n requests whose replies are not read: over TCP at a pace that the server
// keeps up with, until it waits itself.
func (c *peer) fills(n int) {
	text := c.requests(n, 0)
	var cuts []int
	for at := fewBytes; at < len(text); at += fewBytes {
		cuts = append(cuts, at)
	}
	c.sends(text, inOne, cuts...)
}

// read reads and judges replies until the connection ends.
func (c *peer) read() {
	m := c.m
	for {
		m.mu.Lock()
		most := exchange.Size - c.have
		if c.reads != endless {
			most = min(most, c.reads)
		}
		ended := c.left == hangsUp || c.left == resets
		m.mu.Unlock()
		if ended {
			return
		}
		if most == 0 {
			<-c.wake
			continue
		}
		var text [exchange.Size]byte
		n, err := c.conn.Read(text[:most])
		m.mu.Lock()
		m.moves++
		c.last = time.Now()
		copy(c.reply[c.have:], text[:n])
		c.have += n
		if c.reads != endless {
			c.reads = max(c.reads-n, 0)
		}
		full := c.have == exchange.Size
		c.over = c.over || err != nil
		m.mu.Unlock()
		if full {
			c.judges()
		}
		if err != nil {
			c.seesEnd()
			return
		}
	}
}

// seesEnd notes that nothing more will come. In memory the server's call of Close was
// noted before.
func (c *peer) seesEnd() {
	m := c.m
	m.mu.Lock()
	left := c.left
	m.mu.Unlock()
	if left == stays || left == closesHalf {
		c.ends()
	}
	if left == closesHalf {
		_ = c.conn.Close() // both halves are closed
	}
}

// judges looks at a reply that has come.
func (c *peer) judges() {
	m := c.m
	m.mu.Lock()
	c.have = 0
	offered, n := c.offered, c.right+1
	m.mu.Unlock()
	connection, request, state, answered := exchange.Source(&c.reply)
	switch verdict := exchange.Check(&c.reply, c.number, uint64(n)); {
	case n > offered && verdict != exchange.Misrouted:
		m.Violate("duplicated", "%s got more replies than it has sent requests, one of them to request %d of connection %d",
			c.name, request, connection)
	case verdict == exchange.Duplicated:
		m.Violate("duplicated", "%s got the reply to request %d again, in place of that to request %d", c.name, request, n)
	case verdict == exchange.Misrouted:
		m.Violate("misrouted", "%s got a reply to another connection than its own: to request %d of %s",
			c.name, request, m.named(connection))
	case verdict == exchange.Stale:
		m.Violate("stale", "request %d of %s was answered from the state of %s after %d requests: lost, mixed up or used "+
			"twice",
			n, c.name, m.named(state), answered)
	case verdict == exchange.Corrupted:
		m.Violate("corrupted", "%s got a reply that answers nothing, in place of that to request %d", c.name, n)
	}
	m.mu.Lock()
	c.right = n
	m.mu.Unlock()
	m.Tried("stale")
}

// named is the name of a connection by its number.
func (m *model) named(number uint64) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if number == 0 || number > uint64(len(m.peers)) {
		return "no connection"
	}
	return m.peers[number-1].name
}

// willRead sets how many bytes a peer reads from now on, beside those that it waits
// for already.
func (c *peer) willRead(n int) {
	c.m.mu.Lock()
	c.reads = n
	c.last = time.Now()
	c.m.moves++
	c.m.mu.Unlock()
	c.roused()
}

func (c *peer) roused() {
	select {
	case c.wake <- struct{}{}:
	default: // it is told already
	}
}

// leave ends a connection from the calling side, or its half.
func (c *peer) leave(how way) {
	m := c.m
	m.mu.Lock()
	was := c.left
	if was == stays || was == closesHalf {
		c.left = how
		c.wire.reset = how == resets
	}
	nobody := c.conn == nil || c.wire.closed || c.wire.refused
	events := c.events()
	m.moves++
	m.mu.Unlock()
	if c.conn == nil || was == hangsUp || was == resets {
		return
	}
	if !nobody {
		for _, e := range events {
			m.Event(e)
		}
	}
	m.via.leave(c, how)
	if how == closesHalf {
		c.willRead(endless)
	}
	c.roused()
}

// events are what the end of a connection meets; the lock is held.
func (c *peer) events() (met []string) {
	if c.part > 0 {
		met = append(met, endInRequest)
	}
	if c.whole+c.part == 0 {
		met = append(met, endWithoutRequest)
	}
	if c.right < c.whole {
		met = append(met, endBeforeReply)
	}
	if c.full() {
		met = append(met, endOfFull)
	}
	return met
}
