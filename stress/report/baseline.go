package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrBaseline is wrapped by the errors for a baseline that cannot be compared
// with.
var ErrBaseline = errors.New("report: no baseline to compare with")

// Baseline is what earlier runs measured.
type Baseline struct {
	source  string
	runs    int
	scale   int // 0 if it is not known
	figures *samples
	// What the figures depend on beside the subject, of the first run.
	environment [][2]string
}

// LoadBaseline reads the results.json of a run, or its bench.txt, or a folder
// with a results.json in it or in its subfolders. Several runs are several
// samples of each figure. Only scenarios that passed count. The error wraps
// ErrBaseline and says which file is wrong and why.
func LoadBaseline(path string) (*Baseline, error) {
	b := &Baseline{source: path, figures: newSamples()}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBaseline, err)
	}
	paths := []string{path}
	if info.IsDir() {
		if paths, err = resultsUnder(path); err != nil {
			return nil, err
		}
	}
	for _, p := range paths {
		if err := b.read(p); err != nil {
			return nil, err
		}
	}
	if len(b.figures.all) == 0 {
		return nil, fmt.Errorf("%w: no scenario has passed in %s", ErrBaseline, path)
	}
	return b, nil
}

func resultsUnder(dir string) ([]string, error) {
	here := filepath.Join(dir, resultName)
	if _, err := os.Stat(here); err == nil {
		return []string{here}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBaseline, err)
	}
	var paths []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name(), resultName)
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: %s has no %s, and neither has a folder in it", ErrBaseline, dir, resultName)
	}
	return paths, nil
}

func (b *Baseline) read(path string) error {
	text, err := readFile(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBaseline, err)
	}
	if err := b.add(text); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBaseline, path, err)
	}
	return nil
}

// add adds a results.json or a bench.txt.
func (b *Baseline) add(text []byte) error {
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '{' {
		return b.addBench(text)
	}
	r, err := parse(text)
	if err != nil {
		return err
	}
	if err := b.sameScale(r.Environment.Scale); err != nil {
		return err
	}
	b.figures.addRun(r, func(s *Scenario) bool { return s.State == Passed || s.State == Partial })
	if b.runs == 0 {
		b.environment = comparable(r)
	}
	b.runs++
	return nil
}

func (b *Baseline) sameScale(scale int) error {
	if b.scale != 0 && scale != b.scale {
		return fmt.Errorf("it has N = %d, the one before N = %d", scale, b.scale)
	}
	b.scale = scale
	return nil
}

// Fits tells why a run at that scale cannot be compared with the baseline: a
// burst of another size waits another time.
func (b *Baseline) Fits(scale int) error {
	if b.scale != 0 && b.scale != scale {
		return fmt.Errorf("%w: %s was measured at N = %d, and this run is at N = %d", ErrBaseline, b.source, b.scale, scale)
	}
	return nil
}

// comparable is that part of the environment on which figures depend.
func comparable(r *Run) [][2]string {
	e := r.Environment
	return [][2]string{
		{"Go", e.GoVersion}, {"system", e.OS + "/" + e.Arch}, {"processor", e.CPU},
		{"GOMAXPROCS", strconv.Itoa(e.GOMAXPROCS)}, {"race detector", strconv.FormatBool(e.Race)},
	}
}

// addBench adds results in Go's benchmark format as writeBench writes them; see
// golang.org/design/14313-benchmark-format. Other lines and other benchmarks
// are passed over.
func (b *Baseline) addBench(text []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	found := false
	for lines.Scan() {
		line := lines.Text()
		if value, ok := strings.CutPrefix(line, "scale:"); ok {
			scale, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil || scale < 1 {
				return fmt.Errorf("its scale is %q", value)
			}
			if err := b.sameScale(scale); err != nil {
				return err
			}
			continue
		}
		fields := strings.Fields(line)
		scenario, phase, ok := parseBenchName(fields)
		if !ok {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
				return fmt.Errorf("%q is no number in %q", fields[i], line)
			}
			if m, ok := benchMetrics[phase+" "+fields[i+1]]; ok {
				found = true
				b.figures.add(sample{scenario: scenario, name: m.name, unit: m.unit, better: m.better, judged: m.judged}, value,
					false)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !found {
		return errors.New("it is neither a results.json nor a bench.txt of such a run")
	}
	b.runs++
	return nil
}

// parseBenchName takes "BenchmarkPooling/phase=burst-2" apart.
func parseBenchName(fields []string) (scenario, phase string, ok bool) {
	if len(fields) < 4 {
		return "", "", false
	}
	name, ok := strings.CutPrefix(fields[0], "Benchmark")
	if !ok || name == "" {
		return "", "", false
	}
	if at := strings.LastIndexByte(name, '-'); at >= 0 {
		name = name[:at] // GOMAXPROCS
	}
	scenario, phase, ok = strings.Cut(name, "/phase=")
	if !ok || scenario == "" {
		return "", "", false
	}
	return strings.ToLower(scenario[:1]) + scenario[1:], phase, true
}
