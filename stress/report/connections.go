package report

import (
	"fmt"
	"math"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Connections is what came of holding one kind of connections. What one of them
// takes is the growth of its server's processes from before anything to when all
// were open, by their number.
type Connections struct {
	ID      string `json:"id"` // for the names of metrics
	Name    string `json:"name"`
	Subject string `json:"subject"` // Go type of the server
	N       int    `json:"n"`       // after any cut
	Servers int    `json:"server_processes"`
	// Callers are 0 if they are in the process of the server, as in memory.
	Callers int `json:"caller_processes"`

	Goroutines float64  `json:"goroutines_per_connection"`
	Heap       float64  `json:"heap_bytes_per_connection"`
	Stacks     float64  `json:"stack_bytes_per_connection"`
	RSS        *float64 `json:"rss_bytes_per_connection"`
	// Kernel is for both ends together; nil in memory, or where not known.
	Kernel       *float64 `json:"kernel_bytes_per_connection"`
	KernelSource string   `json:"kernel_source,omitempty"`
	// CallerMemory is the heap and stack of the calling end.
	CallerMemory float64 `json:"caller_bytes_per_connection"`
	// The largest of its processes.
	PeakRSS       *int64 `json:"server_peak_rss_bytes"`
	CallerPeakRSS *int64 `json:"caller_peak_rss_bytes"`
	// Held is what the server held that held most; nil where it was not asked.
	Held *measure.Subject `json:"held,omitempty"`

	Hold *Hold `json:"hold"`

	// Heaps of the servers' processes, before and after; 0 if not read.
	HeapBase  int64 `json:"heap_baseline_bytes"`
	HeapAfter int64 `json:"heap_after_close_bytes"`
}

// Hold is what was seen while connections were held.
type Hold struct {
	Seconds     float64        `json:"seconds"`
	Operations  int            `json:"operations"`
	Rate        float64        `json:"ops_per_s"`
	Memory      Rise           `json:"memory"` // heap and stacks, in bytes
	Goroutines  Rise           `json:"goroutines"`
	Descriptors Rise           `json:"descriptors"`
	Pauses      measure.Pauses `json:"pauses"`
	Series      []Reading      `json:"series"`
	// Again is a second hold, where something grew in the first.
	Again *Hold `json:"again,omitempty"`
	// Levels are what memory fell back to while many more requests were sent,
	// where it had risen in steps.
	Levels []Level `json:"levels,omitempty"`
}

// Rise is a line through all readings of a figure but the first few, laid over
// time and over the requests sent.
type Rise struct {
	PerSecond  measure.Trend `json:"per_second"`
	PerRequest measure.Trend `json:"per_request"`
}

// Level is the least that figures were up to a number of requests.
type Level struct {
	Requests    int     `json:"requests"`
	Memory      float64 `json:"memory_bytes"`
	Goroutines  float64 `json:"goroutines"`
	Descriptors float64 `json:"descriptors"`
}

// Reading is one instant of a hold, all processes of the servers together.
type Reading struct {
	At          float64 `json:"at_s"`
	Memory      float64 `json:"memory_bytes"` // reachable heap, and stacks
	Goroutines  float64 `json:"goroutines"`
	Descriptors float64 `json:"descriptors"`
}

// largest is the resident memory of the largest process of a scenario.
func (s *Scenario) largest() *int64 {
	most := s.Memory.Peak.RSS
	for _, c := range s.Connections {
		for _, rss := range []*int64{c.PeakRSS, c.CallerPeakRSS} {
			if rss != nil && (most == nil || *rss > *most) {
				most = rss
			}
		}
	}
	return most
}

// HoldChart draws what the readings of holds are above their first, for each
// kind of connections.
func HoldChart(all []Connections) []Chart {
	c := Chart{Name: "memory while held", X: Axis{Name: "time", Unit: "s"},
		Y:    Axis{Name: "heap and stacks above the first reading", Unit: "bytes"},
		Note: "Reachable heap after a collection, and stacks, of all server processes of a kind."}
	for _, k := range all {
		if k.Hold == nil {
			continue
		}
		line := Line{Name: k.Name}
		for _, r := range k.Hold.Series {
			line.Points = append(line.Points, Point{r.At, r.Memory - k.Hold.Series[0].Memory})
		}
		c.Lines = append(c.Lines, line)
	}
	if len(c.Lines) == 0 {
		return nil
	}
	return []Chart{c}
}

// connectionGrids are what holding them has shown.
func connectionGrids(all []Connections) []grid {
	if len(all) == 0 {
		return nil
	}
	one := grid{Title: "What one connection takes, in bytes",
		Head: []string{"connections", "N", "processes", "goroutines", "heap", "stack",
			"resident", "kernel, both ends", "callers' heap and stack", "largest process", "largest of the callers"}}
	held := grid{Title: "While they were held", Before: "Heap and stacks of all processes of their server.",
		Head: []string{"connections", "time", "requests", "bytes/s", "95 % from", "to", "readings",
			"worth independent", "goroutines/s", "descriptors/s"}}
	collected := grid{Title: "Garbage collection meanwhile",
		Head: []string{"connections", "collections", "pause p99 ≤", "longest ≤", "heap before", "heap after close"}}
	for _, c := range all {
		processes := fmt.Sprint(c.Servers)
		if c.Callers > 0 {
			processes = fmt.Sprintf("%d + %d", c.Servers, c.Callers)
		}
		one.Rows = append(one.Rows, []string{c.Name, whole(float64(c.N)), processes, fmt.Sprintf("%.2f", c.Goroutines),
			whole(c.Heap), whole(c.Stacks), wholeIf(c.RSS), wholeIf(c.Kernel), callersOf(c), size(c.PeakRSS),
			sizeIf(c.CallerPeakRSS)})
		if c.KernelSource != "" {
			one.After = fmt.Sprintf("The kernel's part is the growth of %s, while they were opened.", c.KernelSource)
		}
		before, after := "", ""
		if c.HeapBase > 0 {
			before, after = size(&c.HeapBase), size(&c.HeapAfter)
		}
		name := c.Name
		for h := c.Hold; h != nil; h = h.Again {
			t := h.Memory.PerSecond
			held.Rows = append(held.Rows, []string{name, duration(h.Seconds * 1e9), whole(float64(h.Operations)), whole(t.Slope),
				whole(t.Low), whole(t.High), fmt.Sprint(t.Samples), fmt.Sprintf("%.1f", t.Independent),
				validate.Number(h.Goroutines.PerSecond.Slope), validate.Number(h.Descriptors.PerSecond.Slope)})
			collected.Rows = append(collected.Rows, []string{name, fmt.Sprint(h.Pauses.Cycles),
				duration(h.Pauses.P99 * 1e9), duration(h.Pauses.Max * 1e9), before, after})
			name += ", again"
		}
	}
	return []grid{one, held, collected}
}

func whole(x float64) string { return validate.Number(math.Round(x)) }

func wholeIf(x *float64) string {
	if x == nil {
		return ""
	}
	return whole(*x)
}

func sizeIf(n *int64) string {
	if n == nil {
		return ""
	}
	return size(n)
}

// callersOf is empty if callers are in the process of the server, and part of
// its memory.
func callersOf(c Connections) string {
	if c.Callers == 0 {
		return ""
	}
	return whole(c.CallerMemory)
}

// metrics are the figures for a table program.
func (c *Connections) metrics() []metric {
	m := []metric{
		{name: c.ID + ".n", unit: "connections", value: float64(c.N)},
		{name: c.ID + ".heap", unit: "bytes/connection", value: c.Heap, better: lower, judged: true},
		{name: c.ID + ".stacks", unit: "bytes/connection", value: c.Stacks, better: lower, judged: true},
	}
	if c.RSS != nil {
		m = append(m, metric{name: c.ID + ".rss", unit: "bytes/connection", value: *c.RSS, better: lower})
	}
	if c.Kernel != nil {
		m = append(m, metric{name: c.ID + ".kernel", unit: "bytes/connection", value: *c.Kernel, better: lower})
	}
	if c.Callers > 0 {
		m = append(m, metric{name: c.ID + ".callers", unit: "bytes/connection", value: c.CallerMemory})
	}
	if c.PeakRSS != nil {
		m = append(m, metric{name: c.ID + ".peak_rss", unit: "bytes", value: float64(*c.PeakRSS), better: lower})
	}
	if h := c.Hold; h != nil {
		t := h.Memory.PerSecond
		m = append(m, metric{name: c.ID + ".slope", unit: "bytes/s", value: t.Slope},
			metric{name: c.ID + ".slope_low", unit: "bytes/s", value: t.Low},
			metric{name: c.ID + ".slope_high", unit: "bytes/s", value: t.High},
			metric{name: c.ID + ".gc_pause_p99", unit: "s", value: h.Pauses.P99},
			metric{name: c.ID + ".gc_pause_max", unit: "s", value: h.Pauses.Max})
	}
	return m
}
