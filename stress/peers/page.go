package main

import (
	_ "embed" // of go.mod
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"tensile/stress/measure"
)

// figure writes a number with three digits that count.
func figure(x float64) string {
	switch size := math.Abs(x); {
	case size >= 1e6:
		return strconv.FormatFloat(x/1e6, 'f', 2, 64) + " M"
	case size >= 1000:
		s := strconv.FormatFloat(x, 'f', 0, 64)
		return s[:len(s)-3] + "," + s[len(s)-3:]
	case size >= 100 || x == math.Trunc(x):
		return strconv.FormatFloat(x, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// writePage writes the tables, and what they must be read together with.
func writePage(w io.Writer, results []result, rounds int, seed uint64) {
	e := measure.Fingerprint()
	fmt.Fprintf(w, "# Side by side\n\nMade by `make peers`; only the explanations under tables are written by hand.\n\n")
	fmt.Fprintf(w, `All implementations do the same work in the same process and run. Each gives %d samples.
They run in rounds: in each round, all take one turn, in a new random order (seed %d).
The set-up of a sample is not counted. If a sample does not do all of its work, the run fails. The ratio says how many
times better ours is. It is the median over the rounds, with its %.0f %% confidence interval (order statistics, which
assume no distribution). If the interval contains 1, neither is better. A *bound* is not a peer: it leaves out part of
the work, to show the best possible figure.

`, rounds, seed, 100*confidence)
	fmt.Fprintf(w, "| environment | |\n| --- | --- |\n")
	for _, row := range [][2]string{
		{"processor", e.CPU}, {"cores", strconv.Itoa(e.Cores)}, {"GOMAXPROCS", strconv.Itoa(e.GOMAXPROCS)},
		{"Go", e.GoVersion}, {"system", e.OS + " " + e.Kernel + " " + e.Arch}, {"GOGC", e.GOGC},
	} {
		fmt.Fprintf(w, "| %s | %s |\n", row[0], row[1])
	}
	writeSummary(w, results)
	scenario := ""
	for _, r := range results {
		if r.scenario != scenario {
			scenario = r.scenario
			fmt.Fprintf(w, "\n## %s\n", strings.ToUpper(scenario[:1])+scenario[1:])
		}
		r.write(w)
	}
	writeVersions(w)
}

// writeSummary says first where a peer is ahead.
func writeSummary(w io.Writer, results []result) {
	count := make(map[string]int)
	var ahead []string
	for _, r := range results {
		for i, c := range r.contestants[1:] {
			if c.bound {
				continue
			}
			x := r.against(i + 1)
			count[x.verdict()]++
			if x.verdict() == "theirs" {
				ahead = append(ahead, fmt.Sprintf("- %s, %s: **%s** is ahead; ours reaches %s of it.",
					r.scenario, r.work, c.name, x))
			}
		}
	}
	fmt.Fprintf(w, "\nOf %d pairs ours is ahead in %d, a peer in %d, and neither in %d.\n",
		count["ours"]+count["theirs"]+count["neither"], count["ours"], count["theirs"], count["neither"])
	if len(ahead) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(ahead, "\n"))
	}
}

func (r result) write(w io.Writer) {
	better := "more"
	if r.lower {
		better = "less"
	}
	fmt.Fprintf(w, "\n### %s\n\n%s operations a sample; %s, %s is better.\n", r.work, figure(float64(r.n)), r.unit, better)
	if r.share < 0.9 {
		fmt.Fprintf(w, "Other processes held part of the machine: %.0f %% of the processors were left.\n", 100*r.share)
	}
	fmt.Fprintf(w,
		"\n| | %s, median | least to most | ours is | ahead | lacks |\n| --- | ---: | ---: | ---: | --- | --- |\n", r.unit)
	for i, c := range r.contestants {
		name, ratio, ahead := c.name, "", ""
		if i > 0 {
			x := r.against(i)
			ratio, ahead = x.String(), x.verdict()
			if ahead == "theirs" {
				ahead = "**theirs**"
			}
		}
		if c.bound {
			name, ahead = "*bound:* "+name, ""
		}
		if c.fewer > 0 {
			name += fmt.Sprintf(" (%s operations)", figure(float64(c.operations(r.n))))
		}
		fmt.Fprintf(w, "| %s | %s | %s to %s | %s | %s | %s |\n", name, figure(median(r.samples[i])),
			figure(slices.Min(r.samples[i])), figure(slices.Max(r.samples[i])), ratio, ahead, c.lacks)
	}
	if r.why != "" {
		fmt.Fprintf(w, "\n%s\n", r.why)
	}
}

// writeVersions lists the modules that were compared, as they were built in.
func writeVersions(w io.Writer) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	fmt.Fprintf(w, "\n## Versions\n\n| module | version |\n| --- | --- |\n")
	for _, m := range info.Deps {
		if m.Replace == nil && isPeer(m.Path) {
			fmt.Fprintf(w, "| %s | %s |\n", m.Path, m.Version)
		}
	}
}

//go:embed go.mod
var required string

// isPeer tells whether go.mod requires a module for its own sake.
func isPeer(path string) bool {
	for line := range strings.Lines(required) {
		fields := strings.Fields(strings.TrimPrefix(line, "require"))
		if len(fields) == 2 && fields[0] == path {
			return true
		}
	}
	return false
}

// writeSamples writes every sample as a Go benchmark result, so that benchstat
// can compare two runs. See golang.org/design/14313-benchmark-format.
func writeSamples(w io.Writer, results []result) {
	e := measure.Fingerprint()
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: tensile/stress/peers\ncpu: %s\n", e.OS, e.Arch, e.CPU)
	told := make(map[string]bool)
	for _, r := range results {
		if unit := benchUnit(r.unit); !r.lower && !told[unit] {
			told[unit] = true
			fmt.Fprintf(w, "Unit %s better=higher\n", unit)
		}
	}
	word := strings.NewReplacer(" ", "_", "/", "-").Replace
	for _, r := range results {
		for i, c := range r.contestants {
			for _, x := range r.samples[i] {
				fmt.Fprintf(w, "Benchmark%s/%s/%s-%d\t%d\t%s %s\n", strings.ToUpper(r.scenario[:1])+r.scenario[1:], word(r.work),
					word(c.name), e.GOMAXPROCS, c.operations(r.n), strconv.FormatFloat(x, 'g', -1, 64), benchUnit(r.unit))
			}
		}
	}
}

// benchUnit is a unit without the spaces that end it in that format.
func benchUnit(unit string) string { return strings.ReplaceAll(unit, " ", "-") }
