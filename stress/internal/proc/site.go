package proc

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Site is a place in a test at which the program can be executed again: the
// n-th call of At with a role in that test.
type Site struct {
	tb   testing.TB
	role string // unique in the program: test, role, number
}

// calls counts the calls of At while their test runs.
var calls struct {
	sync.Mutex
	of map[string]int
}

// At makes a site of the place it is called from. It must be called in the same
// order whenever the test is run.
func At(tb testing.TB, role string) *Site {
	key := tb.Name() + " " + role
	calls.Lock()
	defer calls.Unlock()
	if calls.of == nil {
		calls.of = make(map[string]int)
	}
	n := calls.of[key]
	calls.of[key] = n + 1
	// A test that is run again, by -count or as a benchmark, counts anew.
	tb.Cleanup(func() {
		calls.Lock()
		defer calls.Unlock()
		delete(calls.of, key)
	})
	return &Site{tb, fmt.Sprintf("%s %d", key, n)}
}

// Child tells whether this process is a child of some site. Then the caller
// does nothing but call Serve, and returns: a test may hold several sites, and
// those that come before the one that is meant must not run.
func (s *Site) Child() bool { return strings.Contains(os.Getenv(roleVariable), " ") }

// Serve runs serve and ends the process if this is a child of this very site,
// and does nothing otherwise.
func (s *Site) Serve(serve func(*Link) error) { Handle(s.role, serve) }

// Start executes the test of this site again.
func (s *Site) Start(config any, o Options) (*Process, error) {
	which := "-test.run"
	arguments := []string{"-test.run=^$", "-test.benchtime=1x"}
	if _, ok := s.tb.(*testing.B); ok {
		which = "-test.bench"
	} else {
		arguments = nil
	}
	names := strings.Split(s.tb.Name(), "/")
	for i, name := range names {
		names[i] = "^" + regexp.QuoteMeta(name) + "$"
	}
	arguments = append(arguments, which+"="+strings.Join(names, "/"), "-test.count=1",
		fmt.Sprintf("-test.short=%t", testing.Short()))
	return start(s.role, config, o, arguments)
}
