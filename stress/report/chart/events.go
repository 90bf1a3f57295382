package chart

import (
	"cmp"
	"fmt"
	"slices"
)

// Event is an instant with a kind: "fault", "detected", "undone" or
// "recovered"; others are drawn as remarks.
type Event struct {
	At           float64
	Kind         string
	Target, What string
}

func (e Event) words() string {
	if e.Target == "" {
		return e.What
	}
	return e.Target + ": " + e.What
}

// Events draws what happened when, one event a row, in the order of time. From
// a fault to the recovery of its target the row is shaded.
type Events struct {
	Title, Note string
	X           Scale
	Events      []Event
}

// mostRows bounds the height of a drawing; the rest is in the table.
const mostRows = 24

// Figure draws the events. ok is false where there is none.
func (e Events) Figure() (f Figure, ok bool) {
	events := slices.SortedStableFunc(slices.Values(e.Events), func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	events = slices.DeleteFunc(events, func(e Event) bool { return !(Scale{}).drawable(e.At) })
	if len(events) == 0 {
		return Figure{}, false
	}
	f = Figure{Title: e.Title, Note: e.Note, Head: []string{e.X.Name, "event", "target", ""}}
	at := []float64{0}
	kinds := make(map[string]int)
	for _, one := range events {
		at = append(at, one.At)
		kinds[one.Kind]++
		f.Rows = append(f.Rows, []string{e.X.text(one.At), one.Kind, one.Target, one.What})
	}
	for _, kind := range []string{"fault", "detected", "undone", "recovered", "remark"} {
		if kinds[kind] > 0 {
			f.Legend = append(f.Legend, Entry{kind, "mark " + kind})
		}
	}
	shown := events[:min(len(events), mostRows)]
	if more := len(events) - len(shown); more > 0 {
		f.Note = fmt.Sprintf("The first %d of %d events; all are in the table. ", len(shown), len(events)) + f.Note
	}
	x, _ := e.X.spread(at, 5)
	x.low, x.high = slices.Min(at), slices.Max(at)
	if x.low == x.high {
		x.high++
	}
	x = x.on(12, width-14)
	bottom := rowTop + rowHeight*float64(len(shown))
	d := happened{ID: idMark, W: width, H: coord(bottom + 40), Top: rowTop, Bottom: coord(bottom),
		Left: coord(x.start), Right: coord(x.end), XName: x.Name}
	var p plotted
	p.ticks(x, axis{})
	d.XTicks = p.XTicks
	for i, one := range shown {
		px := x.at(one.At)
		row := instant{X: coord(px), Y: coord(rowTop + rowHeight*(float64(i)+0.5)), Kind: one.Kind,
			Full: x.text(one.At) + " " + one.words(), TextX: coord(px + 10)}
		room := x.end - px
		if px > (x.start+x.end)/2 {
			row.End, row.TextX, room = true, coord(px-10), px-x.start
		}
		row.Text = fit(one.words(), room-6)
		if one.Kind == "fault" {
			if until, ok := recovery(events, one); ok {
				row.Until = coord(x.at(until) - px)
			}
		}
		d.Rows = append(d.Rows, row)
	}
	f.Summary = fmt.Sprintf("%d events from %s to %s: ", len(events), x.text(events[0].At), x.text(events[len(events)-1].At))
	for i, entry := range f.Legend {
		if i > 0 {
			f.Summary += ", "
		}
		f.Summary += fmt.Sprintf("%d %s", kinds[entry.Name], entry.Name)
	}
	f.Summary += "."
	f.drawing = draw("events", d)
	return f, true
}

// recovery is when the target of a fault recovered, or else everything did: the
// first such event after it.
func recovery(events []Event, fault Event) (at float64, ok bool) {
	for _, target := range []string{fault.Target, ""} {
		for _, e := range events {
			if e.Kind == "recovered" && e.Target == target && e.At >= fault.At {
				return e.At, true
			}
		}
	}
	return 0, false
}

type happened struct {
	ID                       string
	W                        float64
	H                        coord
	Left, Right, Top, Bottom coord
	XName                    string
	XTicks                   []tick
	Rows                     []instant
}

type instant struct {
	X, Y, TextX      coord
	Kind, Text, Full string
	Until            coord // how far it is to the recovery
	End              bool
}
