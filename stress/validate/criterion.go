package validate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Comparison relates what was measured to the target.
type Comparison string

// The comparisons in use.
const (
	AtLeast Comparison = ">="
	AtMost  Comparison = "<="
	Below   Comparison = "<"
	Equal   Comparison = "="
)

func (c Comparison) holds(measured, target float64) bool {
	switch c {
	case AtLeast:
		return measured >= target
	case AtMost:
		return measured <= target
	case Below:
		return measured < target
	case Equal:
		return measured == target
	}
	return false
}

func (c Comparison) words() string {
	switch c {
	case AtLeast:
		return "at least"
	case AtMost:
		return "at most"
	case Below:
		return "below"
	}
	return "exactly"
}

// Kind says what missing a target means.
type Kind string

const (
	// Must is an acceptance threshold: missing it fails the run.
	Must Kind = "must"
	// Reach is a figure to aim for: it is reported and never asserted.
	Reach Kind = "reach"
)

// Scaling says what a target depends on besides the specification.
type Scaling string

const (
	// Fixed targets hold everywhere.
	Fixed Scaling = ""
	// WithN targets are given for 100,000 and change in proportion.
	WithN Scaling = "scale"
	// UpToBase targets shrink with N below 100,000, and do not grow beyond.
	UpToBase Scaling = "scale up to 100000"
	// WithShare targets are rates and times for a machine that has nothing
	// else to do: where other work held part of the processors, rates shrink,
	// and times grow, by what could be used of the part that was left. Where
	// next to nothing was left the figure says nothing, and counts as not
	// measured.
	WithShare Scaling = "share"
	// WithControl targets are rates and times. A figure misses one only where a
	// control that did the same work at the same moments met it.
	WithControl Scaling = "control"
)

// InTime tells whether c is for a rate or a time, which a machine has part in.
func (c Criterion) InTime() bool { return c.Scaling == WithShare || c.Scaling == WithControl }

// BaseScale is the N for which the specification gives its targets.
const BaseScale = 100_000

// Criterion is one line of the specification.
type Criterion struct {
	ID         string     `json:"id"`       // scenario.subject, as in "pooling.throughput"
	Scenario   string     `json:"scenario"` // ID of the scenario, or WholeRun
	Name       string     `json:"name"`
	Comparison Comparison `json:"comparison"`
	Target     float64    `json:"target"`
	Unit       string     `json:"unit"`
	Kind       Kind       `json:"kind"`
	Scaling    Scaling    `json:"scaling,omitempty"`
	// Floor is the part of a WithN target that does not get less with N.
	Floor float64 `json:"floor,omitempty"`
	// Specified is the target of the specification where another was set.
	Specified *float64 `json:"specified,omitempty"`
	// Metric is the figure of the report that is judged, where the report has it too.
	Metric Metric `json:"-"`
	// Part names the criterion of the whole run to which the figure counts: the worst
	// of all scenarios is judged there. "" for none.
	Part string `json:"-"`
}

// Subject is the ID without the scenario, as in "throughput".
func (c Criterion) Subject() string { return strings.TrimPrefix(c.ID, c.Scenario+".") }

// Metric is a figure that the report has of every scenario with a load, by the name
// that it has there.
type Metric string

// The metrics that criteria judge.
const (
	InFlight   Metric = "burst.peak_in_flight"
	Throughput Metric = "burst.throughput"
	Mean       Metric = "steady.mean" // of the latencies, as the percentiles are
	P50        Metric = "steady.p50"
	P95        Metric = "steady.p95"
	P99        Metric = "steady.p99"
)

// Conditions are what targets are adjusted to.
type Conditions struct {
	Scale int     // N
	Share float64 // of the processors that other work left, 0 to 1
}

// leastShare is the share of the processors below which a figure in time tells
// of the other work and no longer of the subject.
const leastShare = 0.1

// turns in ms is how long a process may have to wait for the processor while
// several others take their turns. It does not shrink with the share of it, so a
// time that must be shorter cannot be judged beside other work.
const turns = 20

// tells whether a figure for c can be judged under w.
func (c Criterion) tells(w Conditions) bool {
	if c.Scaling != WithShare || w.Share >= 1 {
		return true
	}
	short := c.Unit == "ms" && c.Target < turns
	return w.Share >= leastShare && !short
}

// usable is the part of the processors that a subject can make use of where other
// work left share of them. It is less: who takes turns waits for them and finds
// its caches cold, and cooperating processes wait for one another.
func usable(share float64) float64 { return share * share }

// at returns the criterion with its target adjusted, and says so.
func (c Criterion) at(w Conditions) (Criterion, string) {
	switch {
	case c.Scaling == WithN && w.Scale != BaseScale, c.Scaling == UpToBase && w.Scale < BaseScale:
		full, fixed := c.Target, 0.0
		if w.Scale < BaseScale {
			fixed = c.Floor
		}
		c.Target = fixed + (c.Target-fixed)*float64(w.Scale)/BaseScale
		return c, fmt.Sprintf("target %s scaled to N = %d", Number(full), w.Scale)
	case c.Scaling == WithShare && w.Share < 1:
		full := c.Target
		if c.Comparison == AtLeast {
			c.Target *= usable(w.Share)
		} else {
			c.Target /= usable(w.Share)
		}
		return c, fmt.Sprintf("target %s adjusted: other work held %.0f %% of the processors",
			Number(full), 100*(1-w.Share))
	}
	return c, ""
}

// Bound is the target as it is adjusted to w.
func (c Criterion) Bound(w Conditions) float64 {
	c, _ = c.at(w)
	return c.Target
}

// Number formats a figure with as many digits as it is worth: whole from 100
// on, with thousands set apart, else three significant ones.
func Number(x float64) string {
	if !math.IsInf(x, 0) && (x == math.Trunc(x) || math.Abs(x) >= 100) {
		return thousands(strconv.FormatFloat(math.Round(x), 'f', 0, 64))
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

func thousands(digits string) string {
	sign, digits := digits[:len(digits)-len(strings.TrimPrefix(digits, "-"))], strings.TrimPrefix(digits, "-")
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// With formats a figure with its unit.
func With(x float64, unit string) string {
	if unit == "" {
		return Number(x)
	}
	return Number(x) + " " + unit
}
