// Package settings reads the settings of a run: the environment variables that begin
// with STRESS_. They are variables and not flags, because a flag of one package breaks
// "go test ./..." in all others.
//
// A package with settings of its own has a table of them, and gives it to Read.
package settings

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"tensile/stress/load"
	"tensile/stress/validate"
)

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
	// Engines are those that subjects may run over in this test beside inMemory.
	Engines []string
}

// inMemory is the engine where none is set: the subjects have their own.
const inMemory = "memory"

const (
	shortScale = 10_000
	// raceScale stays clear of the race detector's limit of 8,128 goroutines.
	raceScale = 5_000
	// The memory by which a scale fits or does not: the budget of 500 MB for
	// 100,000, of which 100 MB are for the process itself.
	baseMemory    = 100e6
	memoryPerUnit = 4_000
	// Histories take about two seconds each.
	defaultHistories, shortHistories = 5, 2
	defaultHold, shortHold           = 10 * time.Second, time.Second
	defaultBurn, shortBurn           = 5 * time.Second, 500 * time.Millisecond
	defaultFolder                    = "out"
	defaultNodes                     = 4
	defaultPatience                  = 10 * time.Second
)

// parse reads the settings from an environment as os.Environ gives it. A
// variable that is empty counts as not set. All that is wrong is in the error.
func parse(environ []string, b Build) (Settings, error) {
	s := Settings{
		Scale:     validate.BaseScale,
		Histories: defaultHistories,
		Seed:      rand.Uint64N(1 << 32), // short enough to be typed
		Out:       filepath.Join(b.Root, defaultFolder),
		Hold:      defaultHold,
		Engine:    inMemory,
		Nodes:     defaultNodes,
		Burn:      defaultBurn,
		Patience:  defaultPatience,
	}
	if b.Short {
		s.Scale, s.Hold, s.Burn, s.Histories = shortScale, shortHold, shortBurn, shortHistories
	}
	wrong := Read(&s, environ, variables(b))
	if s.Regression != nil && s.Baseline == "" {
		wrong = errors.Join(wrong, fmt.Errorf("%w: STRESS_REGRESSION=\"%g%%\" without a baseline, must be %s",
			ErrSetting, *s.Regression, regressionMust))
	}
	if wrong != nil {
		return Settings{}, wrong
	}
	if b.Race && s.Scale > raceScale {
		s.Notes = append(s.Notes, fmt.Sprintf(
			"Scale cut from %d to %d: the race detector allows 8,128 goroutines.", s.Scale, raceScale))
		s.Scale = raceScale
	}
	return s, nil
}

// FromEnvironment is Parse over the environment of this process.
func FromEnvironment(b Build) (Settings, error) { return parse(os.Environ(), b) }

// Known tells whether a run has a variable of that name.
func Known(name string) bool {
	for _, v := range variables(Build{}) {
		if v.Name == name {
			return true
		}
	}
	return false
}

// Patience is Settings.Patience for what has to know it before anything else is
// parsed, and in child processes: its default if the value is not accepted.
func Patience() time.Duration {
	s := Settings{Patience: defaultPatience}
	patience.Set(&s, os.Getenv(patience.Name))
	return s.Patience
}
