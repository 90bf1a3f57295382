package report

import (
	"fmt"
	"math"
	"strings"

	"tensile/stress/measure"
	"tensile/stress/report/chart"
	"tensile/stress/validate"
)

// figures are the charts of a scenario. What was not measured draws nothing:
// missing names what one could have expected.
func (s *Scenario) figures() (figures []chart.Figure, missing []string) {
	add := func(name string, f chart.Figure, ok bool) {
		switch {
		case ok:
			figures = append(figures, f)
		case name != "":
			missing = append(missing, name)
		}
	}
	if b := s.Burst; b != nil {
		f, ok := throughput("Burst: throughput over time, ops/s", b.Series, b.Seconds, 0).Figure()
		add("throughput of the burst over time", f, ok)
	} else if s.target("throughput") != nil {
		missing = append(missing, "a burst")
	}
	if st := s.Steady; st != nil {
		f, ok := throughput("Steady run: throughput over time, ops/s", st.Series, st.Seconds, st.Asked).Figure()
		add("throughput of the steady run over time", f, ok)
		f, ok = delays(st.Series, s.target("p99")).Figure()
		add("", f, ok)
	} else if s.target("p50") != nil {
		missing = append(missing, "a steady run")
	}
	f, ok := s.distribution().Figure()
	if s.target("p50") != nil || ok {
		add("the distribution of latencies", f, ok)
	}
	f, ok = s.memoryPlot().Figure()
	add("memory over time", f, ok)
	for _, t := range s.Timelines {
		f, ok := t.events().Figure()
		add(t.Name, f, ok)
		f, ok = t.incidents().Figure()
		add("", f, ok)
		if len(t.Lines) > 0 {
			f, ok = t.plot().Figure()
			add("", f, ok)
		}
	}
	for _, b := range s.Balances {
		f, ok := b.deviations().Figure()
		add(b.Name, f, ok)
	}
	for _, strip := range strips(s.Repeats) {
		f, ok := strip.Figure()
		add(strip.Title, f, ok)
	}
	if s.Knee != nil {
		f, ok := s.Knee.plot(s.target("p99")).Figure()
		add("where it breaks", f, ok)
	}
	if s.Scaling != nil {
		for _, p := range s.Scaling.plots() {
			f, ok := p.Figure()
			add(p.Title, f, ok)
		}
	}
	return append(figures, chartsOf(s.Charts)...), missing
}

// target is that of a check of the scenario, in its own unit; nil without one.
func (s *Scenario) target(check string) *float64 {
	for _, c := range s.Checks {
		if c.ID == s.ID+"."+check {
			return &c.Target
		}
	}
	return nil
}

// throughput draws what ended in each part of a run by its width. The last part
// ends with the run, and is drawn together with the one before: by itself it
// may be next to nothing.
func throughput(title string, series []measure.Bin, seconds, asked float64) chart.Plot {
	x, factor := timeScale(seconds)
	line := chart.Line{Name: "ended", Steps: true, Area: true}
	failed := chart.Line{Name: "failed", Steps: true}
	anyFailed := false
	n := len(series)
	end := seconds
	for i := 0; i < n; i++ {
		b := series[i]
		width := b.Width
		if n > 1 && i == n-2 && end > series[n-1].At {
			b.Ended, b.Failed = b.Ended+series[n-1].Ended, b.Failed+series[n-1].Failed
			width, i = end-b.At, n-1
		} else if n == 1 && end > 0 {
			width = end
		}
		line.Points = append(line.Points, [2]float64{b.At * factor, float64(b.Ended) / width})
		failed.Points = append(failed.Points, [2]float64{b.At * factor, float64(b.Failed) / width})
		anyFailed = anyFailed || b.Failed > 0
		end = max(end, b.At+width)
	}
	if len(line.Points) > 0 { // the last step is as long as its part
		last := line.Points[len(line.Points)-1]
		line.Points = append(line.Points, [2]float64{end * factor, last[1]})
		failed.Points = append(failed.Points, [2]float64{end * factor, failed.Points[len(failed.Points)-1][1]})
	}
	p := chart.Plot{Title: title, X: x, Y: chart.Scale{Name: "ops/s"}, Lines: []chart.Line{line}}
	if anyFailed {
		p.Lines = append(p.Lines, failed)
	}
	if asked > 0 {
		p.Rules = append(p.Rules, chart.Rule{At: asked, Name: "offered " + chart.Short(asked) + " ops/s"})
	}
	return p
}

// delays draws the latencies of a steady run over time.
func delays(series []measure.Bin, target *float64) chart.Plot {
	seconds := 0.0
	for _, b := range series {
		seconds = b.At + b.Width
	}
	x, factor := timeScale(seconds)
	p50, p99, most := chart.Line{Name: "p50"}, chart.Line{Name: "p99"}, chart.Line{Name: "max"}
	for _, b := range series {
		at := (b.At + b.Width/2) * factor
		p50.Points = append(p50.Points, [2]float64{at, float64(b.P50)})
		p99.Points = append(p99.Points, [2]float64{at, float64(b.P99)})
		most.Points = append(most.Points, [2]float64{at, float64(b.Max)})
	}
	p := chart.Plot{Title: "Steady run: latency over time", X: x,
		Y: chart.Scale{Name: "latency", Log: true, Text: duration}, Lines: []chart.Line{p50, p99, most}}
	if target != nil {
		p.Rules = append(p.Rules, chart.Rule{At: *target * 1e6, Name: "target of p99 " + duration(*target*1e6)})
	}
	return p
}

// distribution draws the percentiles of both loads, with the targets of the
// steady one.
func (s *Scenario) distribution() chart.Plot {
	p := chart.Plot{Title: "Distribution of latencies", Y: chart.Scale{Name: "latency", Log: true, Text: duration}}
	n := 0
	add := func(name string, l *measure.Latency) {
		if l == nil || len(l.Curve) == 0 {
			return
		}
		line := chart.Line{Name: name}
		for _, q := range l.Curve {
			// Half a sample stands for none: there is no place for one in
			// infinitely many.
			line.Points = append(line.Points, [2]float64{float64(l.N) / max(float64(q.Above), 0.5), float64(q.NS)})
		}
		p.Lines = append(p.Lines, line)
		n = max(n, l.N)
	}
	if s.Steady != nil {
		add("steady", &s.Steady.Latency)
	}
	if s.Burst != nil {
		add("burst", s.Burst.Latency)
	}
	p.X = chart.Scale{
		Name: "percentile", Log: true, Text: percentile(n), Ticks: []float64{1, 2}, From: 1, To: 2 * float64(n),
	}
	for x := 10.0; x <= float64(n); x *= 10 {
		p.X.Ticks = append(p.X.Ticks, x)
	}
	p.X.Ticks = append(p.X.Ticks, p.X.To)
	if s.Steady != nil {
		for _, g := range []struct {
			name string
			x    float64
		}{{"p50", 2}, {"p95", 20}, {"p99", 100}} {
			if target := s.target(g.name); target != nil {
				p.Goals = append(p.Goals, chart.Goal{X: g.x, Y: *target * 1e6,
					Name: fmt.Sprintf("steady %s below %s", g.name, duration(*target*1e6))})
			}
		}
	}
	if s.Burst != nil && s.Burst.Latency != nil && s.Burst.Little > 0 {
		p.Note = fmt.Sprintf("The targets are for the steady run. In the burst N / X is %s, and by Little's law the median "+
			"wait is about half of that, whatever the subject.",
			duration(s.Burst.Little))
	}
	return p
}

// percentile writes one in x as the part that is below, of n samples.
func percentile(n int) func(float64) string {
	return func(x float64) string {
		if x >= 2*float64(n) {
			return "max"
		}
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.5f", 100*(1-1/x)), "0"), ".") + " %"
	}
}

// memoryPlot draws what the process held while the scenario ran, by phases.
func (s *Scenario) memoryPlot() chart.Plot {
	p := chart.Plot{Title: "Memory of the process over the scenario"}
	if s.Memory == nil {
		return p
	}
	series := s.Memory.Series
	seconds := 0.0
	for _, m := range series {
		seconds = m.At
	}
	x, factor := timeScale(seconds)
	p.X, p.Y = x, chart.Scale{Name: "MB"}
	inMB := func(b int64) float64 { return float64(b) / 1e6 }
	rss, heap, stacks := chart.Line{Name: "resident"}, chart.Line{Name: "heap"}, chart.Line{Name: "stacks"}
	for _, m := range series {
		if m.RSS != nil {
			rss.Points = append(rss.Points, [2]float64{m.At * factor, inMB(*m.RSS)})
		}
		heap.Points = append(heap.Points, [2]float64{m.At * factor, inMB(m.Heap)})
		stacks.Points = append(stacks.Points, [2]float64{m.At * factor, inMB(m.Stacks)})
	}
	for _, line := range []chart.Line{rss, heap, stacks} {
		if len(line.Points) > 0 {
			p.Lines = append(p.Lines, line)
		}
	}
	for _, phase := range s.Phases {
		if phase.At < seconds {
			p.Bands = append(p.Bands, chart.Band{From: phase.At * factor, To: min(phase.At+phase.Seconds, seconds) * factor,
				Name: phase.Name})
		}
	}
	return p
}

func (t Timeline) events() chart.Events {
	x, factor := timeScale(t.seconds())
	e := chart.Events{Title: t.Name, X: x}
	for _, one := range t.Events {
		e.Events = append(e.Events, chart.Event{At: one.At * factor, Kind: string(one.Kind), Target: one.Target,
			What: one.What})
	}
	return e
}

// incidents draws how long after each fault it was detected and over.
func (t Timeline) incidents() chart.Incidents {
	n := chart.Incidents{
		Title: t.Name + ": time after each fault", X: chart.Scale{Name: "after the fault", Text: duration},
	}
	for _, one := range t.Events {
		n.Events = append(n.Events, chart.Event{At: one.At * 1e9, Kind: string(one.Kind), Target: one.Target, What: one.What})
	}
	return n
}

func (t Timeline) plot() chart.Plot {
	x, factor := timeScale(t.seconds())
	p := chart.Plot{Title: t.Name + ", " + t.Unit, X: x, Y: scaleOf(Axis{Name: t.Unit, Unit: t.Unit})}
	for _, line := range t.Lines {
		drawn := chart.Line{Name: line.Name}
		for _, point := range line.Points {
			drawn.Points = append(drawn.Points, [2]float64{point[0] * factor, point[1]})
		}
		p.Lines = append(p.Lines, drawn)
	}
	for _, one := range t.Events {
		if one.Kind == Fault || one.Kind == Recovered {
			p.Posts = append(p.Posts, chart.Post{At: one.At * factor, Name: string(one.Kind)})
		}
	}
	return p
}

func (t Timeline) seconds() float64 {
	last := 0.0
	for _, e := range t.Events {
		last = max(last, e.At)
	}
	for _, line := range t.Lines {
		for _, point := range line.Points {
			last = max(last, point[0])
		}
	}
	return last
}

func (b Balance) deviations() chart.Deviations {
	d := chart.Deviations{Title: b.Name, Unit: b.Unit, Allowed: b.Allowed, Text: validate.Number}
	for _, n := range b.Nodes {
		d.Parts = append(d.Parts, chart.Part{Name: n.Node, Got: n.Got, Fair: n.Fair})
	}
	return d
}

// strips puts repeats of the same unit on one axis.
func strips(repeats []Repeats) []chart.Strip {
	var all []chart.Strip
	for _, r := range repeats {
		at := -1
		for i, s := range all {
			if s.X.Name == r.Unit {
				at = i
			}
		}
		if at < 0 {
			at = len(all)
			scale := scaleOf(Axis{Name: r.Unit, Unit: r.Unit})
			scale.Name = r.Unit
			all = append(all, chart.Strip{Title: "Repeated measurements, " + r.Unit, X: scale})
		}
		all[at].Series = append(all[at].Series, chart.Series{Name: r.Name, Values: r.Values, Target: r.Target})
	}
	for i := range all {
		all[i].X.Log = farApart(all[i].Series)
	}
	return all
}

// farApart tells whether values, all above 0, lie so far apart that some would
// be one point on an even axis.
func farApart(series []chart.Series) bool {
	const far = 30
	least, most := math.Inf(1), 0.0
	for _, s := range series {
		for _, v := range s.Values {
			least, most = min(least, v), max(most, v)
		}
	}
	return least > 0 && most > far*least
}

// chartsOf draws the charts that can be drawn.
func chartsOf(charts []Chart) []chart.Figure {
	var figures []chart.Figure
	for _, c := range charts {
		p := chart.Plot{Title: c.Name, Note: c.Note, X: scaleOf(c.X), Y: scaleOf(c.Y)}
		for _, line := range c.Lines {
			drawn := chart.Line{Name: line.Name, Dots: len(line.Points) <= 30}
			for _, point := range line.Points {
				drawn.Points = append(drawn.Points, point)
			}
			p.Lines = append(p.Lines, drawn)
		}
		if c.Target != nil {
			p.Rules = append(p.Rules, chart.Rule{At: *c.Target, Name: "target " + p.Y.Text(*c.Target)})
		}
		for _, m := range c.Marks {
			p.Posts = append(p.Posts, chart.Post{At: m.At, Name: m.Name})
		}
		if f, ok := p.Figure(); ok {
			figures = append(figures, f)
		}
	}
	return figures
}

func scaleOf(a Axis) chart.Scale {
	s := chart.Scale{Name: a.Name, Log: a.Log, Text: chart.Short}
	switch a.Unit {
	case "ns":
		s.Text = duration
	case "bytes":
		s.Text = func(b float64) string { return chart.Short(b) + "B" }
	case "", a.Name:
	default:
		s.Name += ", " + a.Unit
	}
	return s
}

// timeScale is the axis for a stretch of so many seconds, and what seconds are
// multiplied with to be drawn on it.
func timeScale(seconds float64) (s chart.Scale, factor float64) {
	switch {
	case seconds < 2e-3:
		return chart.Scale{Name: "µs", Text: chart.Plain}, 1e6
	case seconds < 2:
		return chart.Scale{Name: "ms", Text: chart.Plain}, 1e3
	case seconds < 600:
		return chart.Scale{Name: "s", Text: chart.Plain}, 1
	}
	return chart.Scale{Name: "min", Text: chart.Plain}, 1.0 / 60
}
