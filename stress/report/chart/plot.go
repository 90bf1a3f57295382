package chart

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
)

// Line is one line of a Plot.
type Line struct {
	Name   string
	Points [][2]float64
	Steps  bool // each y holds until the next x
	Area   bool // filled down to the lower edge
	Dots   bool // a mark on every point
}

// Rule is a value of y drawn across, as a target is.
type Rule struct {
	At   float64
	Name string
}

// Goal is a value of y to stay below at one x.
type Goal struct {
	X, Y float64
	Name string
}

// Band is a stretch of x with a name.
type Band struct {
	From, To float64
	Name     string
}

// Post is a value of x with a name.
type Post struct {
	At   float64
	Name string
}

// Plot is lines over two axes. What is not finite, or not above 0 on a
// logarithmic axis, is not drawn, and the line has a gap there; the table has it.
type Plot struct {
	Title, Note string
	X, Y        Scale
	Lines       []Line
	Rules       []Rule
	Goals       []Goal
	Bands       []Band
	Posts       []Post
}

// Figure draws the plot. ok is false if there is nothing to draw.
func (p Plot) Figure() (f Figure, ok bool) {
	x, y, ok := p.axes()
	if !ok {
		return Figure{}, false
	}
	left := 0.0
	for _, t := range y.Ticks {
		left = max(left, textWidth(y.text(t)))
	}
	x, y = x.on(left+10, width-14), y.on(height-40, 26)
	d := plotted{W: width, H: height, Left: coord(x.start), Right: coord(x.end), Top: coord(y.end), Bottom: coord(y.start),
		Height: coord(y.start - y.end), Low: x.low, High: x.high, Log: x.Log, At: p.places(x),
		XName: x.Name, YName: y.Name, ID: idMark}
	d.ticks(x, y)
	for i, line := range p.Lines {
		d.Lines = append(d.Lines, line.draw(x, y, i))
	}
	for _, r := range p.Rules {
		if y.drawable(r.At) {
			d.Rules = append(d.Rules, placed{Y: coord(y.at(r.At)), Name: r.Name})
		}
	}
	for _, g := range p.Goals {
		if x.drawable(g.X) && y.drawable(g.Y) {
			d.Goals = append(d.Goals, placed{X: coord(x.at(g.X)), Y: coord(y.at(g.Y)), Name: g.Name})
		}
	}
	for i, b := range p.Bands {
		if !x.drawable(b.From) || !x.drawable(b.To) || b.From > b.To {
			continue
		}
		from, to := x.at(b.From), x.at(b.To)
		name := ""
		if textWidth(b.Name)*0.85 < to-from {
			name = b.Name
		}
		d.Bands = append(d.Bands, band{
			X: coord(from), W: coord(to - from), Middle: coord((from + to) / 2), Name: name, Full: b.Name, Odd: i%2 == 1,
		})
	}
	d.posts(p.Posts, x)
	return p.figure(draw("plot", d)), true
}

// axes covers everything that is drawn.
func (p Plot) axes() (x, y axis, ok bool) {
	var xs, ys []float64
	for _, line := range p.Lines {
		for _, point := range line.Points {
			if p.X.drawable(point[0]) && p.Y.drawable(point[1]) {
				xs, ys = append(xs, point[0]), append(ys, point[1])
			}
		}
	}
	if len(xs) == 0 {
		return x, y, false
	}
	for _, r := range p.Rules {
		ys = append(ys, r.At)
	}
	for _, g := range p.Goals {
		ys = append(ys, g.Y)
	}
	if !p.Y.Log {
		ys = append(ys, 0)
	}
	y, _ = p.Y.spread(ys, 4)
	// What is drawn ends where its x does, not at the next round value.
	if p.X.Ticks == nil {
		x, _ = p.X.spread(xs, 5)
		if low, high := slices.Min(xs), slices.Max(xs); low < high {
			x.low, x.high = low, high
			if p.X.From != p.X.To {
				x.low, x.high = min(low, p.X.From), max(high, p.X.To)
			}
		}
	} else {
		x, _ = p.X.spread(xs, 5)
	}
	return x, y, true
}

func (p Plot) figure(drawing template.HTML) Figure {
	f := Figure{Title: p.Title, Note: p.Note, drawing: drawing}
	for i, line := range p.Lines {
		f.Legend = append(f.Legend, Entry{Name: line.Name, Shape: fmt.Sprintf("line s%d", i%styles), Series: strconv.Itoa(i)})
	}
	if len(p.Rules)+len(p.Goals) > 0 {
		var names []string
		for _, r := range p.Rules {
			names = append(names, r.Name)
		}
		for _, g := range p.Goals {
			names = append(names, g.Name)
		}
		shape := "line rule"
		if len(p.Goals) > 0 {
			shape = "goal"
		}
		f.Legend = append(f.Legend, Entry{Name: strings.Join(names, ", "), Shape: shape})
	}
	f.Head = []string{p.X.Name}
	rows := make(map[float64][]string)
	for i, line := range p.Lines {
		f.Head = append(f.Head, line.Name)
		for _, point := range line.Points {
			row, seen := rows[point[0]]
			if !seen {
				row = make([]string, 1+len(p.Lines))
				row[0] = p.X.text(point[0])
			}
			row[1+i] = p.Y.text(point[1])
			rows[point[0]] = row
		}
	}
	for _, at := range p.xs() {
		f.Rows = append(f.Rows, rows[at])
	}
	f.Summary = p.summary()
	return f
}

// xs are the values of x in the rows of the table.
func (p Plot) xs() []float64 {
	var all []float64
	for _, line := range p.Lines {
		for _, point := range line.Points {
			all = append(all, point[0])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// places are where the rows of the table are drawn, and "-" where one is not.
func (p Plot) places(x axis) string {
	var all []string
	for _, at := range p.xs() {
		place := "-"
		if x.drawable(at) {
			place = coord(x.at(at)).String()
		}
		all = append(all, place)
	}
	return strings.Join(all, " ")
}

// summary tells of each line where it begins, ends, and its extremes.
func (p Plot) summary() string {
	var parts []string
	for _, line := range p.Lines {
		var ys []float64
		for _, point := range line.Points {
			if p.X.drawable(point[0]) && p.Y.drawable(point[1]) {
				ys = append(ys, point[1])
			}
		}
		if len(ys) == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s from %s to %s, lowest %s, highest %s", line.Name,
			p.Y.text(ys[0]), p.Y.text(ys[len(ys)-1]), p.Y.text(slices.Min(ys)), p.Y.text(slices.Max(ys))))
	}
	return strings.Join(parts, "; ") + "."
}

// styles is the number of lines that are told apart.
const styles = 6

// plotted is a Plot as it is drawn.
type plotted struct {
	ID                       string
	W, H                     float64
	Left, Right, Top, Bottom coord
	Height                   coord // from Top to Bottom
	Low, High                float64
	Log                      bool
	At                       string // see places
	XName, YName             string
	XTicks, YTicks           []tick
	Lines                    []drawn
	Rules, Goals, Posts      []placed
	Bands                    []band
}

type tick struct {
	At     coord
	Text   string
	Anchor string
}

type drawn struct {
	Class, D, Fill string
	Dots           []placed
}

type placed struct {
	X, Y coord
	Name string
	Full string // where Name may be missing
	End  bool   // the name stands to the left
}

type band struct {
	X, W, Middle coord
	Name, Full   string
	Odd          bool
}

func (d *plotted) ticks(x, y axis) {
	for _, t := range y.Ticks {
		d.YTicks = append(d.YTicks, tick{At: coord(y.at(t)), Text: y.text(t)})
	}
	free := -1e9
	for _, t := range x.Ticks {
		if t < x.low*(1-1e-9) || t > x.high*(1+1e-9) {
			continue
		}
		at, text := x.at(t), x.text(t)
		wide := textWidth(text)
		from, anchor := at-wide/2, "middle"
		if from+wide > width {
			from, anchor = at-wide, "end"
		}
		if from < free { // it would touch the one before
			text = ""
		} else {
			free = from + wide + 6
		}
		d.XTicks = append(d.XTicks, tick{coord(at), text, anchor})
	}
}

// posts puts the names of posts above the plot, in two rows, where none touches
// another. One that finds no place is told by its title alone.
func (d *plotted) posts(posts []Post, x axis) {
	type taken struct{ from, to float64 }
	rows := [2][]taken{1: {{0, textWidth(d.YName) + 6}}}
	free := func(row int, from, to float64) bool {
		return from >= 0 && to <= width && !slices.ContainsFunc(rows[row], func(t taken) bool {
			return from < t.to && t.from < to
		})
	}
	for _, post := range posts {
		if !x.drawable(post.At) {
			continue
		}
		at, wide := x.at(post.At), textWidth(post.Name)+6
		one := placed{X: coord(at), Full: post.Name}
		for i, place := range []taken{{at, at + wide}, {at - wide, at}, {at, at + wide}, {at - wide, at}} {
			row := i / 2
			if free(row, place.from, place.to) {
				rows[row] = append(rows[row], place)
				one.Name, one.Y, one.End = post.Name, d.Top-coord(5+12*row), i%2 == 1
				break
			}
		}
		d.Posts = append(d.Posts, one)
	}
}

// draw makes the path of a line.
func (l Line) draw(x, y axis, i int) drawn {
	var path, fill strings.Builder
	open := false
	var first, last, lastY float64
	end := func() {
		if l.Area && open {
			fmt.Fprintf(&fill, "L%s %sL%s %sZ", coord(last), coord(y.start), coord(first), coord(y.start))
		}
		open = false
	}
	var dots []placed
	for _, point := range l.Points {
		if !x.drawable(point[0]) || !y.drawable(point[1]) {
			end()
			continue
		}
		px, py := x.at(point[0]), y.at(point[1])
		step := fmt.Sprintf("L%s %s", coord(px), coord(py))
		switch {
		case !open:
			step = "M" + step[1:]
			first = px
		case l.Steps:
			step = fmt.Sprintf("L%s %sL%s %s", coord(px), coord(lastY), coord(px), coord(py))
		}
		path.WriteString(step)
		if l.Area {
			fill.WriteString(step)
		}
		open, last, lastY = true, px, py
		if l.Dots {
			dots = append(dots, placed{X: coord(px), Y: coord(py), Name: y.text(point[1])})
		}
	}
	end()
	return drawn{fmt.Sprintf("s%d", i%styles), path.String(), fill.String(), dots}
}
