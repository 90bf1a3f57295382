package report

import (
	"fmt"
	"io"
	"slices"
)

// grid is a table with what is said around it, the same in report.md and
// report.html.
type grid struct {
	Title  string
	Before string // sentences
	Head   []string
	Rows   [][]string
	After  string
}

func (g grid) markdown(w io.Writer) {
	if g.Title != "" {
		fmt.Fprintf(w, "\n### %s\n", g.Title)
	}
	if g.Before != "" {
		fmt.Fprintf(w, "\n%s\n", g.Before)
	}
	if len(g.Rows) > 0 {
		fmt.Fprintln(w)
		head(w, slices.Clone(g.Head)...)
		for _, cells := range g.Rows {
			row(w, slices.Clone(cells)...) // it escapes them where they are
		}
	}
	if g.After != "" {
		fmt.Fprintf(w, "\n%s\n", g.After)
	}
}

// grids are the tables of a scenario beside those of its charts and checks.
func (s *Scenario) grids() []grid {
	all := connectionGrids(s.Connections)
	if s.Knee != nil {
		all = append(all, s.Knee.grid())
	}
	if s.Scaling != nil {
		all = append(all, s.Scaling.grids()...)
	}
	return all
}
