package settings

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tensile/stress/internal/schedule"
	"tensile/stress/load"
	"tensile/stress/validate"
)

const (
	longestHold            = 24 * time.Hour
	shortestBurn           = 100 * time.Millisecond
	fewestNodes, mostNodes = 3, 16
)

// variables are those of a run.
func variables(b Build) []Variable[Settings] {
	return []Variable[Settings]{
		{"STRESS_SCALE", func(s *Settings, value string) string { return scale(s, value, b) }},
		variable("STRESS_SEED", schedule.SeedMust, func(s *Settings, seed uint64) { s.Seed = seed }, schedule.Seed),
		file("STRESS_OUT", b, func(s *Settings, path string) { s.Out = path }),
		file("STRESS_BASELINE", b, func(s *Settings, path string) { s.Baseline = path }),
		positive("STRESS_REGRESSION", regressionMust, "%", func(s *Settings, x float64) { s.Regression = &x }),
		positive("STRESS_RATE", "a number of operations a second above 0", "",
			func(s *Settings, x float64) { s.Rate = x }),
		OneOf("STRESS_ARRIVALS", "constant or poisson",
			map[string]load.Arrivals{"constant": load.Constant, "poisson": load.Poisson},
			func(s *Settings, a load.Arrivals) { s.Arrivals = a }),
		duration("STRESS_HOLD", time.Second, longestHold, "30s", func(s *Settings, d time.Duration) { s.Hold = d }),
		Whole("STRESS_NODES", fewestNodes, mostNodes, func(s *Settings, n int) { s.Nodes = n }),
		duration("STRESS_BURN", shortestBurn, 24*time.Hour, "60s", func(s *Settings, d time.Duration) { s.Burn = d }),
		patience,
		Whole("STRESS_KILLS", leastKills, 100_000, func(s *Settings, n int) { s.Kills = n }),
		Whole("STRESS_HISTORIES", 1, 10_000, func(s *Settings, n int) { s.Histories = n }),
		engine(b),
		toggle("STRESS_KNEE", func(s *Settings, on bool) { s.Knee = on }),
		toggle("STRESS_SCALING", func(s *Settings, on bool) { s.Scaling = on }),
		{"STRESS_TARGETS", targets},
		// Packages under controlled schedules read these themselves.
		variable("STRESS_SCHEDULE", schedule.Accepted, func(*Settings, string) {}, func(value string) (string, bool) {
			_, err := schedule.Parse(value)
			return value, err == nil
		}),
		variable("STRESS_SCHEDULES", schedule.CountMust, func(*Settings, int) {}, schedule.Count),
		{"STRESS_PROGRAM", anything}, // by the kits' programs
		{"STRESS_CUT", anything},     // by package storagetest
	}
}

// anything is for a value that is read and judged elsewhere.
func anything(*Settings, string) string { return "" }

// leastKills is what the specification asks for.
const leastKills = 20

const regressionMust = "a percentage above 0, such as 10%, together with STRESS_BASELINE"

var patience = duration("STRESS_PATIENCE", time.Second, time.Hour, "30s",
	func(s *Settings, d time.Duration) { s.Patience = d })

// engine is one of those of the test.
func engine(b Build) Variable[Settings] {
	engines := append([]string{inMemory}, b.Engines...)
	return variable("STRESS_ENGINE", strings.Join(engines, " or ")+" in this module",
		func(s *Settings, name string) { s.Engine = name },
		func(name string) (string, bool) { return name, slices.Contains(engines, name) })
}

// file takes a relative name against the root of the module: a test runs in the
// folder of its package, which is not where the name was typed.
func file(name string, b Build, set func(*Settings, string)) Variable[Settings] {
	return Variable[Settings]{name, func(s *Settings, value string) string {
		if !filepath.IsAbs(value) {
			value = filepath.Join(b.Root, value)
		}
		set(s, value)
		return ""
	}}
}

// scale accepts 100000, 100_000 and 1e5, as far as they fit.
func scale(s *Settings, value string, b Build) (must string) {
	n, err := strconv.ParseFloat(strings.ReplaceAll(value, "_", ""), 64)
	most := math.MaxInt32
	must = "a whole number from 1, such as 100000, 100_000 or 1e5"
	if b.Available != nil {
		most = min(most, Fits(*b.Available))
	}
	if err != nil || n != math.Trunc(n) || n < 1 {
		return must
	}
	if n > float64(most) {
		return fmt.Sprintf("%s, and it does not fit into the memory available: up to %d would", must, roundDown(most))
	}
	s.Scale = int(n)
	return ""
}

// Fits is the largest N for which so much memory, in bytes, is enough: 1 at least.
func Fits(available int64) int {
	return max(1, int((float64(available)-baseMemory)/memoryPerUnit))
}

// roundDown keeps two digits: the memory available changes by the moment, and
// so should not what is said of it.
func roundDown(n int) int {
	unit := 1
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// targets accepts pairs such as pooling.throughput=20000,sessions.p99=250.
func targets(s *Settings, value string) (must string) {
	ids := validate.SettableIDs()
	all := make(map[string]float64)
	for _, pair := range strings.Split(value, ",") {
		id, text, _ := strings.Cut(strings.TrimSpace(pair), "=")
		target, err := strconv.ParseFloat(text, 64)
		_, twice := all[id]
		if err != nil || !(target > 0) || math.IsInf(target, 0) || twice || !slices.Contains(ids, id) {
			return "a list such as pooling.throughput=20000,sessions.p99=250, each once and above 0, of " +
				strings.Join(ids, ", ")
		}
		all[id] = target
	}
	s.Targets = all
	s.Notes = append(s.Notes, fmt.Sprintf("Targets were set that are not the specification's: %s.", value))
	return ""
}
