package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"

	"tensile/stress/measure"
)

// side is a test binary, and the folder in which it runs.
type side struct{ binary, folder string }

// buildBoth builds the tests of a package as it was at the base, and as it is.
func buildBoth(ctx context.Context, root, earlier, place, pkg string) (both [2]side, err error) {
	for i, from := range []string{earlier, root} {
		name := filepath.Join(place, fmt.Sprintf("%d.test", i))
		if _, err := output(ctx, from, "go", "test", "-c", "-o", name, pkg); err != nil {
			return both, err
		}
		both[i] = side{name, filepath.Join(from, pkg)}
	}
	return both, nil
}

// samples are the figures of a run, by the name of the benchmark and the unit.
type samples map[[2]string]float64

func (s side) run(ctx context.Context, bench string, span time.Duration) (samples, error) {
	cmd := exec.CommandContext(ctx, s.binary, "-test.run=^$", "-test.bench="+bench, "-test.benchtime="+span.String())
	cmd.Dir = s.folder
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, text, complaint.Bytes())
	}
	return parse(bytes.NewReader(text)), nil
}

// parse reads what a benchmark prints, with times in seconds.
func parse(r io.Reader) samples {
	found := make(samples)
	for lines := benchfmt.NewReader(r, "benchmarks"); lines.Scan(); {
		if result, ok := lines.Result().(*benchfmt.Result); ok {
			for _, v := range result.Values {
				found[[2]string{string(result.Name), v.Unit}] = v.Value
			}
		}
	}
	return found
}

// figure is a figure of a benchmark on both sides.
type figure struct {
	name, unit string
	measure.Paired
	missing string // the side that lacks it
}

// worst is the ratio below which a figure has become worse.
const worst = 0.95

// worse tells whether a figure has become worse beyond doubt.
func (f figure) worse() bool { return f.missing == "" && f.Ratio.Median < worst && f.Ratio.High < 1 }

// compare has both sides take turns.
func compare(ctx context.Context, sides [2]side, bench string, rounds int, span time.Duration) ([]figure, error) {
	var runs [2][]samples
	for round := range rounds {
		order := []int{0, 1}
		if round%2 == 1 {
			slices.Reverse(order) // who comes second finds a warmer machine
		}
		for _, i := range order {
			s, err := sides[i].run(ctx, bench, span)
			if err != nil {
				return nil, err
			}
			runs[i] = append(runs[i], s)
		}
	}
	return figures(runs[0], runs[1]), nil
}

// figures pairs the samples of the base with those of the tree.
func figures(base, tree []samples) (all []figure) {
	names := make(map[[2]string]bool)
	for _, s := range slices.Concat(base[:1], tree[:1]) {
		for name := range s {
			names[name] = names[name] || judged(name[1])
		}
	}
	for name, wanted := range names {
		if !wanted {
			continue
		}
		f := figure{name: name[0], unit: name[1]}
		var pairs []measure.Pair
		for i := range base {
			before, then := base[i][name]
			now, still := tree[i][name]
			switch {
			case !then || before <= 0:
				f.missing = "the base"
			case !still || now <= 0:
				f.missing = "the tree"
			case isRate(f.unit):
				pairs = append(pairs, measure.Pair{Subject: now, Control: before})
			default: // the ratio says how many times better the tree is
				pairs = append(pairs, measure.Pair{Subject: 1 / now, Control: 1 / before})
			}
		}
		if f.missing == "" {
			f.Paired = measure.ComparePairs(pairs)
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b figure) int { return strings.Compare(a.name+a.unit, b.name+b.unit) })
	return all
}

// judged tells whether a figure in such a unit says how fast something is.
func judged(unit string) bool { return unit == "sec/op" || isRate(unit) }

func isRate(unit string) bool { return strings.HasSuffix(unit, "/s") }

// table writes all figures, and returns how many have become worse.
func table(out io.Writer, all []figure) (worse int) {
	fmt.Fprintln(out, "| benchmark | unit | tree is | |")
	fmt.Fprintln(out, "| --- | --- | ---: | --- |")
	for _, f := range all {
		verdict := ""
		switch {
		case f.missing != "":
			fmt.Fprintf(out, "| %s | %s | | not compared: %s lacks it |\n", f.name, f.unit, f.missing)
			continue
		case f.worse():
			verdict = "**slower**"
			worse++
		}
		r := f.Ratio
		fmt.Fprintf(out, "| %s | %s | %.2f× [%.2f, %.2f] | %s |\n", f.name, f.unit, r.Median, r.Low, r.High, verdict)
	}
	return worse
}
