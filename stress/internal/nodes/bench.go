package nodes

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/node"
)

const BenchNodes = 4

// benchCluster are the processes of a benchmark.
type benchCluster struct{ Processes map[string]*proc.Process }

func (c benchCluster) KillAll() {
	for _, p := range c.Processes {
		p.Kill()
	}
}

// FormBench starts nodes and waits until each lists all others as alive.
func FormBench(b *testing.B, site *proc.Site, look time.Duration) benchCluster {
	c := benchCluster{make(map[string]*proc.Process)}
	formed := make(chan struct{}, BenchNodes)
	var seeds []string
	fail := func(err error) {
		c.KillAll()
		b.Fatal(err)
	}
	for _, name := range proc.NodeNames(BenchNodes) {
		var told sync.Once
		p, err := site.Start(nil, proc.Options{OnEvent: func(body json.RawMessage) {
			var e Event
			if json.Unmarshal(body, &e) != nil || len(e.Members) < BenchNodes-1 {
				return
			}
			for _, state := range e.Members {
				if state != node.Alive {
					return
				}
			}
			told.Do(func() { formed <- struct{}{} })
		}})
		if err != nil {
			fail(err)
		}
		c.Processes[name] = p
	}
	for _, name := range proc.NodeNames(BenchNodes) {
		var at struct{ Addr string }
		err := c.Processes[name].Ask(b.Context(), Order{Do: "start", Pace: look,
			Start: &Start{Name: name, Bind: "127.0.0.1:0", Seeds: seeds, Secret: Secret(1)}}, &at)
		if err != nil {
			fail(err)
		}
		if seeds == nil {
			seeds = []string{at.Addr}
		}
	}
	late := time.After(scenario.Settle)
	for range BenchNodes {
		select {
		case <-formed:
		case <-late:
			fail(fmt.Errorf("not formed within %v", scenario.Settle))
		}
	}
	return c
}
