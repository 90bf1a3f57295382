package modeltest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// mostRows is how many rows of columns are printed.
const mostRows = 10

// columns shows a history: a column for each goroutine, time downwards. An
// operation that overlaps others has a row for its call and one for its return.
func (h *history[T]) columns() string {
	var rows [][]string
	for _, e := range h.events() {
		row := make([]string, h.goroutines())
		row[e.goroutine] = e.text
		rows = append(rows, row)
	}
	var b strings.Builder
	if first := h.line(h.first()); first != "" {
		fmt.Fprintf(&b, "  first %s\n", first)
	}
	names := make([]string, h.goroutines())
	for i := range names {
		names[i] = goroutineName(i)
	}
	if len(rows) > mostRows {
		more := len(rows) - mostRows
		rows = append(rows[:mostRows], []string{fmt.Sprintf("... %d more", more)})
	}
	for _, row := range aligned(append([][]string{names}, rows...)) {
		fmt.Fprintf(&b, "  | %s\n", row)
	}
	if last := h.line(h.last()); last != "" {
		fmt.Fprintf(&b, "  last  %s\n", last)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func goroutineName(i int) string { return string(rune('a' + i)) }

// line is what one log has, in a line.
func (h *history[T]) line(log int) string {
	var calls []string
	for i := range h.logs[log] {
		calls = append(calls, h.logs[log][i].String())
	}
	return strings.Join(calls, ", ")
}

// event is a row of the columns.
type event struct {
	goroutine int
	time      int64
	text      string
}

func (h *history[T]) events() []event {
	var list []event
	for _, log := range h.logs[:h.goroutines()] {
		for i := range log {
			d := &log[i]
			list = append(list, event{d.goroutine, d.call, d.called() + " ..."})
			text := "... " + d.String()
			if d.returned == never {
				text = "... waits"
			}
			list = append(list, event{d.goroutine, d.returned, text})
		}
	}
	slices.SortStableFunc(list, func(a, b event) int { return cmp.Compare(a.time, b.time) })
	var rows []event
	for i, e := range list {
		whole := i > 0 && list[i-1].goroutine == e.goroutine && strings.HasSuffix(list[i-1].text, " ...")
		if whole && strings.HasPrefix(e.text, "... ") { // nothing else came in between
			e.text = strings.TrimPrefix(e.text, "... ")
			if e.text == "waits" {
				e.text = strings.TrimSuffix(list[i-1].text, " ...") + " waits"
			}
			rows[len(rows)-1] = e
			continue
		}
		rows = append(rows, e)
	}
	return rows
}

// aligned joins the cells of each row with all columns in line.
func aligned(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if len(row) == len(rows[0]) {
				widths[i] = max(widths[i], len(cell))
			}
		}
	}
	lines := make([]string, len(rows))
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&b, "%-*s | ", widths[i], cell)
		}
		lines[n] = strings.TrimRight(b.String(), " ")
	}
	return lines
}
