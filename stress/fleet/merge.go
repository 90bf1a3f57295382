package fleet

import (
	"fmt"
	"math"
	"time"

	"tensile/stress/measure"
)

func (l *lead) result() *Result { return merge(l.o, l.load, l.members) }

// merge puts the parts together. One of them at least is measured.
func merge(o Options, l Load, members []*member) *Result {
	r := &Result{
		Name: o.Name, Ended: time.Now(), Rate: l.Rate, Seconds: l.For.Seconds(), Arrivals: l.Arrivals.String(), Seed: o.Seed,
		Agents: len(members),
	}
	first := int64(math.MaxInt64)
	var beginnings []instant
	for _, m := range members {
		if m.lost == nil {
			beginnings = append(beginnings, m.began())
			first = min(first, m.began().at)
		}
	}
	r.Spread = spread(beginnings)
	all, left := measure.NewRecorder(0), processors(members)
	for k, m := range members {
		p := m.part(l.count())
		if p.Measured {
			p.Began, p.BeganOff, p.Processors = m.began().at-first, m.began().within, left[k]
			all.Import(m.recorder.Export(), max(p.Began, 0))
			r.add(p)
		} else {
			r.Notes = append(r.Notes,
				fmt.Sprintf("Agent %d on %s (process %d), %s of the load, is not measured: %s. "+
					"It was last heard of when it had started %d of %d operations.",
					p.Number, p.Host, p.PID, percent(p.Share), p.Why, p.Seen, p.Asked))
		}
		r.Parts = append(r.Parts, p)
	}
	r.Share = float64(r.Asked) / float64(l.count())
	r.Latency, r.Throughput, r.Series = all.Latency(), all.Throughput(), all.Series()
	r.note()
	r.judge(l.Criteria)
	return r
}

// part is what a member did.
func (m *member) part(whole int) Part {
	a := m.account
	p := Part{
		Number: m.task.Number, Host: m.hello.Host, PID: m.hello.PID, Environment: m.hello.Environment,
		Share: float64(m.task.Count) / float64(whole), First: m.task.First, Asked: m.task.Count,
	}
	if m.lost != nil {
		p.Why, p.Seen = m.lost.Error(), m.seen
		return p
	}
	p.Measured = true
	p.Started, p.Succeeded, p.Failed, p.Unfinished = a.Started, a.Succeeded, a.Failed, a.Unfinished
	p.Offered, p.Peak, p.LateP99, p.LateMax, p.Saturated = a.Offered, a.Peak, a.LateP99, a.LateMax, a.Saturated
	p.Latency, p.Fault = m.latency, a.Fault
	return p
}

// add counts a part that was measured.
func (r *Result) add(p Part) {
	r.Measured++
	r.Asked += p.Asked
	r.Started += p.Started
	r.Succeeded += p.Succeeded
	r.Failed += p.Failed
	r.Unfinished += p.Unfinished
	r.Offered += p.Offered
	r.Saturated = r.Saturated || p.Saturated
}

// processors is the part of the processors that was left by what is not of the
// fleet, for each member. To one agent, another on its machine is other work.
func processors(members []*member) []*float64 {
	left := make([]*float64, len(members))
	for k, m := range members {
		if m.account.Left == nil {
			continue
		}
		share := *m.account.Left
		for other, n := range members {
			if other != k && n.hello.Host == m.hello.Host && n.account.Used != nil {
				share += *n.account.Used
			}
		}
		share = min(share, 1)
		left[k] = &share
	}
	return left
}

// note says what a reader must know besides.
func (r *Result) note() {
	commits := make(map[string]bool)
	for _, p := range r.Parts {
		commits[p.Environment.Commit] = true
		if p.Saturated {
			r.Notes = append(r.Notes,
				fmt.Sprintf("The generator of agent %d on %s was saturated: it offered %.0f ops/s. Nothing is said of the subject.",
					p.Number, p.Host, p.Offered))
		}
		if p.Fault != "" {
			r.Notes = append(r.Notes, fmt.Sprintf("The first failure on agent %d: %s.", p.Number, p.Fault))
		}
	}
	if len(commits) > 1 {
		r.Notes = append(r.Notes, "The agents are not all of the same commit: see their parts.")
	}
}
