package chart

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// The size of a drawing in its own units. A page 360 pixels wide shows them
// a little smaller: the text, of 13, is read without a glass there too.
const (
	width    = 360.0
	height   = 230.0
	fontSize = 13.0
	charSize = 0.63 * fontSize // what a digit takes in a wide font
)

// Figure is a drawing with its legend and its table.
type Figure struct {
	Title   string // says what is drawn, with its unit
	Summary string // a sentence with what there is to see, for those who do not
	Note    string // how to read it; "" for nothing
	Legend  []Entry
	Head    []string   // of the table
	Rows    [][]string // as many cells as Head

	drawing template.HTML
}

// Entry is a line of a legend.
type Entry struct {
	Name  string
	Shape string // class of its swatch: "line s0" to "line s5", or a kind of mark
	// Series is the number of the line of a Plot whose entry it is, from 0; "" for none.
	Series string
}

//go:embed chart.html
var source string

var templates = template.Must(template.New("chart").Funcs(template.FuncMap{
	"mark": markPath,
}).Parse(source))

// HTML is the figure for a page on which no other has the same id. A title or a
// name may hold any text.
func (f Figure) HTML(id string) (template.HTML, error) {
	return render("figure", struct {
		Figure
		ID      string
		Drawing template.HTML
	}{f, id, template.HTML(strings.ReplaceAll(string(f.drawing), idMark, template.HTMLEscapeString(id)))})
}

// idMark stands for the id of a figure until the page gives it one.
const idMark = "chart-id"

func render(name string, data any) (template.HTML, error) {
	var text strings.Builder
	err := templates.ExecuteTemplate(&text, name, data)
	return template.HTML(text.String()), err
}

// draw is render for a template that is given what it expects: it fails only by
// a mistake of this package.
func draw(name string, data any) template.HTML {
	text, err := render(name, data)
	if err != nil {
		panic(fmt.Sprintf("chart: %v", err))
	}
	return text
}

// coord is a coordinate, written with as many digits as can be seen.
type coord float64

func (c coord) String() string {
	text := strconv.FormatFloat(math.Round(float64(c)*10)/10, 'f', -1, 64)
	if text == "-0" {
		return "0"
	}
	return text
}

// textWidth is about how wide a text is.
func textWidth(text string) float64 { return charSize * float64(len([]rune(text))) }

// fit cuts a text to a width.
func fit(text string, room float64) string {
	runes := []rune(text)
	most := max(int(room/charSize), 1)
	if len(runes) <= most {
		return text
	}
	return strings.TrimSpace(string(runes[:most-1])) + "…"
}

// markPath is the outline of a mark around the point 0,0: each kind has a shape
// of its own.
func markPath(kind string) string {
	switch kind {
	case "fault":
		return "M-5-5L5 5M5-5L-5 5"
	case "detected":
		return "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z"
	case "undone":
		return "M-4.5-4.5H4.5V4.5H-4.5Z"
	case "recovered":
		return "M0-5.5L5.5 4.5H-5.5Z"
	}
	return "M0-5.5L5.5 0L0 5.5L-5.5 0Z"
}
