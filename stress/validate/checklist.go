package validate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/stretchr/testify/assert"

	"tensile/stress/measure"
)

// Verdict is the outcome of one check.
type Verdict string

// The four verdicts. Only a measured figure passes.
const (
	Passed      Verdict = "passed"
	Failed      Verdict = "failed"
	NotMeasured Verdict = "not measured"
	NotOffered  Verdict = "not offered" // the subject does not have the ability
)

// Check is a criterion with what was measured. Its Target is the adjusted one.
type Check struct {
	Criterion
	Measured *float64 `json:"measured"` // nil where there is no figure
	Verdict  Verdict  `json:"verdict"`
	Note     string   `json:"note,omitempty"` // why not measured, or how the target was adjusted
	// Beside is the figure beside that of a control; nil if there was none.
	Beside *measure.Paired `json:"beside,omitempty"`
}

// String is the check as a sentence.
func (c Check) String() string {
	target := fmt.Sprintf("%s %s", c.Comparison.words(), With(c.Target, c.Unit))
	text := fmt.Sprintf("%s: %s must be %s", c.ID, c.Name, target)
	if c.Kind == Reach {
		text = fmt.Sprintf("%s: %s should reach %s", c.ID, c.Name, target)
	}
	if c.Measured == nil {
		text += ": " + string(c.Verdict)
	} else {
		text += ", measured was " + c.Figure()
	}
	if c.Note != "" {
		text += " (" + c.Note + ")"
	}
	return text
}

// Figure is what was measured, with its unit and as many digits as it takes to
// tell it from the target; or else "not measured".
func (c Check) Figure() string {
	if c.Measured == nil {
		return string(NotMeasured)
	}
	figure := With(*c.Measured, c.Unit)
	if *c.Measured != c.Target && figure == With(c.Target, c.Unit) {
		return strconv.FormatFloat(*c.Measured, 'f', -1, 64) + " " + c.Unit
	}
	return figure
}

// Checklist is a list of criteria, each with its verdict. Safe for concurrent
// use.
type Checklist struct {
	mu       sync.Mutex
	criteria []Criterion // as specified
	checks   []Check     // of each, in the same order
	index    map[string]int
}

// NewChecklist returns the list of criteria, all of them not measured.
func NewChecklist(criteria []Criterion) *Checklist {
	l := &Checklist{criteria: criteria, index: make(map[string]int, len(criteria))}
	for i, c := range criteria {
		l.index[c.ID] = i
		l.checks = append(l.checks, Check{Criterion: c, Verdict: NotMeasured})
	}
	return l
}

// Has tells whether a criterion is in the list.
func (l *Checklist) Has(id string) bool {
	_, ok := l.index[id]
	return ok
}

// Measure compares a measured figure with the criterion and returns the check.
// It panics on an ID that is not in the list: a check that nobody sees is a
// mistake of the program. What is no number, such as a rate over no time at all,
// fails: it is what a subject that did nothing comes to.
func (l *Checklist) Measure(id string, measured float64, w Conditions) Check {
	return l.set(id, func(c *Check, as Criterion) {
		if math.IsNaN(measured) || math.IsInf(measured, 0) {
			*c = Check{Criterion: as, Verdict: Failed, Note: fmt.Sprintf("the figure was %g", measured)}
			return
		}
		if !as.tells(w) {
			*c = Check{Criterion: as, Verdict: NotMeasured, Note: fmt.Sprintf(
				"other work left %.0f %% of the processors; the figure was %s", 100*w.Share, With(measured, as.Unit))}
			return
		}
		var note string
		c.Criterion, note = as.at(w)
		c.Measured, c.Note, c.Verdict = &measured, as.settled(note), Failed
		if c.Comparison.holds(measured, c.Target) {
			c.Verdict = Passed
		}
	})
}

// Leave says why a criterion has no figure: NotMeasured or NotOffered.
func (l *Checklist) Leave(id string, verdict Verdict, why string) Check {
	if verdict != NotMeasured && verdict != NotOffered {
		panic(fmt.Sprintf("validate: %s can not be left %q: only a figure passes or fails", id, verdict))
	}
	return l.set(id, func(c *Check, as Criterion) {
		*c = Check{Criterion: as, Verdict: verdict, Note: why}
	})
}

// Break fails a criterion of which something went wrong that has no figure, such as
// operations that never ended.
func (l *Checklist) Break(id, why string) Check {
	return l.set(id, func(c *Check, as Criterion) { *c = Check{Criterion: as, Verdict: Failed, Note: why} })
}

// Explain puts what is known of a figure before the note that it has.
func (l *Checklist) Explain(id, what string) Check {
	return l.set(id, func(c *Check, _ Criterion) {
		if c.Note != "" {
			what += "; " + c.Note
		}
		c.Note = what
	})
}

// Adopt takes over the verdict of another criterion for the same, with its target.
func (l *Checklist) Adopt(id string, from Check) Check {
	return l.set(id, func(c *Check, as Criterion) {
		as.Target, as.Specified = from.Target, from.Specified
		*c = Check{Criterion: as, Measured: from.Measured, Verdict: from.Verdict, Note: from.Note, Beside: from.Beside}
	})
}

func (l *Checklist) set(id string, change func(c *Check, as Criterion)) Check {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.index[id]
	if !ok {
		panic(fmt.Sprintf("validate: no criterion %q", id))
	}
	change(&l.checks[at], l.criteria[at])
	return l.checks[at]
}

// Checks returns a copy of all, in order.
func (l *Checklist) Checks() []Check {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.checks)
}

// FailedOf returns those of the checks given that must hold and did not.
func FailedOf(checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool {
		return c.Kind != Must || c.Verdict != Failed
	})
}

// Assert fails t with the sentence of each check that was missed, through
// testify, and tells whether there was none.
func Assert(t assert.TestingT, checks []Check) bool {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	missed := FailedOf(checks)
	for _, c := range missed {
		assert.Fail(t, c.String())
	}
	return len(missed) == 0
}
