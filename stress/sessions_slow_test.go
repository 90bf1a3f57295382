package stress_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/sessiontest"
)

// TestPlantedSlowSessions: stores with no other fault than that they take their time. Without
// that, they are three times as fast as the control.
func TestPlantedSlowSessions(t *testing.T) {
	unhurried(t)
	for _, c := range []struct{ fault, criterion string }{
		{"40 times", "throughput"},
		{"10 times", "throughput"},
		{"stalls", "p99"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			mustBeFoundSlow(t, "TestFaultySessions$/^(formation|throughput|steady|end)$", slowPlant+c.fault, c.criterion)
		})
	}
}

// slowStore reads or writes each session several times.
type slowStore struct {
	sessiontest.Store
	calls atomic.Int64
}

// stall has one in so many operations take long.
func (s *slowStore) stall() {
	if planted == slowPlant+"stalls" && s.calls.Add(1)%(stallEvery/2) == 0 {
		time.Sleep(stallTime)
	}
}

func (s *slowStore) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s.stall()
	for range slowFactor() - 1 {
		if err := s.Store.Put(ctx, key, value, ttl); err != nil {
			return err
		}
	}
	return s.Store.Put(ctx, key, value, ttl)
}

func (s *slowStore) Get(ctx context.Context, key string) ([]byte, error) {
	s.stall()
	for range slowFactor() - 1 {
		if _, err := s.Store.Get(ctx, key); err != nil {
			return nil, err
		}
	}
	return s.Store.Get(ctx, key)
}
