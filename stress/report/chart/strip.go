package chart

import (
	"fmt"
	"slices"
)

// Series is a figure that was measured several times.
type Series struct {
	Name   string
	Values []float64
	Target *float64 // for the median; nil for none
}

// Strip draws every value of a few series on one axis, a row each, with the
// median of the row: with so few values a box or an average would hide them.
type Strip struct {
	Title, Note string
	X           Scale
	Series      []Series
}

// Median is the middle one of values, or between the middle two; 0 for none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Figure draws the strip. ok is false if there is no value.
func (s Strip) Figure() (f Figure, ok bool) {
	var all []float64
	for _, row := range s.Series {
		all = append(all, row.Values...)
		if row.Target != nil && len(row.Values) > 0 {
			all = append(all, *row.Target)
		}
	}
	if !s.X.Log {
		all = append(all, 0)
	}
	x, ok := s.X.spread(all, 4)
	if !ok || len(all) < 2 {
		return Figure{}, false
	}
	f = Figure{Title: s.Title, Note: s.Note, Head: []string{"", "median", "target", "values"}, Legend: []Entry{
		{Name: "a value", Shape: "mark value"}, {Name: "median", Shape: "line s0"}}}
	const rows = 2 * rowHeight // a name above each
	x = x.on(14, width-16)
	bottom := rowTop + rows*float64(len(s.Series))
	d := stripped{ID: idMark, W: width, H: coord(bottom + 40), Top: rowTop, Bottom: coord(bottom),
		Left: coord(x.start), Right: coord(x.end), XName: x.Name}
	var p plotted
	p.ticks(x, axis{})
	d.XTicks = p.XTicks
	targets := false
	for i, series := range s.Series {
		y := rowTop + rows*float64(i)
		row := strip{Name: fit(series.Name, width-20), Y: coord(y + rowHeight - 6), Line: coord(y + rowHeight*1.4)}
		cells := []string{series.Name, "not measured", "", ""}
		if series.Target != nil {
			targets = true
			row.HasTarget, row.Target = true, coord(x.at(*series.Target))
			cells[2] = x.text(*series.Target)
		}
		for j, value := range series.Values {
			row.Values = append(row.Values, placed{X: coord(x.at(value)), Name: x.text(value)})
			if j > 0 {
				cells[3] += ", "
			}
			cells[3] += x.text(value)
		}
		if len(series.Values) > 0 {
			median := Median(series.Values)
			row.HasMedian, row.Median = true, coord(x.at(median))
			cells[1] = x.text(median)
			f.Summary += fmt.Sprintf("%s: median %s of %d. ", series.Name, x.text(median), len(series.Values))
		}
		f.Rows = append(f.Rows, cells)
		d.Rows = append(d.Rows, row)
	}
	if targets {
		f.Legend = append(f.Legend, Entry{Name: "target", Shape: "line rule"})
	}
	f.drawing = draw("strip", d)
	return f, true
}

type stripped struct {
	ID                       string
	W                        float64
	H                        coord
	Left, Right, Top, Bottom coord
	XName                    string
	XTicks                   []tick
	Rows                     []strip
}

type strip struct {
	Name                 string
	Y, Line              coord
	Values               []placed
	HasMedian, HasTarget bool
	Median, Target       coord
}
