package conntest

import (
	"net"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/pipe"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
)

// explorations are those of the servers in memory that open returns. Whether there is
// one of a kind is asked when it is explored.
func explorations(open func(testing.TB, Config) Server) []programs.Part {
	var parts []programs.Part
	for _, kind := range []struct {
		name string
		idle bool
	}{{"programs", false}, {"idle", true}} {
		v := vocabulary(open, Config{Network: networkMemory, Idle: kind.idle})
		parts = append(parts, programs.Part{Name: kind.name, Body: v.Body, Coverage: v.Coverage,
			Short: time.Second, Full: 10 * time.Second, Least: 150})
	}
	return parts
}

// look is what a first look at the servers in memory says.
type look struct {
	packages []string
	parts    []programs.Part // of those that are offered
}

// lookAt has each server in memory serve and close once.
func lookAt(t *testing.T, open func(testing.TB, Config) Server, parts []programs.Part) (x look) {
	var subjects []any
	for i, part := range parts {
		s := open(t, Config{Network: networkMemory, Idle: i > 0})
		if s == nil {
			continue
		}
		subjects = append(subjects, s)
		x.parts = append(x.parts, part)
		l := &beginning{Listener: pipe.Listen(), accepts: make(chan struct{})}
		server := serve(s, l)
		select {
		case <-l.accepts:
		case <-server.ended:
		case <-time.After(scenario.Settle):
		}
		_ = server.close() // what is wrong with it is seen again
	}
	x.packages = programs.Packages(open, subjects...)
	return x
}

// beginning is a listener that tells when it is asked to accept.
type beginning struct {
	net.Listener
	accepts chan struct{}
	once    sync.Once
}

func (l *beginning) Accept() (net.Conn, error) {
	l.once.Do(func() { close(l.accepts) })
	return l.Listener.Accept()
}

// prepare begins to prepare the explore phase; nil if there is none.
func (k *kit) prepare(x look) *programs.Phase {
	if len(x.parts) == 0 {
		k.NotOffered("explored", "open returned no server for connections in memory")
		return nil
	}
	return programs.Prepare(k.Scenario, x.parts, x.packages)
}
