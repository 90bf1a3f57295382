package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

func pointer[T any](x T) *T { return &x }

// sampleRun is a run with everything a page can show: it is made up, and the same
// every time.
func sampleRun() *Run {
	random := rand.New(rand.NewPCG(1, 2))
	r := &Run{Schema: Schema, State: Failed, Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Seconds: 63.2,
		Command: []string{"stress.test", "-test.run=Stress"},
		Notes:   []string{"Scale cut from 200000 to 100000: not enough memory."},
		Environment: measure.Environment{GoVersion: "go1.26", OS: "linux", Arch: "amd64", Kernel: "6.1", CPU: "a processor",
			Cores: 2, GOMAXPROCS: 2, GOGC: "100", GOMEMLIMIT: math.MaxInt64, MemoryTotal: pointer(int64(24e9)),
			LoadAverage: "0.1 0.2 0.3", Commit: "0123456789ab", Scale: 100_000, Seed: 42},
	}
	for i, s := range validate.Scenarios {
		one := &Scenario{
			Number: i + 1, ID: s.ID, Title: s.Title, State: NotRun, Checks: validate.NewChecklist(validate.Of(s.ID)).Checks(),
		}
		r.Scenarios = append(r.Scenarios, one)
		switch s.ID {
		case validate.Pooling:
			sampleLoad(one, random, Passed)
			sampleLimits(one)
		case validate.Routing:
			sampleLoad(one, random, Failed)
			one.Ledger.Lost, one.Ledger.Examples = 3, []string{"message 7 of sender 0 to 12 never arrived"}
			one.Failures = []string{`routing.lost: messages lost must be exactly 0, measured was 3 <script>alert("x")</script>
evidence: out/evidence/routing.goroutines.txt, out/evidence/routing.heap.pprof`}
			one.Notes = []string{"Messages cut from 1,000,000 to 500,000 & so on."}
			one.Share = pointer(0.61)
		case validate.Chaos:
			sampleChaos(one, random)
		case validate.Memory:
			sampleConnections(one, random)
		case validate.Balancing:
			sampleBalance(one, random)
		}
	}
	r.Charts = []Chart{{Name: "Where it breaks: p99 by offered rate", X: Axis{Name: "offered", Unit: "ops/s", Log: true},
		Y: Axis{Name: "p99", Unit: "ns", Log: true}, Target: pointer(1e8), Marks: []Mark{{4e5, "knee"}},
		Lines: []Line{{Name: "pooling", Points: []Point{{5e4, 2e5}, {1e5, 2.4e5}, {2e5, 5e5}, {4e5, 3e6}, {8e5, 4e8}}}},
		Note:  "Each point is a steady run of its own."}}
	broken := []string{}
	var all []validate.Check
	for _, s := range r.Scenarios {
		all = append(all, s.Checks...)
		if s.State == Failed {
			broken = append(broken, s.ID)
		}
	}
	r.Checks = validate.NewChecklist(validate.Of(validate.WholeRun)).Checks()
	r.Acceptance = validate.Acceptances(append(all, r.Checks...), broken)
	r.total()
	before := sampleBaseline(r)
	before.figures.index["pooling.burst.throughput"].values = []float64{140_000, 138_000, 142_000}
	before.figures.index["pooling.steady.p99"].values = []float64{4e6}
	r.Comparison = Compare(before, r, pointer(10.0))
	return r
}

// sampleBaseline is a run as a baseline.
func sampleBaseline(r *Run) *Baseline {
	b := &Baseline{
		source: "last/results.json", runs: 1, scale: r.Environment.Scale, figures: newSamples(), environment: comparable(r),
	}
	b.figures.addRun(r, func(s *Scenario) bool { return s.State == Passed })
	return b
}

func sampleLoad(s *Scenario, random *rand.Rand, state State) {
	list := validate.NewChecklist(validate.Of(s.ID))
	where := validate.Conditions{Scale: 100_000, Share: 1}
	samples := make([]int64, 100_000)
	for i := range samples {
		samples[i] = int64(3e5 * math.Exp(random.NormFloat64()*0.9))
	}
	steady := measure.Summarize(samples, 0)
	for i := range samples {
		samples[i] = int64(i) * 10_000
	}
	burst := measure.Summarize(samples, 0)
	s.State, s.N, s.Seconds, s.Operations = state, 100_000, 12.3, 210_000
	s.Subject = "*pool.Pool"
	s.Burst = &Burst{N: 100_000, Peak: 100_000, Seconds: 1, Throughput: 100_000, Latency: &burst, Little: 1e9}
	s.Steady = &Steady{Arrivals: "constant", Asked: 60_000, Offered: 59_900, N: 100_000, Peak: 77, Seconds: 1.67,
		Latency: steady, LateP50: 900, LateP99: 55_000, LateMax: 210_000}
	for i := range 50 {
		s.Burst.Series = append(s.Burst.Series, measure.Bin{At: float64(i) / 50, Width: 0.02, Ended: 1800 + random.IntN(400)})
	}
	for i := range 84 {
		s.Steady.Series = append(s.Steady.Series, measure.Bin{At: float64(i) / 50, Width: 0.02,
			Ended: 1150 + random.IntN(100), P50: 3e5 + random.Int64N(5e4), P99: 2e6 + random.Int64N(1e6),
			Max: 5e6 + random.Int64N(9e6)})
	}
	s.Steady.Series[40].Ended, s.Steady.Series[40].P50, s.Steady.Series[40].P99, s.Steady.Series[40].Max = 0, 0, 0, 0
	s.Ledger = &measure.Account{Sent: 1_000_000, Delivered: 1_000_000}
	s.Leaks = &measure.Leaks{}
	s.Memory = &measure.MemoryUse{Samples: 600, GCCycles: 12, GCPause: 8e-5}
	for i := range 150 {
		m := measure.Memory{
			Heap: int64(3e7 + 1e6*float64(i%17)), Stacks: int64(2e7 * math.Sin(float64(i)/50)),
			RSS: pointer(int64(9e7 + 1e5*float64(i))),
		}
		m.Stacks = max(m.Stacks, 1e6)
		s.Memory.Series = append(s.Memory.Series, measure.MemoryAt{At: float64(i) * 0.08, Memory: m})
		s.Memory.Peak = m
	}
	s.Memory.Subject = &measure.Subject{Peak: 7e7, Split: &measure.Split{At: 3, RSS: s.Memory.Peak.RSS,
		Subject: measure.Part{Heap: 6e7, HeapOf: "yours.(*Pool).Acquire (pool.go:12)", Stacks: 1e7, Goroutines: 5000}}}
	at := 0.0
	for _, name := range []string{"small contention", "burst", "steady", "faults", "audit"} {
		s.Phases = append(s.Phases, Phase{Name: name, State: Passed, At: at, Seconds: 2.4})
		at += 2.4
	}
	list.Measure(s.ID+".in_flight", 100_000, where)
	list.Measure(s.ID+".throughput", 100_000, where)
	list.Measure(s.ID+".throughput_reach", 100_000, where)
	for p, ns := range map[string]int64{"p50": steady.P50, "p95": steady.P95, "p99": steady.P99} {
		list.Measure(s.ID+"."+p, float64(ns)/1e6, where)
	}
	if state == Failed {
		list.Measure(s.ID+".lost", 3, where)
	}
	s.Checks = list.Checks()
	s.Replay = fmt.Sprintf("STRESS_SEED=42 STRESS_SCALE=100000 go test -count=1 -run '^TestStress%s$' .", benchName(s.ID))
}

func sampleConnections(s *Scenario, random *rand.Rand) {
	s.State, s.N, s.Seconds, s.Operations, s.Subject = Passed, 100_000, 31.5, 300_000, "*conn.Server"
	for _, name := range []string{"in memory", "in memory, without a goroutine", "TCP"} {
		c := Connections{ID: "x", Name: name, N: 100_000, Servers: 1, Goroutines: 1, Heap: 900, Stacks: 2048,
			RSS: pointer(3300.0), Hold: &Hold{Seconds: 10, Operations: 100_000, Rate: 10_000}, HeapBase: 2e6, HeapAfter: 2.1e6}
		for i := range 60 {
			c.Hold.Series = append(c.Hold.Series, Reading{At: float64(i) / 6, Memory: 3e8 + float64(random.IntN(40_000)),
				Goroutines: 1e5, Descriptors: 12})
		}
		s.Connections = append(s.Connections, c)
	}
	s.Charts = HoldChart(s.Connections)
}

func sampleLimits(s *Scenario) {
	s.Knee = &Knee{Throughput: 1e5, Rate: 8e4, Missed: "p99 was 240 ms"}
	for i, rate := range []float64{2e4, 4e4, 8e4, 1.6e5} {
		l := measure.Summarize([]int64{1e5, 1e6 * int64(i+1), 3e6 * int64(i+1) * int64(i+1) * int64(i+1) * int64(i+1)}, 0)
		s.Knee.Steps = append(s.Knee.Steps, KneeStep{Asked: rate, Offered: rate - 1, Latency: l})
	}
	s.Scaling = &Scaling{Cut: "N = 1,000,000: it does not fit into the memory available", TimeExponent: pointer(1.02),
		USL: &measure.USL{Lambda: 4e4, Sigma: 0.05, Kappa: 0.001}}
	for _, n := range []int{1000, 10_000, 100_000} {
		s.Scaling.Steps = append(s.Scaling.Steps, ScalingStep{n, 1e5 + float64(n), int64(n) * 800})
	}
	for _, p := range []int{1, 2, 4} {
		s.Scaling.Processors = append(s.Scaling.Processors, ProcessorStep{p, 3.9e4 * float64(p)})
	}
}

func sampleChaos(s *Scenario, random *rand.Rand) {
	s.State, s.N, s.Seconds, s.Operations, s.Subject = Passed, 1000, 5.5, 30_000, "*chaos.Workers"
	serving := Line{Name: "workers that serve"}
	for i := range 100 {
		n := 1000.0
		if i >= 30 && i < 42 {
			n = 900 + float64(i-30)*8
		}
		serving.Points = append(serving.Points, Point{float64(i) * 0.01, n})
	}
	s.Timelines = []Timeline{{Name: "A tenth of the workers killed", Unit: "workers",
		Lines: []Line{serving}, Events: []Event{
			{0.3, Fault, "100 of 1,000 workers", "killed at once"}, {0.3012, Detected, "100 of 1,000 workers", "supervisor"},
			{0.35, Remark, "", "p99 of those not hit 1.2 times the steady one"},
			{0.42, Recovered, "100 of 1,000 workers", "all serve again"},
		}}, {Name: "Faults on the cluster", Events: []Event{
		{0.5, Fault, "node-3", "SIGSTOP"}, {0.93, Detected, "node-3", "declared dead by all survivors"},
		{2, Undone, "node-3", "SIGCONT"}, {2.4, Recovered, "node-3", "taken back"},
		{3.1, Fault, "node-1", "partition from node-0, node-2 and node-3"},
		{3.5, Undone, "node-1", "healed"}, {3.52, Recovered, "node-1", "reads and writes go on"},
	}}}
	s.Timelines = append(s.Timelines, Timeline{Name: "Faults close together at the end", Unit: "workers",
		Lines: []Line{{Name: "workers that serve", Points: []Point{{0, 10}, {0.33, 9}, {0.34, 10}}}},
		Events: []Event{{0.33, Fault, "", "one"}, {0.335, Fault, "", "two"}, {0.338, Recovered, "", "one"},
			{0.34, Recovered, "", "all"}}})
	many := Timeline{Name: "Kills", Events: []Event{{0, Recovered, "", "formed"}}}
	for i := range 12 {
		at, node := float64(i)+1, fmt.Sprintf("node-%d", i%4)
		many.Events = append(many.Events, Event{at, Fault, node, "SIGKILL"},
			Event{at + 0.002 + 0.001*random.Float64(), Detected, node, "known dead to all"},
			Event{at + 0.05, Undone, node, "restarted"},
			Event{at + 0.1 + 0.3*random.Float64(), Recovered, node, "a member again"})
	}
	s.Timelines = append(s.Timelines, many)
	s.Repeats = []Repeats{
		{
			Name: "killed node known dead to all", Unit: "ms", Values: []float64{4.1, 5.5, 3.9, 7.2, 4.4},
			Target: pointer(100.0),
		},
		{Name: "workers serving again", Unit: "ms", Values: []float64{88, 91, 120, 97, 89}, Target: pointer(103.0)},
	}
	s.Phases = []Phase{{Name: "kills", State: Passed, At: 0, Seconds: 5}}
}

func sampleBalance(s *Scenario, random *rand.Rand) {
	s.State, s.N, s.Seconds, s.Operations, s.Subject = Passed, 100_000, 1.5, 100_000, "*balance.Set"
	for _, name := range []string{"round robin", "rendezvous hashing", "rendezvous hashing, a node failed"} {
		b := Balance{Name: name, Unit: "connections", Allowed: pointer(2000.0)}
		for i := range 4 {
			n := NodeShare{Node: fmt.Sprintf("node-%d", i), Got: 25_000, Fair: 25_000}
			switch name {
			case "rendezvous hashing":
				n.Got += float64(random.IntN(400) - 200)
			case "rendezvous hashing, a node failed":
				n.Fair = 100_000 / 3.0
				n.Got = n.Fair + float64(random.IntN(5000)-1500)
				if i == 3 {
					n.Got, n.Fair = 0, 0
				}
			}
			b.Nodes = append(b.Nodes, n)
		}
		s.Balances = append(s.Balances, b)
	}
}
