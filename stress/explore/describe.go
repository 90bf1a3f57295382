package explore

import (
	"fmt"
	"strings"

	"tensile/stress/explore/internal/control"
	"tensile/stress/internal/schedule"
)

// describe shrinks a schedule that failed, repeats it, and makes the report.
func (x *explorer) describe(from schedule.Schedule, first ran) *Failure {
	sh := &shrinker{x: x, b: newBuffers(), verdict: first.verdict}
	s := from
	if x.o.Schedule == "" {
		s = sh.shrink(from)
	}
	r, ok := sh.fails(s)
	if !ok {
		r = first
	}
	f := &Failure{Kind: r.verdict.kind, Sentence: r.verdict.sentence, Left: r.verdict.left, Schedule: s.String(),
		Program: r.run.described()}
	for range replays {
		if again := x.run(s, nil); again.Hash == r.Hash && r.verdict.same(again.verdict) {
			f.Replays++
		}
	}
	if ok {
		steps := sh.b.steps[:min(r.Stepped, len(sh.b.steps))]
		f.Preemptions = preemptions(steps)
		f.Columns = columns(steps, x.titles(r, sh.b), r.verdict.left)
	}
	return f
}

// preemptions counts where a goroutine that could have gone on had to wait.
func preemptions(steps []control.Step) (n int) {
	for i := range steps {
		if steps[i].Preempted() {
			n++
		}
	}
	return n
}

// titles names the goroutines by number: as they were given to Go, else by their
// function.
func (x *explorer) titles(r ran, b *buffers) []string {
	titles := make([]string, r.Goroutines+1)
	seen := make(map[string]int)
	for id := range titles {
		title := r.run.name(uint32(id))
		if title == "" && id < len(b.made) && b.made[id].Start != 0 {
			title = lastPart(functionOf(b.made[id].Start))
		}
		if seen[title]++; seen[title] > 1 {
			title = fmt.Sprintf("%s#%d", title, seen[title])
		}
		titles[id] = title
	}
	return titles
}

// report is the text of a failure.
func (o Outcome) report() string {
	f := o.Failure
	var b strings.Builder
	fmt.Fprintf(&b, "explore: %s\n", f.Sentence)
	if f.Program != "" {
		fmt.Fprintln(&b, f.Program)
	}
	if !o.Controlled {
		fmt.Fprintf(&b, "found after %s by the stock scheduler with perturbation, not controlled: %s",
			counted(f.After, "schedule"), o.Reason)
		return b.String()
	}
	fmt.Fprintf(&b, "found after %s (seed %d)", counted(f.After, "schedule"), o.Seed)
	switch {
	case f.Kind == kindCrash:
		b.WriteString("; the process can not go on after it, so it is not shrunk\n")
	case f.Replays < replays:
		fmt.Fprintf(&b, "; it repeats only %d of %d times: something is not under control, such as what an earlier "+
			"schedule left, maps with pointers as keys, or system calls\n", f.Replays, replays)
	case !f.Fresh:
		b.WriteString("; another process does not repeat it: it depends on what earlier schedules left\n")
	default:
		fmt.Fprintf(&b, "; shrunk to %s; it repeats %d of %d times\n", counted(f.Preemptions, "preemption"),
			f.Replays, replays)
	}
	if f.Columns != "" {
		b.WriteString("\n" + f.Columns + "\n")
	}
	fmt.Fprintf(&b, "repeat it with\n%s", f.Command)
	if (f.Kind == kindCrash || f.Kind == kindRace || f.Kind == kindTest) && f.Output != "" {
		b.WriteString("\n\nwhat the process wrote:\n" + f.Output)
	}
	return b.String()
}
