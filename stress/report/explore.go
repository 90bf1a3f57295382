package report

import (
	"fmt"

	"tensile/stress/measure"
	"tensile/stress/report/chart"
	"tensile/stress/validate"
)

// Knee is the search for the rate at which a subject misses a threshold.
type Knee struct {
	Throughput float64    `json:"throughput_ops_per_s"` // of the burst before
	Rate       float64    `json:"rate_ops_per_s"`       // highest at which all thresholds held; 0 for none
	Missed     string     `json:"missed"`               // what was missed at the next; "" if nothing ever was
	Steps      []KneeStep `json:"steps"`
}

// KneeStep is one rate of the search.
type KneeStep struct {
	Asked   float64         `json:"asked_ops_per_s"`
	Offered float64         `json:"offered_ops_per_s"`
	Latency measure.Latency `json:"latency"`
	Missed  string          `json:"missed,omitempty"`
}

// Scaling is how throughput and memory grow with N and with the processors.
type Scaling struct {
	Steps []ScalingStep `json:"steps"`
	Cut   string        `json:"cut,omitempty"` // which N were left out, and why
	// The exponents e of time ~ N^e and memory ~ N^e; nil if there were too
	// few steps.
	TimeExponent   *float64 `json:"time_exponent"`
	MemoryExponent *float64 `json:"memory_exponent"`

	Processors []ProcessorStep `json:"processors"`
	USL        *measure.USL    `json:"usl"` // nil for fewer than three numbers of processors
}

// ScalingStep is one burst.
type ScalingStep struct {
	N          int     `json:"n"`
	Throughput float64 `json:"ops_per_s"`
	Memory     int64   `json:"memory_bytes"` // heap and stacks above what there was before, at the peak
}

// ProcessorStep is the burst of the scenario with a number of processors.
type ProcessorStep struct {
	Processors int     `json:"processors"`
	Throughput float64 `json:"ops_per_s"`
}

func (k *Knee) grid() grid {
	g := grid{
		Title: "Where it breaks", Head: []string{
			"asked, ops/s", "offered, ops/s", "mean", "p50", "p95", "p99", "p99.9", "max", "",
		},
	}
	switch {
	case len(k.Steps) == 0:
		g.Before = fmt.Sprintf("Not measured: %s.", k.Missed)
	case k.Missed == "":
		g.Before = fmt.Sprintf("All thresholds held up to %s ops/s, the highest rate offered.", validate.Number(k.Rate))
	default:
		g.Before = fmt.Sprintf("All thresholds held up to %s ops/s; at the next rate: %s.", validate.Number(k.Rate), k.Missed)
	}
	for _, s := range k.Steps {
		g.Rows = append(g.Rows,
			append(append([]string{validate.Number(s.Asked), validate.Number(s.Offered)}, times(&s.Latency)...), s.Missed))
	}
	return g
}

// plot draws the latencies by the rate that was offered.
func (k *Knee) plot(target *float64) chart.Plot {
	p := chart.Plot{Title: "Where it breaks: latency by rate", X: chart.Scale{Name: "asked, ops/s", Log: true},
		Y: chart.Scale{Name: "latency", Log: true, Text: duration}, Note: "Each point is a steady run of its own."}
	for _, line := range []struct {
		name string
		of   func(measure.Latency) int64
	}{
		{"p50", func(l measure.Latency) int64 { return l.P50 }},
		{"p99", func(l measure.Latency) int64 { return l.P99 }},
		{"max", func(l measure.Latency) int64 { return l.Max }},
	} {
		drawn := chart.Line{Name: line.name, Dots: true}
		for _, s := range k.Steps {
			drawn.Points = append(drawn.Points, [2]float64{s.Asked, float64(line.of(s.Latency))})
		}
		p.Lines = append(p.Lines, drawn)
	}
	if target != nil {
		p.Rules = append(p.Rules, chart.Rule{At: *target * 1e6, Name: "target of p99 " + duration(*target*1e6)})
	}
	if k.Rate > 0 && k.Missed != "" {
		p.Posts = append(p.Posts, chart.Post{At: k.Rate, Name: "held up to here"})
	}
	return p
}

func (s *Scaling) grids() []grid {
	byN := grid{Title: "How it grows", Head: []string{"N", "ops/s", "heap and stacks", "bytes for each of N"}}
	for _, step := range s.Steps {
		byN.Rows = append(byN.Rows, []string{validate.Number(float64(step.N)), validate.Number(step.Throughput),
			size(&step.Memory),
			validate.Number(float64(step.Memory) / float64(step.N))})
	}
	if s.Cut != "" {
		byN.After = fmt.Sprintf("Cut: %s. ", s.Cut)
	}
	byN.After += fmt.Sprintf("Time grows as N^%s, memory as N^%s.", exponent(s.TimeExponent), exponent(s.MemoryExponent))
	byProcessors := grid{Head: []string{"processors", "ops/s"},
		After: "Universal Scalability Law: not measured, a fit needs three numbers of processors."}
	for _, step := range s.Processors {
		byProcessors.Rows = append(byProcessors.Rows, []string{fmt.Sprint(step.Processors), validate.Number(step.Throughput)})
	}
	if u := s.USL; u != nil {
		byProcessors.After = fmt.Sprintf("Universal Scalability Law: λ = %s ops/s, σ = %.4f, κ = %.6f.",
			validate.Number(u.Lambda), u.Sigma, u.Kappa)
	}
	return []grid{byN, byProcessors}
}

// plots draw throughput and memory by N, and throughput by processors beside
// what the law says.
func (s *Scaling) plots() []chart.Plot {
	n := chart.Scale{Name: "N", Log: true}
	rate, memory, measured := chart.Line{Name: "burst", Dots: true}, chart.Line{Name: "heap and stacks", Dots: true},
		chart.Line{Name: "measured", Dots: true}
	for _, step := range s.Steps {
		rate.Points = append(rate.Points, [2]float64{float64(step.N), step.Throughput})
		memory.Points = append(memory.Points, [2]float64{float64(step.N), float64(step.Memory)})
	}
	processors := chart.Plot{
		Title: "How it grows: throughput by processors, ops/s",
		X:     chart.Scale{Name: "processors"}, Y: chart.Scale{Name: "ops/s"},
	}
	for _, step := range s.Processors {
		measured.Points = append(measured.Points, [2]float64{float64(step.Processors), step.Throughput})
		processors.X.Ticks = append(processors.X.Ticks, float64(step.Processors))
	}
	processors.Lines = []chart.Line{measured}
	if u := s.USL; u != nil && len(s.Processors) > 0 {
		law := chart.Line{Name: "Universal Scalability Law"}
		most := float64(s.Processors[len(s.Processors)-1].Processors)
		const points = 40
		for i := range points + 1 {
			p := 1 + (most-1)*float64(i)/points
			law.Points = append(law.Points, [2]float64{p, u.Lambda * p / (1 + u.Sigma*(p-1) + u.Kappa*p*(p-1))})
		}
		processors.Lines = append(processors.Lines, law)
	}
	return []chart.Plot{
		{Title: "How it grows: throughput by N, ops/s", X: n, Y: chart.Scale{Name: "ops/s"}, Lines: []chart.Line{rate},
			Note: "Time grows as N^" + exponent(s.TimeExponent) + "."},
		{Title: "How it grows: memory by N", X: n, Y: chart.Scale{Name: "bytes", Log: true}, Lines: []chart.Line{memory},
			Note: "Memory grows as N^" + exponent(s.MemoryExponent) + "."},
		processors,
	}
}

func exponent(e *float64) string {
	if e == nil {
		return "(not measured)"
	}
	return fmt.Sprintf("%.2f", *e)
}
