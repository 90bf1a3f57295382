package pooltest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"tensile/stress/internal/pipe"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
)

// explorations are those of the pools that open returns.
func explorations(open func(testing.TB, Config) Pool) []programs.Part {
	v, c := vocabulary(open), crowd(open)
	return []programs.Part{
		{Name: "programs", Body: v.Body, Short: 1700 * time.Millisecond, Full: 15 * time.Second, Least: 300,
			Coverage: v.Coverage},
		{Name: "crowd", Body: c.Body, Short: 500 * time.Millisecond, Full: 3 * time.Second, Least: 4, Learning: 1},
	}
}

// look is what a first look at a subject says.
type look struct {
	packages []string
	reason   string // why it can not be explored, if it can not
}

// errElsewhere is what a subject gets that dials a server of its own.
var errElsewhere = errors.New("programs are for connections in memory")

// lookAt tells whether a subject takes connections in memory.
func lookAt(t *testing.T, open func(testing.TB, Config) Pool) (x look) {
	p := open(t, Config{Size: 1,
		Dial: func(context.Context) (net.Conn, error) { a, _ := pipe.New(); return a, nil },
		DialTo: func(context.Context, string, string) (net.Conn, error) {
			x.reason = "its connections lead to a server of its own"
			return nil, errElsewhere
		}})
	if p == nil {
		return look{reason: "there is no subject"}
	}
	x.packages = programs.Packages(open, p)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
		defer cancel()
		if l, err := p.Acquire(ctx); err == nil && l != nil {
			l.Discard()
		}
		_ = p.Close()
	}()
	select {
	case <-looked:
	case <-time.After(scenario.Settle):
	}
	return x
}

// prepare begins to prepare the explore phase; nil if there is none.
func (k *kit) prepare(parts []programs.Part) *programs.Phase {
	x := lookAt(k.T, k.open)
	if x.reason != "" {
		k.NotOffered("explored", x.reason)
		return nil
	}
	return programs.Prepare(k.Scenario, parts, x.packages)
}
