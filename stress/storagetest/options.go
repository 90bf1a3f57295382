package storagetest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/settings"
)

// Options are the options of a test. The zero value is usable.
type Options struct {
	// FileSystems are the models on which the subject must keep its promise; nil
	// means all.
	FileSystems []FileSystem
	// FromNothing also cuts the power while the subject opens in an empty folder, and
	// also tries a subject that began in an empty folder on POSIX.
	FromNothing bool
	// PowerOnly leaves it at power cuts: no call fails, and no clock goes back.
	PowerOnly bool
	// States is how many different states are checked before the test ends; 0 means
	// 10,000, or 2,000 with -short.
	States int
	// Within also ends the test; 0 means a minute.
	Within time.Duration
	// Patience is how long the subject may take to open and read what a cut left; 0
	// means 10 s.
	Patience time.Duration
	// Goroutines is the largest number of goroutines that call the subject; 0 means 3.
	Goroutines int
	// Seed is the seed of the programs; 0 means a random one. STRESS_SEED takes
	// precedence.
	Seed uint64
}

const (
	defaultStates, shortStates = 10_000, 2_000
	defaultWithin              = time.Minute
	defaultPatience            = 10 * time.Second
	defaultGoroutines          = 3
)

func (o Options) filled(t testing.TB) (Options, []crashstates.Model, string) {
	s, err := settings.FromEnvironment(settings.Build{Short: testing.Short(), Root: settings.Root()})
	if err != nil {
		t.Fatalf("storagetest: %v", err)
	}
	if o.Seed == 0 || os.Getenv("STRESS_SEED") != "" {
		o.Seed = s.Seed
	}
	if o.States == 0 {
		o.States = defaultStates
		if testing.Short() {
			o.States = shortStates
		}
	}
	if o.Within == 0 {
		o.Within = defaultWithin
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Goroutines == 0 {
		o.Goroutines = defaultGoroutines
	}
	var models []crashstates.Model
	for _, m := range crashstates.Models() {
		if o.FileSystems == nil || slices.Contains(o.FileSystems, FileSystem(m.Name)) {
			models = append(models, m)
		}
	}
	for _, name := range o.FileSystems {
		if _, ok := crashstates.ModelNamed(string(name)); !ok {
			t.Fatalf("storagetest: FileSystems has %q, must be ext4, ext4-ordered, xfs or posix", name)
		}
	}
	return o, models, s.Out
}

// replay is how a seed is repeated.
func replay(t testing.TB, seed uint64) string {
	return fmt.Sprintf("STRESS_SEED=%s go test -count=1 -run '^%s$' .", strconv.FormatUint(seed, 10), t.Name())
}
