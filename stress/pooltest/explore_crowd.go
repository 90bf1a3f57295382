package pooltest

import (
	"context"
	"fmt"
	"testing"

	"tensile/stress/internal/programs"
)

// crowds are how many wait in line: beyond any power of two at which a subject may
// change how it keeps them.
var crowds = [...]int{1100, 1100, 1100, 2100}

// leaving is which part of them leave: one in so many, or nobody.
var leaving = [...]int{0, 40, 3, 12}

// crowd is the vocabulary of programs in which very many wait in line, one after
// the other, and some leave it.
func crowd(open func(testing.TB, Config) Pool) *programs.Vocabulary[*model] {
	v := vocabulary(open)
	v.New = func(p *programs.Program, tb testing.TB) *model {
		m := &model{Program: p, cfg: Config{Size: 1 + p.Draw(2)}}
		m.make(tb, open)
		return m
	}
	v.Script = func(p *programs.Program, m *model) {
		m.crowd(crowds[p.Draw(len(crowds))], leaving[p.Draw(len(leaving))])
	}
	return v
}

// crowd has n callers come, of whom one in oneIn leaves, unless that is 0.
func (m *model) crowd(n, oneIn int) {
	m.Step(fmt.Sprintf("%d callers Acquire, one after the other, and %d more wait", m.cfg.Size, n))
	for range m.cfg.Size + n {
		m.comes()
	}
	if oneIn == 0 {
		return
	}
	wait := m.in(waiting)
	m.Step(fmt.Sprintf("every %d. of those who wait leaves", oneIn))
	for i, c := range wait {
		if i%oneIn == oneIn/2 {
			m.Go(c.name, func() { m.leave(c) })
		}
	}
	m.Rest()
	m.Step("and some come")
	for range 3 {
		m.comes()
	}
}

// comes has another caller come, who may leave.
func (m *model) comes() {
	c := m.caller(context.WithCancel(context.Background()))
	m.Go(c.name, func() { m.acquire(c) })
	m.Rest()
}
