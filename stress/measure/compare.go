package measure

import (
	"math"
	"slices"
)

// Pair is a figure of a subject beside that of a control, which did the same work
// just before or just after.
type Pair struct {
	Subject float64 `json:"subject"`
	Control float64 `json:"control"`
}

// Paired is a figure of a subject beside that of a control, measured by turns.
type Paired struct {
	Subject float64 `json:"subject"` // over all turns
	Control float64 `json:"control"`
	// Ratio is that of the subject's figure to the control's within a pair. What
	// slows a machine slows both: so it is what two machines can compare.
	Ratio Interval `json:"ratio"`
	Pairs []Pair   `json:"pairs"`
}

// Interval is a median with the bounds that hold it with 99 % confidence. Fewer
// than LeastPairs values bound nothing: then Low is 0 and High is 0 as well.
type Interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Bounded tells whether there were enough values for bounds.
func (i Interval) Bounded() bool { return i.High > 0 }

// LeastPairs is the least number of pairs that can show anything with 99 %
// confidence: of 8 values all lie on one side of the median once in 128 times.
const LeastPairs = 8

// ComparePairs compares by the medians of the figures. All must be above 0.
func ComparePairs(pairs []Pair) Paired {
	c := Paired{Pairs: pairs}
	subject, control, ratios := make([]float64, len(pairs)), make([]float64, len(pairs)), make([]float64, len(pairs))
	for i, p := range pairs {
		subject[i], control[i], ratios[i] = p.Subject, p.Control, p.Subject/p.Control
	}
	c.Subject, c.Control, c.Ratio = median(subject), median(control), medianInterval(ratios)
	return c
}

// median is the middle value, or the mean of the two in the middle; NaN for none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// medianInterval bounds the median of what the values are a sample of, whatever its
// distribution, by order statistics: the median lies below the k-th smallest value
// only if fewer than k fell below it, which a fair coin decides for each. See David
// and Nagaraja, "Order Statistics", 3rd edition, section 7.1.
func medianInterval(values []float64) Interval {
	i := Interval{Median: median(values)}
	n := len(values)
	k := 0 // how many values are left out on each side
	for 2*CoinTail(n, n-k) <= 1-confidence {
		k++
	}
	if k > 0 {
		sorted := slices.Sorted(slices.Values(values))
		i.Low, i.High = sorted[k-1], sorted[n-k]
	}
	return i
}

const confidence = 0.99

// CoinTail is the probability that a fair coin, thrown n times, shows heads at
// least k times. It is exact for n up to 53.
func CoinTail(n, k int) float64 {
	sum := 0.0
	for i, term := 0, math.Ldexp(1, -n); i <= n; i++ { // term is that of i heads
		if i >= k {
			sum += term
		}
		term = term * float64(n-i) / float64(i+1)
	}
	return sum
}
