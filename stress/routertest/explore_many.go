package routertest

import (
	"fmt"
	"testing"

	"tensile/stress/internal/programs"
)

// How many names there are: more than a subject has locks, lines or goroutines for
// all of them, so that some share one.
var multitudes = [...]int{80, 300, 300, 1100}

// manyNames is the vocabulary of programs in which handlers of some of very many
// names wait.
func manyNames(open func(testing.TB, Config) Router) *programs.Vocabulary[*model] {
	return &programs.Vocabulary[*model]{
		New: func(p *programs.Program, tb testing.TB) *model {
			m := &model{Program: p, bound: 1 + p.Draw(2)}
			m.make(tb, open)
			return m
		},
		Events: events,
		Script: func(p *programs.Program, m *model) {
			n := multitudes[p.Draw(len(multitudes))]
			m.many(n, [...]int{1, n - 1, 3, n / 2}[p.Draw(4)])
		},
	}
}

// many has n names, of which the handlers of some wait; each of the others gets
// messages, and some go and come.
func (m *model) many(n, held int) {
	m.Step(fmt.Sprintf("%d names; the handlers of %d of them wait", n, held))
	for i := range n {
		m.name(fmt.Sprintf("name-%d", i))
	}
	first := m.Draw(n)
	waiting, rest := m.names[:held], m.names[held:]
	if first%2 == 1 {
		waiting, rest = m.names[n-held:], m.names[:n-held]
	}
	r := &results{m: m}
	m.Go("Register", func() {
		for _, n := range m.names {
			_ = r.register(n)
		}
		for _, n := range waiting {
			n.held = true
			_ = r.send(m.letter(n, 0, returns))
		}
	})
	m.Rest()
	m.Step(fmt.Sprintf("Send to each of the other %d", len(rest)))
	m.Go("Send", func() {
		for _, n := range rest {
			_ = r.send(m.letter(n, 0, returns))
		}
	})
	m.Rest()
	m.Tried("fair")
	m.Step("Unregister some, Register them again, and Send")
	m.Go("anew", func() {
		for i := first % 7; i < n; i += 7 {
			if n := m.names[i]; r.unregister(n) == nil && r.register(n) == nil {
				_ = r.send(m.letter(n, 0, returns))
			}
		}
	})
	m.Rest()
}
