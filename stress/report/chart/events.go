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

// Events draws what happened when. A few events have a row each, in the order of
// time; many have a row for each target. From a fault to the recovery of its
// target the row is underlined.
type Events struct {
	Title, Note string
	X           Scale
	Events      []Event
}

const (
	mostEvents = 14 // that have a row each
	mostRows   = 24 // bounds the height of a drawing; the rest is in the table
)

// Figure draws the events. ok is false if there is none.
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
			f.Legend = append(f.Legend, Entry{Name: kind, Shape: "mark " + kind})
		}
	}
	x, _ := e.X.spread(at, 5)
	x.low, x.high = slices.Min(at), slices.Max(at)
	if x.low == x.high {
		x.high++
	}
	rows, left := len(events), 12.0
	lanes := laneOf(events)
	if rows > mostEvents {
		rows = min(len(lanes), mostRows)
		for target := range lanes {
			left = max(left, min(textWidth(laneName(target)), width/4)+14)
		}
		if more := len(lanes) - rows; more > 0 {
			f.Note = fmt.Sprintf("The first %d of %d targets; all are in the table. ", rows, len(lanes)) + f.Note
		}
	}
	x = x.on(left, width-14)
	bottom := rowTop + rowHeight*float64(rows)
	d := happened{ID: idMark, W: width, H: coord(bottom + 40), Top: rowTop, Bottom: coord(bottom),
		Left: coord(x.start), Right: coord(x.end), XName: x.Name}
	var p plotted
	p.ticks(x, axis{})
	d.XTicks = p.XTicks
	if len(events) > mostEvents {
		d.lanes(lanes, left)
	}
	for i, one := range events {
		if len(events) > mostEvents {
			if i = lanes[one.Target]; i >= rows {
				continue
			}
		}
		px := x.at(one.At)
		row := instant{
			X: coord(px), Y: coord(rowTop + rowHeight*(float64(i)+0.5)), Kind: one.Kind,
			Full: x.text(one.At) + " " + one.words(),
		}
		if len(events) <= mostEvents {
			row.beside(one.words(), px, x)
		}
		if one.Kind == "fault" {
			if until, ok := recovery(events, one); ok {
				row.Until = coord(x.at(until) - px)
			}
		}
		d.Rows = append(d.Rows, row)
	}
	f.Summary = fmt.Sprintf("%d events from %s to %s: ",
		len(events), x.text(events[0].At), x.text(events[len(events)-1].At))
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

// laneOf numbers the targets in the order in which they first occur.
func laneOf(events []Event) map[string]int {
	lanes := make(map[string]int)
	for _, e := range events {
		if _, seen := lanes[e.Target]; !seen {
			lanes[e.Target] = len(lanes)
		}
	}
	return lanes
}

// laneName is how the row of a target is named: events without one are those of
// everything.
func laneName(target string) string { return cmp.Or(target, "all") }

// lanes names the rows of targets.
func (d *happened) lanes(lanes map[string]int, room float64) {
	names := make([]string, len(lanes))
	for target, i := range lanes {
		names[i] = laneName(target)
	}
	for i, name := range names[:min(len(names), mostRows)] {
		d.Lanes = append(d.Lanes, tick{coord(rowTop + rowHeight*(float64(i)+0.5)), fit(name, room-6), ""})
	}
}

// beside puts words to the side of an instant where there is more room.
func (i *instant) beside(words string, px float64, x axis) {
	room := x.end - px
	i.TextX = coord(px + 10)
	if px > (x.start+x.end)/2 {
		i.End, i.TextX, room = true, coord(px-10), px-x.start
	}
	i.Text = fit(words, room-6)
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
	Lanes                    []tick
	Rows                     []instant
}

type instant struct {
	X, Y, TextX      coord
	Kind, Text, Full string
	Until            coord // how far it is to the recovery
	End              bool
}
