package balancertest

// Finish gives everything back, has all nodes up, and judges the shares.
func (m *model) Finish() {
	if len(m.held) > 0 {
		m.Step("Done of all that are held")
		some := m.idle(nil)
		m.Go("Done", func() {
			for _, h := range some {
				m.done(h)
			}
		})
		m.Rest()
	}
	if _, nodes := m.sum(); nodes < 2 || m.Draw(2) == 0 {
		m.all()
	}
	m.Step("picks of what is left")
	m.Go("picks", func() {
		switch m.kind {
		case turns:
			m.shares()
		case counts:
			_, nodes := m.sum()
			for range 4 * nodes {
				m.pick(m.nextKey())
			}
		default:
			m.visits(4)
		}
	})
	m.Rest()
}

// all has every node that is there be up, and two at least.
func (m *model) all() {
	for _, x := range m.peers {
		_, nodes := m.sum()
		switch {
		case x.stands == down:
			m.Step("Up of " + x.name)
			m.Go("Up", func() { m.back(x) })
		case x.stands == gone && nodes < 2:
			m.Step("Join of " + x.name)
			m.Go("Join", func() { m.join(x) })
		default:
			continue
		}
		m.Rest()
	}
}
