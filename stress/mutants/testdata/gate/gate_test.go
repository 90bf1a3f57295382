package gate

import (
	"sync"
	"testing"
	"time"
)

func TestStressGate(t *testing.T) {
	g := New()
	var all sync.WaitGroup
	passed := make(chan struct{})
	for range 2 {
		all.Go(func() { g.Pass() })
	}
	go func() {
		all.Wait()
		close(passed)
	}()
	g.Open()
	g.Open()
	select {
	case <-passed:
	case <-time.After(time.Second):
		t.Fatal("the gate is open, and nobody passes")
	}
}

func TestStressNothing(*testing.T) {}

func TestRed(t *testing.T) { t.Error("it is red as it is") }
