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

// never is later than any test; an instant beyond what an int64 holds would
// come out as one in the past.
const never = 1 << 62

// Schedule returns n instants, as nanoseconds since the start, at rate arrivals
// a second. The same seed gives the same schedule. It panics if rate is not
// above 0: there is no such schedule.
func (a Arrivals) Schedule(n int, rate float64, seed uint64) []int64 {
	if !(rate > 0) {
		panic(fmt.Sprintf("load: %g arrivals a second, must be a rate above 0", rate))
	}
	due := make([]int64, n)
	gap := float64(time.Second) / rate
	random := rand.New(rand.NewPCG(seed, uint64(a)))
	at := 0.0
	for i := range due {
		due[i] = int64(min(at, never))
		if a == Poisson {
			at += random.ExpFloat64() * gap
		} else {
			at = float64(i+1) * gap
		}
	}
	return due
}
