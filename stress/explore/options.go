package explore

import (
	"fmt"
	"os"
	"slices"
	"time"

	"tensile/stress/explore/internal/control"
	"tensile/stress/internal/schedule"
)

// An Option changes how a function is explored.
type Option func(*options)

type options struct {
	Schedules  int
	Within     time.Duration // 0: as long as Schedules take
	Least      int           // schedules, whatever Within
	Learning   int           // schedules to find the places in memory that are shared
	Seed       uint64
	Depth      int
	Strategies []Strategy
	Memory     []string // packages with points at plain memory
	Race       bool
	Points     uint64
	Pass       float64
	Ahead      time.Duration
	Grace      time.Duration
	AllowLeft  bool
	Schedule   string // the only one to run
}

// Strategy says how the next goroutine is chosen at a point.
type Strategy uint32

// The strategies.
const (
	// RandomWalk chooses uniformly among the goroutines that can run.
	RandomWalk = Strategy(control.Random)
	// PCT draws a priority for each goroutine, and lowers priorities at depth-1 drawn
	// points: probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010).
	PCT = Strategy(control.PCT)
	// POS draws a priority for each operation, and draws again after a conflict:
	// partial order sampling (Yuan, Yang, Gu, CAV 2018).
	POS = Strategy(control.POS)
)

// String is the name that schedules begin with.
func (s Strategy) String() string {
	switch s {
	case RandomWalk:
		return schedule.Random
	case PCT:
		return schedule.PCT
	case POS:
		return schedule.POS
	}
	return fmt.Sprintf("strategy %d", uint32(s))
}

const (
	defaultSchedules = 1000
	defaultLearning  = 16
	defaultDepth     = 3
	defaultPoints    = 20_000
	defaultPass      = 0.03
	defaultAhead     = 50 * time.Millisecond
	defaultGrace     = 10 * time.Second
)

// Schedules sets how many schedules are run, 1,000 by default. The environment variable
// STRESS_SCHEDULES takes precedence.
func Schedules(n int) Option { return func(o *options) { o.Schedules = n } }

// Within limits the real time in which schedules are begun. At least the given number of
// schedules are run, and at most the number set by Schedules. The order of schedules does
// not depend on the time.
func Within(d time.Duration, least int) Option {
	return func(o *options) { o.Within, o.Least = d, least }
}

// Seed sets the seed of everything that is drawn, 1 by default. The same seed gives the
// same schedules. The environment variable STRESS_SEED takes precedence.
func Seed(seed uint64) Option { return func(o *options) { o.Seed = seed } }

// Strategies sets the strategies, which take turns. By default there are three schedules by
// [POS] for each by [PCT].
func Strategies(s ...Strategy) Option { return func(o *options) { o.Strategies = s } }

// Depth sets how many ordered steps the bugs need that PCT looks for, 3 by default.
func Depth(d int) Option { return func(o *options) { o.Depth = d } }

// Memory also makes plain reads and writes of variables, and the functions of sync/atomic,
// points at which goroutines are switched. It applies to the packages with the given import
// paths, or to the package of the test if there are none. A path may end with "/...". Generic
// code of the packages counts where the package of the test, or one of them, uses it.
func Memory(packages ...string) Option {
	return func(o *options) {
		if len(packages) == 0 {
			packages = []string{ownPackage()}
		}
		o.Memory = packages
	}
}

// Learning sets how many schedules are run first, to find the places at which goroutines
// share memory, 16 by default. Use fewer for a slow function. A schedule repeats only with
// the number with which it was found.
func Learning(n int) Option { return func(o *options) { o.Learning = n } }

// Race runs the schedules under the race detector, as go test -race does. There are then no
// points at plain memory.
func Race() Option { return func(o *options) { o.Race = true } }

// Points sets the number of points after which a schedule is cut off, 20,000 by default.
func Points(n int) Option { return func(o *options) { o.Points = uint64(n) } }

// Time lets the clock advance to the next timer although a goroutine can run, which finds
// races with time-outs. share is the share of points at which this happens, and ahead is how
// far the clock may be ahead of the last instant at which no goroutine could run: 0.03 and
// 50 ms by default. With a share of 0, time advances only when no goroutine can run.
func Time(share float64, ahead time.Duration) Option {
	return func(o *options) { o.Pass, o.Ahead = share, ahead }
}

// Grace sets how long goroutines may outlive the function, in virtual time, before they
// count as left over, 10 s by default.
func Grace(d time.Duration) Option { return func(o *options) { o.Grace = d } }

// AllowLeft accepts goroutines that are left over.
func AllowLeft() Option { return func(o *options) { o.AllowLeft = true } }

// over reports whether no more schedules may begin after n.
func (o *options) over(began time.Time, n int) bool {
	return o.Within > 0 && n >= o.Least && time.Since(began) >= o.Within
}

// newOptions returns the options as given, changed by the environment.
func newOptions(given []Option) (options, error) {
	o := options{Schedules: defaultSchedules, Seed: 1, Depth: defaultDepth, Strategies: []Strategy{POS, POS, POS, PCT},
		Points: defaultPoints, Pass: defaultPass, Ahead: defaultAhead, Grace: defaultGrace, Race: builtWithRace,
		Learning: defaultLearning}
	for _, option := range given {
		option(&o)
	}
	if value := os.Getenv("STRESS_SEED"); value != "" {
		seed, ok := schedule.Seed(value)
		if !ok {
			return o, fmt.Errorf("STRESS_SEED=%q must be %s", value, schedule.SeedMust)
		}
		o.Seed = seed
	}
	if value := os.Getenv("STRESS_SCHEDULES"); value != "" {
		n, ok := schedule.Count(value)
		if !ok {
			return o, fmt.Errorf("STRESS_SCHEDULES=%q must be %s", value, schedule.CountMust)
		}
		o.Schedules = n
	}
	if value := os.Getenv("STRESS_SCHEDULE"); value != "" {
		if _, err := schedule.Parse(value); err != nil {
			return o, fmt.Errorf("STRESS_SCHEDULE: %w", err)
		}
		o.Schedule = value
	}
	return o, o.check()
}

// check says which option is out of bounds.
func (o *options) check() error {
	known := func(s Strategy) bool { return s == RandomWalk || s == PCT || s == POS }
	switch {
	case o.Schedules < 1:
		return fmt.Errorf("explore: %d schedules, must be at least 1", o.Schedules)
	case o.Within < 0 || o.Least < 0 || o.Learning < 0:
		return fmt.Errorf("explore: at least %d schedules within %v, learning in %d: must not be negative",
			o.Least, o.Within, o.Learning)
	case o.Depth < 1 || o.Depth > 16:
		return fmt.Errorf("explore: depth %d, must be from 1 to 16", o.Depth)
	case o.Points < 1 || o.Points > 1<<40:
		return fmt.Errorf("explore: %d points, must be from 1 to 2^40", o.Points)
	case !(o.Pass >= 0 && o.Pass <= 1) || o.Ahead < 0 || o.Grace < 0:
		return fmt.Errorf("explore: time passes at a share of %v, at most %v ahead, with %v of grace: "+
			"must be from 0 to 1, and not negative", o.Pass, o.Ahead, o.Grace)
	case len(o.Strategies) == 0 || slices.ContainsFunc(o.Strategies, func(s Strategy) bool { return !known(s) }):
		return fmt.Errorf("explore: strategies %v, must be of random, pct and pos", o.Strategies)
	}
	return nil
}
