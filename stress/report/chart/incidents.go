package chart

import (
	"cmp"
	"fmt"
	"slices"
)

// Incidents draws, for each fault of the same events, how long after it its
// target was detected and recovered: a row each, on a logarithmic axis.
type Incidents struct {
	Title, Note string
	X           Scale // of the time after a fault
	Events      []Event
}

// incident is a fault and what followed it.
type incident struct {
	fault Event
	after map[string]float64 // first of each kind
}

// incidents finds what belongs to each fault: what happened to the same target
// before the next one.
func incidents(events []Event) []incident {
	events = slices.SortedStableFunc(slices.Values(events), func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	var all []incident
	latest := make(map[string]int) // index of each target
	for _, e := range events {
		if e.Kind == "fault" {
			latest[e.Target] = len(all)
			all = append(all, incident{e, make(map[string]float64)})
			continue
		}
		at, hit := latest[e.Target]
		if !hit || !slices.Contains(kindsAfter, e.Kind) {
			continue
		}
		if _, already := all[at].after[e.Kind]; !already {
			all[at].after[e.Kind] = e.At - all[at].fault.At
		}
	}
	return slices.DeleteFunc(all, func(i incident) bool { return len(i.after) == 0 })
}

// kindsAfter are what a fault is followed by.
var kindsAfter = []string{"detected", "undone", "recovered"}

// Figure draws the incidents. ok is false for fewer than two: those are seen
// among the events.
func (n Incidents) Figure() (f Figure, ok bool) {
	all := incidents(n.Events)
	if len(all) < 2 {
		return Figure{}, false
	}
	n.X.Log = true
	f = Figure{Title: n.Title, Note: n.Note, Head: append([]string{"fault"}, kindsAfter...)}
	var times []float64
	seen := make(map[string][]float64)
	names := 0.0
	for _, one := range all {
		cells := []string{one.fault.words()}
		names = max(names, min(textWidth(one.fault.words()), width*0.4))
		for _, kind := range kindsAfter {
			cell := ""
			if after, ok := one.after[kind]; ok {
				cell = n.X.text(after)
				times = append(times, after)
				seen[kind] = append(seen[kind], after)
			}
			cells = append(cells, cell)
		}
		f.Rows = append(f.Rows, cells)
	}
	x, ok := n.X.spread(times, 4)
	if !ok {
		return Figure{}, false
	}
	shown := all[:min(len(all), mostRows)]
	if more := len(all) - len(shown); more > 0 {
		f.Note = fmt.Sprintf("The first %d of %d faults; all are in the table. ", len(shown), len(all)) + f.Note
	}
	x = x.on(names+14, width-14)
	bottom := rowTop + rowHeight*float64(len(shown))
	d := happened{ID: idMark, W: width, H: coord(bottom + 40), Top: rowTop, Bottom: coord(bottom),
		Left: coord(x.start), Right: coord(x.end), XName: x.Name}
	var p plotted
	p.ticks(x, axis{})
	d.XTicks = p.XTicks
	for i, one := range shown {
		y := coord(rowTop + rowHeight*(float64(i)+0.5))
		d.Lanes = append(d.Lanes, tick{y, fit(one.fault.words(), names+8), ""})
		for _, kind := range kindsAfter {
			if after, ok := one.after[kind]; ok && x.drawable(after) {
				d.Rows = append(d.Rows, instant{X: coord(x.at(after)), Y: y, Kind: kind,
					Full: fmt.Sprintf("%s: %s after %s", one.fault.words(), kind, x.text(after))})
			}
		}
	}
	f.Summary = fmt.Sprintf("%d faults.", len(all))
	for _, kind := range kindsAfter {
		if len(seen[kind]) > 0 {
			f.Legend = append(f.Legend, Entry{Name: kind, Shape: "mark " + kind})
			f.Summary += fmt.Sprintf(" %d %s, after %s in the median and %s at most.", len(seen[kind]), kind,
				x.text(Median(seen[kind])), x.text(slices.Max(seen[kind])))
		}
	}
	f.drawing = draw("events", d)
	return f, true
}
