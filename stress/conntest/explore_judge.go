package conntest

// wrong is a promise that does not hold.
type wrong struct {
	criterion, format string
	args              []any
}

func violation(criterion, format string, args ...any) *wrong { return &wrong{criterion, format, args} }

// Rest waits until nothing goes on any more, and judges.
func (m *model) Rest() {
	if w := m.via.rest(); w != nil {
		m.Violate(w.criterion, w.format, w.args...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.peers {
		c.claimed, c.leaves = false, false
	}
}

// seen is how much has moved, and how many acts must end before anything is at rest.
func (m *model) seen() (moves, working int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moves, m.working
}

// wrong says what does not hold at rest.
func (m *model) wrong() *wrong {
	m.mu.Lock()
	var waits bool
	for _, c := range m.peers {
		waits = waits || c.there() && c.full()
	}
	w := m.wrongAtRest()
	m.mu.Unlock()
	if waits {
		m.Event(full)
	}
	return w
}

// wrongAtRest looks at all connections; the lock is held.
func (m *model) wrongAtRest() *wrong {
	if m.closing {
		return m.afterClose()
	}
	for _, c := range m.peers {
		switch {
		case c.wire.refused:
		case c.conn == nil:
		case !c.wire.accepted:
			if m.serves {
				return violation("survival", "the connection of %s has not been accepted, and nothing else happens%s",
					c.name, m.because())
			}
		case c.left == closesHalf && c.right < c.whole:
			return violation("lost", "%s has closed its half, and has no reply to request %d of the %d that it had sent before",
				c.name, c.right+1, c.whole)
		case c.left != stays && !c.wire.closed:
			return violation("close", "the server has not closed the connection of %s, whose peer %v %s",
				c.name, c.left, c.standing())
		case c.there():
			if w := m.unanswered(c); w != nil {
				return w
			}
		}
	}
	return nil
}

// because says what has happened to Accept.
func (m *model) because() string {
	if m.excused != "" {
		return ": " + m.excused + ", and Serve has not returned"
	}
	return ""
}

// unanswered judges a connection whose peer is there; the lock is held.
func (m *model) unanswered(c *peer) *wrong {
	if c.reads != endless {
		return nil // there may be no room for replies
	}
	criterion := "lost"
	if c.how != "" || c.part > 0 {
		criterion = "fragments"
	}
	switch {
	case c.right < c.whole:
		how := c.how
		if c.part > 0 && how == "" {
			how = ", which a part of the next one follows"
		}
		return violation(criterion, "%s has no reply to request %d of %d%s, and nothing else happens%s",
			c.name, c.right+1, c.whole, how, m.beside(c))
	case c.sending:
		return violation(criterion, "the server does not read the requests of %s, and nothing else happens%s",
			c.name, m.beside(c))
	case c.have > 0:
		return violation("corrupted", "%s got %d bytes that are no reply", c.name, c.have)
	}
	return nil
}

// beside says what other connection may be in the way; the lock is held.
func (m *model) beside(c *peer) string {
	for _, other := range m.peers {
		if other != c && other.there() && other.full() {
			return ", while " + other.name + " does not read its replies"
		}
	}
	return ""
}

// afterClose judges a server that Close was called of; the lock is held.
func (m *model) afterClose() *wrong {
	if !m.closed {
		for _, c := range m.peers {
			if c.wire.accepted && !c.wire.closed {
				return violation("close", "Close has not returned, and the connection of %s is open %s", c.name, c.standing())
			}
		}
		return violation("close", "Close has not returned, though it has ended every connection")
	}
	if m.serves {
		return violation("close", "Serve has not returned, though Close has")
	}
	for _, c := range m.peers {
		if c.wire.accepted && !c.wire.closed {
			return violation("close", "Close has returned, and the connection of %s is open %s", c.name, c.standing())
		}
	}
	return nil
}
