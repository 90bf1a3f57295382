package scenario

import (
	"sync"
	"time"

	"tensile/stress/measure"
)

// shares are the parts of the processors that other work left, from 0 to 1.
type shares struct {
	known bool
	least float64 // in the phase under load in which it was least
	Last  float64 // in the latest phase under load
	Worst float64 // in the worst moment of the latest phase under load
}

var undisturbed = shares{least: 1, Last: 1, Worst: 1}

const (
	// quietTime is long enough for the kernel's account, which counts hundredths
	// of a second.
	quietTime = 120 * time.Millisecond
	// moment is how long other work must hold the processors to be seen by
	// itself.
	moment = 500 * time.Millisecond
	// quietShare is what counts as having the processors to oneself: below it
	// the figures of an otherwise idle machine would be adjusted by noise.
	quietShare = 0.95
	// crowdedBusy is the part, of what other processes leave of the processors,
	// that a process in which nothing goes on stays far below.
	crowdedBusy = 0.3
)

// isCrowded tells whether this process is busy while the harness does nothing.
// Other goroutines that never block are given 10 ms for each microsecond of
// those that do, so what they leave to a subject cannot be told; then nothing
// in time is judged.
func (s *Scenario) isCrowded() bool {
	meter := measure.StartMeter()
	time.Sleep(quietTime)
	busy, ok := meter.Busy()
	share, ok2 := meter.Share()
	if !ok || !ok2 || busy <= crowdedBusy*share {
		return false
	}
	s.Note("Other goroutines of this process kept %.0f %% of the processors busy before the scenario began: no figure in "+
		"time that has no control is judged.", 100*busy)
	return true
}

// UnderLoad follows the share of the processors during f, and for a little longer
// where f is too short for the kernel's clock: other work does not end with it.
func (s *Scenario) UnderLoad(f func()) {
	worst, stop := 1.0, make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		clock := time.NewTicker(moment)
		defer clock.Stop()
		for meter := measure.StartMeter(); ; meter = measure.StartMeter() {
			select {
			case <-stop:
				return
			case <-clock.C:
			}
			if share, ok := meter.Share(); ok {
				worst = min(worst, s.judged(share))
			}
		}
	})
	began, meter := time.Now(), measure.StartMeter()
	f()
	time.Sleep(quietTime - time.Since(began))
	share, ok := meter.Share()
	close(stop)
	watching.Wait()
	if !ok {
		share = 1
	}
	share = s.judged(share)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Shares.known = s.Shares.known || ok
	s.Shares.Last, s.Shares.Worst = share, min(worst, share)
	s.Shares.least = min(s.Shares.least, share)
}

// ProcessorShares are those seen so far.
func (s *Scenario) ProcessorShares() shares {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Shares
}

// judged is the share by which figures are judged.
func (s *Scenario) judged(share float64) float64 {
	switch {
	case s.Crowded:
		return 0
	case share > quietShare:
		return 1
	}
	return share
}
