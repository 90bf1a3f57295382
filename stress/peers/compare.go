package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"

	"tensile/stress/measure"
)

// comparison is one piece of work that is given to several contestants.
type comparison struct {
	scenario string
	work     string // what is done, in a few words
	unit     string // of a sample
	lower    bool   // lower is better
	n        int    // operations of one sample
	// why explains, from profiles, where ours can be behind.
	why string
	// contestants are ours first, then the peers and the bounds.
	contestants []contestant
}

// contestant is one way to do the work.
type contestant struct {
	name string
	// bound says that it is no peer but shows what is possible at most: it
	// leaves out part of the work.
	bound bool
	// lacks says what it does not do and ours does.
	lacks string
	// fewer, if set, is how many times fewer operations a sample has, as it
	// would take too long.
	fewer int
	// sample does the work once, n operations, and returns the figure. It sets
	// up and tears down outside of what it measures, and returns an error where
	// not all of the work was done.
	sample func(n int) (float64, error)
}

func (c contestant) operations(n int) int { return n / max(c.fewer, 1) }

// result is what a comparison came to.
type result struct {
	comparison
	samples [][]float64 // of each contestant, by round
	share   float64     // part of the processors that other processes left; 1 if not known
}

// run takes samples in rounds: in each, every contestant does the work once, in
// an order drawn anew. So what disturbs the machine for a while disturbs all of
// them, and a ratio is taken between samples that are neighbours in time.
func (c comparison) run(rounds int, seed uint64, progress func(string)) (result, error) {
	r := result{comparison: c, samples: make([][]float64, len(c.contestants)), share: 1}
	random := rand.New(rand.NewPCG(seed, 0))
	meter := measure.StartMeter()
	for round := range rounds {
		for _, i := range random.Perm(len(c.contestants)) {
			debug.FreeOSMemory() // what the last one left is not this one's
			x, err := c.contestants[i].sample(c.contestants[i].operations(c.n))
			if err != nil {
				return r, fmt.Errorf("%s, %s, %s, round %d: %w", c.scenario, c.work, c.contestants[i].name, round+1, err)
			}
			r.samples[i] = append(r.samples[i], x)
		}
	}
	if share, ok := meter.Share(); ok {
		r.share = share
	}
	for i, other := range c.contestants {
		line := fmt.Sprintf("%-32s %12s %s", other.name, figure(median(r.samples[i])), c.unit)
		if i > 0 {
			line += fmt.Sprintf("   ours %s", r.against(i))
		}
		progress(line)
	}
	return r, nil
}

// ratio says how many times as good ours is as another.
type ratio struct {
	median, low, high float64 // low and high bound the median with confidence
}

const confidence = 0.95

// against compares ours with contestant i, round by round.
func (r result) against(i int) ratio {
	ratios := make([]float64, len(r.samples[0]))
	for round, ours := range r.samples[0] {
		theirs := r.samples[i][round]
		switch {
		case ours == theirs: // both may be 0
			ratios[round] = 1
		case r.lower:
			ratios[round] = theirs / ours
		default:
			ratios[round] = ours / theirs
		}
	}
	slices.Sort(ratios)
	at := rank(len(ratios))
	return ratio{median(ratios), ratios[at], ratios[len(ratios)-1-at]}
}

func (x ratio) String() string {
	text := fmt.Sprintf("%.2f× [%.2f, %.2f]", x.median, x.low, x.high)
	return strings.ReplaceAll(text, "+Inf", "∞")
}

// verdict says who is better, if that can be said with confidence.
func (x ratio) verdict() string {
	switch {
	case x.low > 1:
		return "ours"
	case x.high < 1:
		return "theirs"
	}
	return "neither"
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}

// minRounds is the least number of samples whose extremes bound the median with
// confidence.
const minRounds = 6

// rank is the index from each end of n sorted samples between which the median
// of what they were drawn from lies with confidence. It assumes nothing about
// the distribution: each sample is above the median or below it like a coin
// that is thrown. See David and Nagaraja, Order Statistics, section 7.1.
func rank(n int) int {
	const tail = (1 - confidence) / 2
	exactly, atMost := math.Pow(0.5, float64(n)), 0.0 // k heads in n throws
	for k := 0; ; k++ {
		atMost += exactly
		if atMost > tail {
			return k - 1
		}
		exactly *= float64(n-k) / float64(k+1)
	}
}
