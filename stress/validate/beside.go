package validate

import (
	"fmt"
	"math"
	"slices"

	"tensile/stress/measure"
)

// Slowness is the last part of the ID of a scenario's criterion for a subject that
// is far behind its control, whatever the machine does.
const Slowness = "slowness"

// Beside is the verdict on a figure and that of a control, which did the same work at the
// same moments.
type Beside struct {
	Verdict Verdict
	Note    string
	Doubt   bool // more pairs may settle it
}

// Judge judges a figure beside that of the control. It passes if it meets the target. It
// fails if it misses the target, the control meets it, and that is not chance: only pairs
// count in which exactly one of the two met the target, and the control must win so many of
// them that a fair coin gives as many with a probability of at most 1/256 (McNemar's exact
// test). Of eight pairs, it must win all. If the control misses the target as well, nothing
// is known about the subject.
func (c Criterion) Judge(m measure.Paired) Beside {
	if c.Comparison.holds(m.Subject, c.Target) {
		return Beside{Verdict: Passed}
	}
	if !c.Comparison.holds(m.Control, c.Target) {
		return Beside{Verdict: NotMeasured,
			Note: fmt.Sprintf("this machine: the control does %s where %s are asked; the subject does %s of the control",
				With(m.Control, c.Unit), Number(c.Target), Number(m.Ratio.Median))}
	}
	control, subject := 0, 0 // pairs in which only this one met the target
	for _, p := range m.Pairs {
		switch met := c.Comparison.holds(p.Subject, c.Target); {
		case met == c.Comparison.holds(p.Control, c.Target):
		case met:
			subject++
		default:
			control++
		}
	}
	tail := measure.CoinTail(control+subject, control)
	if tail <= chance {
		return Beside{
			Verdict: Failed, Note: fmt.Sprintf("the control did %s; ratio %s", With(m.Control, c.Unit), Ratio(m.Ratio)),
		}
	}
	few := subject == 0 && len(m.Pairs) < measure.LeastPairs
	return Beside{Verdict: NotMeasured, Doubt: few || tail <= hope, Note: fmt.Sprintf(
		"in doubt: the figure was %s and the control did %s, but in %d of %d pairs only the control met the target, and in "+
			"%d only the subject",
		With(m.Subject, c.Unit), With(m.Control, c.Unit), control, len(m.Pairs), subject)}
}

// chance is the probability, for a subject that is level with its control, of a
// verdict against it.
const chance = 1. / 256

// hope is that probability beyond which more pairs would settle nothing.
const hope = 1. / 4

// Slower returns by how many times the subject was slower than its control. c is the
// criterion of the comparison. A time counts only beyond its target: ten times a
// microsecond does no harm.
func (c Criterion) Slower(m measure.Paired) measure.Interval {
	if c.Comparison == AtLeast {
		inverse := measure.Interval{Median: 1 / m.Ratio.Median}
		if m.Ratio.Bounded() {
			inverse.Low, inverse.High = 1/m.Ratio.High, 1/m.Ratio.Low
		}
		return inverse
	}
	pairs := slices.Clone(m.Pairs)
	for i := range pairs {
		pairs[i].Control = max(pairs[i].Control, c.Target)
	}
	return measure.ComparePairs(pairs).Ratio
}

// JudgeSlowness judges a criterion of Slowness. It fails if the whole interval is beyond the
// target, and passes if the median is not.
func (c Criterion) JudgeSlowness(slower measure.Interval) Beside {
	switch {
	case c.Comparison.holds(slower.Median, c.Target):
		return Beside{Verdict: Passed}
	case slower.Bounded() && !c.Comparison.holds(slower.Low, c.Target):
		return Beside{
			Verdict: Failed, Note: fmt.Sprintf("%s times slower than the control at the same moment", Ratio(slower)),
		}
	}
	return Beside{Verdict: NotMeasured, Doubt: true, Note: "in doubt: " + Ratio(slower) + " times slower than the control"}
}

// Ratio is an interval in words, as in "0.94 (0.91 to 0.97)".
func Ratio(i measure.Interval) string {
	if !i.Bounded() {
		return Number(i.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", Number(i.Median), Number(i.Low), Number(i.High))
}

// Compare is Measure for a figure in time: it is judged beside that of a control.
func (l *Checklist) Compare(id string, m measure.Paired) Check {
	return l.set(id, func(c *Check, as Criterion) {
		if !comparable(m) {
			*c = Check{
				Criterion: as, Verdict: Failed, Note: fmt.Sprintf("the figure was %g, and the control's %g", m.Subject, m.Control),
			}
			return
		}
		b := as.Judge(m)
		*c = Check{Criterion: as, Verdict: b.Verdict, Note: as.settled(b.Note), Beside: &m}
		if b.Verdict != NotMeasured {
			c.Measured = &m.Subject
		}
	})
}

// Slower measures a criterion of Slowness by how many times the subject was slower.
func (l *Checklist) Slower(id string, slower measure.Interval) Check {
	return l.set(id, func(c *Check, as Criterion) {
		b := as.JudgeSlowness(slower)
		*c = Check{Criterion: as, Verdict: b.Verdict, Note: as.settled(b.Note)}
		if b.Verdict != NotMeasured {
			c.Measured = &slower.Median
		}
	})
}

// comparable tells whether all figures are numbers above 0.
func comparable(m measure.Paired) bool {
	for _, x := range []float64{m.Subject, m.Control, m.Ratio.Median} {
		if !(x > 0) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}
