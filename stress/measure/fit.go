package measure

import (
	"math"
	"slices"
)

// PowerLaw fits y = c x^e and returns e, the exponent of growth: 1 where y grows
// in proportion to x. It is nil for fewer than three points, or where one is not
// above 0: a logarithm then says nothing.
func PowerLaw(x, y []float64) (exponent *float64) {
	if len(x) < 3 {
		return nil
	}
	logX, logY := make([]float64, len(x)), make([]float64, len(y))
	for i := range x {
		if x[i] <= 0 || y[i] <= 0 {
			return nil
		}
		logX[i], logY[i] = math.Log(x[i]), math.Log(y[i])
	}
	if slices.Min(x) == slices.Max(x) {
		return nil
	}
	e, _ := leastSquares(logX, logY)
	return &e
}

// USL is the Universal Scalability Law: with p processors the throughput is
//
//	Lambda p / (1 + Sigma (p-1) + Kappa p (p-1))
//
// See Neil J. Gunther, "Guerrilla Capacity Planning" (2007), chapter 4.
type USL struct {
	Lambda float64 `json:"lambda_ops_per_s"` // of one processor
	Sigma  float64 `json:"sigma"`            // contention: the part that is done one at a time
	Kappa  float64 `json:"kappa"`            // crosstalk: the cost of agreeing, per pair
}

// FitUSL fits the law to throughputs measured with numbers of processors, by
// least squares over p/C(p) - 1 = Sigma (p-1) + Kappa p (p-1) with C relative to
// one processor. It needs one processor and two other numbers, and returns nil
// for less.
func FitUSL(processors, throughput []float64) *USL {
	if len(processors) < 3 || processors[0] != 1 || throughput[0] <= 0 {
		return nil
	}
	u := USL{Lambda: throughput[0]}
	var aa, ab, bb, ay, by float64
	for i, p := range processors[1:] {
		rate := throughput[i+1]
		if rate <= 0 {
			return nil
		}
		a, b := p-1, p*(p-1)
		y := p*u.Lambda/rate - 1
		aa, ab, bb = aa+a*a, ab+a*b, bb+b*b
		ay, by = ay+a*y, by+b*y
	}
	det := aa*bb - ab*ab
	if det == 0 {
		return nil
	}
	u.Sigma, u.Kappa = (ay*bb-by*ab)/det, (by*aa-ay*ab)/det
	return &u
}
