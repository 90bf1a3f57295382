package load

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Arrivals says how the instants of a schedule are spaced.
type Arrivals int

const (
	// Constant spaces arrivals evenly.
	Constant Arrivals = iota
	// Poisson draws the gaps from an exponential distribution, as independent
	// users make them: the same mean rate, with bursts.
	Poisson
)

func (a Arrivals) String() string {
	switch a {
	case Constant:
		return "constant"
	case Poisson:
		return "poisson"
	}
	return fmt.Sprintf("Arrivals(%d)", int(a))
}

// Schedule returns n instants, as nanoseconds since the start, at rate arrivals
// a second. The same seed gives the same schedule.
func (a Arrivals) Schedule(n int, rate float64, seed uint64) []int64 {
	due := make([]int64, n)
	gap := float64(time.Second) / rate
	random := rand.New(rand.NewPCG(seed, uint64(a)))
	at := 0.0
	for i := range due {
		due[i] = int64(at)
		if a == Poisson {
			at += random.ExpFloat64() * gap
		} else {
			at = float64(i+1) * gap
		}
	}
	return due
}
