package chart

import (
	"fmt"
	"math"
)

// Part is what one of several got.
type Part struct {
	Name      string
	Got, Fair float64
}

// Deviations draws by how much each of several parts differs from its fair
// share: bars to the left for less, to the right for more. Bars from zero would
// all look the same.
type Deviations struct {
	Title, Note string
	Unit        string
	Parts       []Part
	Allowed     *float64 // by how much a part may differ; nil for no bound
	Text        func(float64) string
}

// The height of a row of the charts that have rows, and of their edges.
const (
	rowHeight = 22.0
	rowTop    = 8.0
)

// Figure draws the bars. ok is false if there is no part.
func (d Deviations) Figure() (f Figure, ok bool) {
	if len(d.Parts) == 0 {
		return Figure{}, false
	}
	text := d.Text
	if text == nil {
		text = Short
	}
	signed := func(x float64) string {
		if x > 0 {
			return "+" + text(x)
		}
		return text(x)
	}
	label := func(p Part) string { return text(p.Got) + " (" + signed(p.Got-p.Fair) + ")" }
	f = Figure{Title: d.Title, Note: d.Note, Head: []string{"", d.Unit, "fair share", "difference"}}
	most, names, values := 0.0, 0.0, 0.0
	if d.Allowed != nil {
		most = *d.Allowed
	}
	for _, p := range d.Parts {
		difference := p.Got - p.Fair
		most = max(most, math.Abs(difference))
		names = max(names, min(textWidth(p.Name), width/4))
		values = max(values, textWidth(label(p)))
		f.Rows = append(f.Rows, []string{p.Name, text(p.Got), text(p.Fair), signed(difference)})
	}
	if most == 0 {
		most = 1
	}
	left, right := names+10, width-values-12
	middle, half := (left+right)/2, (right-left)/2
	scale := half / (most * 1.1)
	bottom := rowTop + rowHeight*float64(len(d.Parts))
	drawn := bars{
		ID: idMark, W: width, H: coord(bottom + 24), Middle: coord(middle), Top: rowTop, Bottom: coord(bottom),
		Height: coord(bottom - rowTop),
	}
	if d.Allowed != nil {
		drawn.AllowedX, drawn.AllowedW = coord(middle-*d.Allowed*scale), coord(2**d.Allowed*scale)
		drawn.Allowed = "±" + text(*d.Allowed) + " allowed"
		f.Legend = append(f.Legend, Entry{Name: drawn.Allowed, Shape: "box allowed"})
	}
	worst, at := -1.0, 0
	for i, p := range d.Parts {
		difference := p.Got - p.Fair
		if math.Abs(difference) > worst {
			worst, at = math.Abs(difference), i
		}
		long := math.Abs(difference) * scale
		x := middle
		if difference < 0 {
			x -= long
		}
		drawn.Rows = append(drawn.Rows, bar{
			Name: fit(p.Name, names+4), Full: p.Name, Value: label(p),
			Y: coord(rowTop + rowHeight*float64(i)), X: coord(x), W: coord(max(long, 1.5)), TextX: width - 2,
			Over: d.Allowed != nil && math.Abs(difference) > *d.Allowed,
		})
	}
	f.Summary = fmt.Sprintf("%d parts; %s differs most from its fair share of %s, by %s.", len(d.Parts),
		d.Parts[at].Name, text(d.Parts[at].Fair), signed(d.Parts[at].Got-d.Parts[at].Fair))
	f.drawing = draw("bars", drawn)
	return f, true
}

type bars struct {
	ID                     string
	W                      float64
	H, Middle, Top, Bottom coord
	AllowedX, AllowedW     coord
	Allowed                string
	Height                 coord // from Top to Bottom
	Rows                   []bar
}

type bar struct {
	Name, Full, Value string
	Y, X, W, TextX    coord
	Over              bool // it differs by more than is allowed
}
