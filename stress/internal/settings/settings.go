// Package settings reads the settings of a run: the environment variables that begin
// with STRESS_. They are variables and not flags, because a flag of one package breaks
// "go test ./..." in all others.
package settings

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tensile/stress/internal/schedule"
	"tensile/stress/load"
	"tensile/stress/validate"
)

// ErrSetting is wrapped by every error of this package; the message names the
// variable, its value and what it must be.
var ErrSetting = errors.New("bad setting")

// Settings are what a run is asked to do.
type Settings struct {
	Scale    int           // N
	Seed     uint64        // of everything drawn at random
	Out      string        // folder for the report
	Rate     float64       // of steady runs, in ops/s; 0 for 60 % of the throughput measured
	Arrivals load.Arrivals // of steady runs
	Hold     time.Duration // that connections are held in the memory scenario
	Engine   string        // what the subjects run over
	// Targets are those set in place of the specification's, by criterion.
	Targets map[string]float64
	Kills   int           // of the durable queue; 0 for 20, and fewer below N = 100,000
	Nodes   int           // processes of a cluster
	Burn    time.Duration // that every processor is kept busy beside a healthy cluster
	Knee    bool          // raise the rate until a threshold is missed
	Scaling bool          // measure how time and memory grow
	// Histories is how many seeded fault runs of the sessions scenario are checked.
	Histories int
	Patience  time.Duration // for what was told to end
	Fleet     Fleet         // of which this process is part
	// Baseline is what the run is compared with, and Regression the change for
	// the worse, in percent, that fails it; nil for none.
	Baseline   string
	Regression *float64
	Notes      []string // what was cut, and why
}

// Build is what the settings depend on besides the environment.
type Build struct {
	Short     bool   // go test -short
	Race      bool   // built with the race detector
	Available *int64 // memory in bytes that a run may use; nil if not known
	Root      string // folder against which relative names of files are taken
	// Engines are those that subjects may run over in this test beside InMemory.
	Engines []string
}

// InMemory is the engine where none is set: the subjects have their own.
const InMemory = "memory"

const (
	shortScale = 10_000
	shortHold  = time.Second
	// raceScale stays clear of the race detector's limit of 8,128 goroutines.
	raceScale = 5_000
	// The memory by which a scale fits or does not: the budget of 500 MB for
	// 100,000, of which 100 MB are for the process itself.
	baseMemory      = 100e6
	memoryPerUnit   = 4_000
	defaultHold     = 10 * time.Second
	defaultFolder   = "out"
	longestHold     = 24 * time.Hour
	defaultNodes    = 4
	fewestNodes     = 3
	mostNodes       = 16
	defaultBurn     = 5 * time.Second
	shortBurn       = 500 * time.Millisecond
	shortestBurn    = 100 * time.Millisecond
	longestBurn     = 24 * time.Hour
	prefix          = "STRESS_"
	acceptedHold    = "a duration from 1s to 24h, such as 30s"
	acceptedRate    = "a number of operations a second above 0"
	acceptedSeed    = "a whole number from 0 to 18446744073709551615"
	acceptedArrival = "constant or poisson"
	acceptedSwitch  = "1 or 0"
	leastKills      = 20 // what the specification asks for
	mostKills       = 100_000
	acceptedKills   = "a whole number from 20 to 100000"
	acceptedNodes   = "a whole number from 3 to 16"
	acceptedBurn    = "a duration from 100ms to 24h, such as 60s"
	// Histories take about two seconds each.
	defaultHistories, shortHistories = 5, 2
	mostHistories                    = 10_000
	acceptedSchedules                = "a whole number from 1, such as 100000"
	acceptedHistories                = "a whole number from 1 to 10000"
	defaultPatience                  = 10 * time.Second
	shortestPatience                 = time.Second
	longestPatience                  = time.Hour
	acceptedPatience                 = "a duration from 1s to 1h, such as 30s"
	acceptedPercent                  = "a percentage above 0, such as 10%, together with STRESS_BASELINE"
)

// parsers has one entry for each variable; each is given a value that is not
// empty, and returns what would be accepted if it is not.
var parsers = map[string]func(s *Settings, value string, b Build) (accepted string){
	"STRESS_SCALE": parseScale,
	"STRESS_SEED": func(s *Settings, value string, _ Build) string {
		seed, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return acceptedSeed
		}
		s.Seed = seed
		return ""
	},
	"STRESS_OUT": func(s *Settings, value string, b Build) string {
		s.Out = under(b.Root, value)
		return ""
	},
	"STRESS_BASELINE": func(s *Settings, value string, b Build) string {
		s.Baseline = under(b.Root, value)
		return ""
	},
	"STRESS_REGRESSION": func(s *Settings, value string, _ Build) string {
		percent, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "%")), 64)
		if err != nil || !(percent > 0) || math.IsInf(percent, 0) {
			return acceptedPercent
		}
		s.Regression = &percent
		return ""
	},
	"STRESS_RATE": func(s *Settings, value string, _ Build) string {
		rate, err := strconv.ParseFloat(value, 64)
		if err != nil || !(rate > 0) || math.IsInf(rate, 0) {
			return acceptedRate
		}
		s.Rate = rate
		return ""
	},
	"STRESS_ARRIVALS": func(s *Settings, value string, _ Build) string {
		for _, a := range []load.Arrivals{load.Constant, load.Poisson} {
			if value == a.String() {
				s.Arrivals = a
				return ""
			}
		}
		return acceptedArrival
	},
	"STRESS_HOLD": func(s *Settings, value string, _ Build) string {
		hold, err := time.ParseDuration(value)
		if err != nil || hold < time.Second || hold > longestHold {
			return acceptedHold
		}
		s.Hold = hold
		return ""
	},
	"STRESS_NODES": func(s *Settings, value string, _ Build) string {
		nodes, err := strconv.Atoi(value)
		if err != nil || nodes < fewestNodes || nodes > mostNodes {
			return acceptedNodes
		}
		s.Nodes = nodes
		return ""
	},
	"STRESS_BURN": func(s *Settings, value string, _ Build) string {
		burn, err := time.ParseDuration(value)
		if err != nil || burn < shortestBurn || burn > longestBurn {
			return acceptedBurn
		}
		s.Burn = burn
		return ""
	},
	patience: func(s *Settings, value string, _ Build) string {
		d, err := time.ParseDuration(value)
		if err != nil || d < shortestPatience || d > longestPatience {
			return acceptedPatience
		}
		s.Patience = d
		return ""
	},
	"STRESS_KILLS": func(s *Settings, value string, _ Build) string {
		kills, err := strconv.Atoi(value)
		if err != nil || kills < leastKills || kills > mostKills {
			return acceptedKills
		}
		s.Kills = kills
		return ""
	},
	"STRESS_HISTORIES": func(s *Settings, value string, _ Build) string {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > mostHistories {
			return acceptedHistories
		}
		s.Histories = n
		return ""
	},
	"STRESS_ENGINE": func(s *Settings, value string, b Build) string {
		engines := append([]string{InMemory}, b.Engines...)
		if !slices.Contains(engines, value) {
			return strings.Join(engines, " or ") + " in this module"
		}
		s.Engine = value
		return ""
	},
	// Packages under controlled schedules read these themselves.
	"STRESS_SCHEDULE": func(_ *Settings, value string, _ Build) string {
		if _, err := schedule.Parse(value); err != nil {
			return schedule.Accepted
		}
		return ""
	},
	"STRESS_PROGRAM": func(*Settings, string, Build) string { return "" }, // read by the kits' programs
	"STRESS_CUT":     func(*Settings, string, Build) string { return "" }, // read by storagetest
	"STRESS_SCHEDULES": func(_ *Settings, value string, _ Build) string {
		if n, err := strconv.Atoi(value); err != nil || n < 1 {
			return acceptedSchedules
		}
		return ""
	},
	"STRESS_TARGETS":  parseTargets,
	"STRESS_NATS_URL": func(_ *Settings, value string, _ Build) string { return parseURL(value, "nats", "tls") },
	"STRESS_POSTGRES_URL": func(_ *Settings, value string, _ Build) string {
		return parseURL(value, "postgres", "postgresql")
	},
}

func init() {
	for name, set := range map[string]func(s *Settings, on bool){
		"STRESS_KNEE":    func(s *Settings, on bool) { s.Knee = on },
		"STRESS_SCALING": func(s *Settings, on bool) { s.Scaling = on },
	} {
		parsers[name] = func(s *Settings, value string, _ Build) string {
			on, err := strconv.ParseBool(value)
			if err != nil {
				return acceptedSwitch
			}
			set(s, on)
			return ""
		}
	}
}

// Names lists the variables that are known.
func Names() []string {
	names := make([]string, 0, len(parsers))
	for name := range parsers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Parse reads the settings from an environment as os.Environ gives it. A
// variable that is empty counts as not set. All that is wrong is in the error.
func Parse(environ []string, b Build) (Settings, error) {
	s := Settings{
		Scale:     validate.BaseScale,
		Histories: defaultHistories,
		Seed:      rand.Uint64N(1 << 32), // short enough to be typed
		Out:       filepath.Join(b.Root, defaultFolder),
		Hold:      defaultHold,
		Engine:    InMemory,
		Nodes:     defaultNodes,
		Burn:      defaultBurn,
		Patience:  defaultPatience,
	}
	if b.Short {
		s.Scale, s.Hold, s.Burn, s.Histories = shortScale, shortHold, shortBurn, shortHistories
	}
	var wrong []error
	values := make(map[string]string) // of the variables that are known
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		parse, known := parsers[name]
		switch {
		case !known:
			wrong = append(wrong, fmt.Errorf("%w: %s=%q is unknown, must be one of %s",
				ErrSetting, name, hide(value), strings.Join(Names(), ", ")))
		case value != "":
			if accepted := parse(&s, value, b); accepted != "" {
				wrong = append(wrong, fmt.Errorf("%w: %s=%q, must be %s", ErrSetting, name, hide(value), accepted))
			}
			values[name] = value
		}
	}
	if s.Regression != nil && s.Baseline == "" {
		wrong = append(wrong, fmt.Errorf("%w: STRESS_REGRESSION=\"%g%%\" without a baseline, must be %s",
			ErrSetting, *s.Regression, acceptedPercent))
	}
	if err := wholeFleet(values); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return Settings{}, errors.Join(wrong...)
	}
	if b.Race && s.Scale > raceScale {
		s.Notes = append(s.Notes, fmt.Sprintf(
			"Scale cut from %d to %d: the race detector allows 8,128 goroutines.", s.Scale, raceScale))
		s.Scale = raceScale
	}
	return s, nil
}

const patience = "STRESS_PATIENCE"

// Patience is Settings.Patience for what has to know it before anything else is
// parsed, and in child processes: its default if the value is not accepted.
func Patience() time.Duration {
	s := Settings{Patience: defaultPatience}
	parsers[patience](&s, os.Getenv(patience), Build{})
	return s.Patience
}

// FromEnvironment is Parse over the environment of this process.
func FromEnvironment(b Build) (Settings, error) { return Parse(os.Environ(), b) }

// under takes a relative name against the root of the module: a test runs in the
// folder of its package, which is not where the name was typed.
func under(root, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(root, name)
}

// parseURL accepts the address of a server by one of its schemes.
func parseURL(value string, schemes ...string) (accepted string) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return fmt.Sprintf("a URL such as %s://user:secret@127.0.0.1", schemes[0])
	}
	return ""
}

// parseScale accepts 100000, 100_000 and 1e5, as far as they fit.
func parseScale(s *Settings, value string, b Build) (accepted string) {
	n, err := strconv.ParseFloat(strings.ReplaceAll(value, "_", ""), 64)
	most := math.MaxInt32
	accepted = "a whole number from 1, such as 100000, 100_000 or 1e5"
	if b.Available != nil {
		most = min(most, Fits(*b.Available))
	}
	if err != nil || n != math.Trunc(n) || n < 1 {
		return accepted
	}
	if n > float64(most) {
		return fmt.Sprintf("%s, and it does not fit into the memory available: up to %d would", accepted, roundDown(most))
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
