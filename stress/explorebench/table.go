package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"tensile/stress/internal/trials"
)

// row is a result in a line.
func row(r trials.Result) string {
	text := fmt.Sprintf("%-9s %-28s found %2d of %2d within %d, median %4s, repeated %d of %d, "+
		"in fresh processes %d of %d, %v a schedule",
		r.Group, r.Name, len(r.After), r.Effort.Trials, r.Effort.Within, shown(median(r)), r.Replays, 10*len(r.After),
		r.Fresh, r.Effort.Fresh*len(r.After), r.Schedule.Round(time.Microsecond))
	for _, alarm := range r.Alarms {
		text += ", ALARM on the twin: " + alarm
	}
	for _, other := range r.Others {
		text += ", another failure: " + other
	}
	if r.Reason != "" {
		text += ", not controlled: " + r.Reason
	}
	return text
}

const none = math.MaxInt

// median is that of the schedules a find took, where a trial without a find took
// more than any.
func median(r trials.Result) int {
	if middle := r.Effort.Trials / 2; middle < len(r.After) {
		return r.After[middle]
	}
	return none
}

func shown(schedules int) string {
	if schedules == none {
		return "none"
	}
	return fmt.Sprint(schedules)
}

// sum is what a group comes to.
type sum struct {
	name                           string
	bugs, always, finds, replays   int
	fresh, again                   int // processes that were to repeat a find, and that did
	hardest, twins, alarms, effort int
	schedules                      []time.Duration
}

func (s *sum) add(r trials.Result) {
	s.bugs++
	s.finds += len(r.After)
	s.replays += r.Replays
	s.fresh += r.Effort.Fresh * len(r.After)
	s.again += r.Fresh
	s.alarms += len(r.Alarms)
	s.hardest = max(s.hardest, median(r))
	s.effort = r.Effort.Sound
	s.schedules = append(s.schedules, r.Schedule)
	if len(r.After) == r.Effort.Trials {
		s.always++
	}
	if r.Twin {
		s.twins++
	}
}

const header = "| group | bugs | found in every trial | hardest, median | " +
	"repeated | in fresh processes | alarms on twins | a schedule, median | slowest |"

// table writes a line for each group.
func table(w io.Writer, results []trials.Result) {
	var sums []*sum
	for _, r := range results {
		if last := len(sums) - 1; last < 0 || sums[last].name != r.Group {
			sums = append(sums, &sum{name: r.Group})
		}
		sums[len(sums)-1].add(r)
	}
	fmt.Fprintln(w, header)
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, s := range sums {
		slices.Sort(s.schedules)
		alarms := "no twins"
		if s.twins > 0 {
			alarms = fmt.Sprintf("%d of %d, %d schedules each", s.alarms, s.twins, s.effort)
		}
		fmt.Fprintf(w, "| %s | %d | %d | %s | %d of %d | %d of %d | %s | %v | %v |\n", s.name, s.bugs, s.always,
			shown(s.hardest), s.replays, 10*s.finds, s.again, s.fresh, alarms,
			s.schedules[len(s.schedules)/2].Round(time.Microsecond), slices.Max(s.schedules).Round(time.Microsecond))
	}
}
