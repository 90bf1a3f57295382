package measure

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/montanaflynn/stats"
)

// Recorder keeps the latency of n operations. Each operation writes to a slot
// of its own, made before the clock starts, so recording takes no lock, makes
// no garbage and throws no sample away. Different slots may be written
// concurrently; what is read belongs to after the last write.
type Recorder struct {
	began time.Time
	slots []slot
}

type slot struct {
	ended   int64 // ns since began; 0 while the operation has not ended
	latency int64 // ns; failed where the operation did
}

const failed = -1

// NewRecorder returns a recorder for operations 0 to n-1. Its clock starts now;
// Begin starts it again.
func NewRecorder(n int) *Recorder {
	return &Recorder{began: time.Now(), slots: make([]slot, n)}
}

// Begin sets the instant from which all others are counted. It must come
// before the first operation starts.
func (r *Recorder) Begin(at time.Time) { r.began = at }

// Since is the time since Begin in ns.
func (r *Recorder) Since() int64 { return int64(time.Since(r.began)) }

// Done records that operation i, which started or was due at from (ns since
// Begin), has just ended.
func (r *Recorder) Done(i int, from int64) {
	now := max(r.Since(), 1)
	r.slots[i] = slot{ended: now, latency: max(now-from, 0)}
}

// Failed records that operation i has just ended without success. It counts in
// the summary as failed and adds no latency.
func (r *Recorder) Failed(i int) {
	r.slots[i] = slot{ended: max(r.Since(), 1), latency: failed}
}

// Export returns what was recorded, for a Recorder in another process.
func (r *Recorder) Export() []byte {
	b := make([]byte, 0, 16*len(r.slots))
	for _, s := range r.slots {
		b = binary.LittleEndian.AppendUint64(b, uint64(s.ended))
		b = binary.LittleEndian.AppendUint64(b, uint64(s.latency))
	}
	return b
}

// Import adds the operations that another Recorder exported, which began later
// by that many ns: the instants at which they ended are moved by so much.
func (r *Recorder) Import(b []byte, later int64) {
	for ; len(b) >= 16; b = b[16:] {
		s := slot{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
		if s.ended > 0 {
			s.ended += later
		}
		r.slots = append(r.slots, s)
	}
}

// Append adds the operations of another recorder, as if it had begun when the last
// of those recorded so far ended.
func (r *Recorder) Append(other *Recorder) {
	later := r.Took()
	for _, o := range other.slots {
		if o.ended > 0 {
			o.ended += later
		}
		r.slots = append(r.slots, o)
	}
}

// Latency sums up the samples of a recorder. All times are in ns.
type Latency struct {
	N      int     `json:"n"`      // operations that succeeded: one sample each
	Failed int     `json:"failed"` // operations that ended without success
	Mean   float64 `json:"mean_ns"`
	StdDev float64 `json:"stddev_ns"`
	Min    int64   `json:"min_ns"`
	P50    int64   `json:"p50_ns"`
	P95    int64   `json:"p95_ns"`
	P99    int64   `json:"p99_ns"`
	P999   int64   `json:"p999_ns"`
	Max    int64   `json:"max_ns"`
	// Curve is the whole distribution, from the smallest sample to the largest.
	Curve []Quantile `json:"curve,omitempty"`
}

// Quantile is a point of a distribution: all samples but Above took NS or less.
type Quantile struct {
	Above int   `json:"above"`
	NS    int64 `json:"ns"`
}

// Latency computes the summary from every sample.
func (r *Recorder) Latency() Latency {
	failures := 0
	samples := make([]int64, 0, len(r.slots))
	for _, s := range r.slots {
		switch {
		case s.ended == 0:
		case s.latency == failed:
			failures++
		default:
			samples = append(samples, s.latency)
		}
	}
	return Summarize(samples, failures)
}

// Summarize computes the summary of samples in ns, which it sorts, beside
// failures that left none.
func Summarize(samples []int64, failures int) Latency {
	l := Latency{N: len(samples), Failed: failures}
	if l.N == 0 {
		return l
	}
	slices.Sort(samples)
	l.Min, l.Max = samples[0], samples[l.N-1]
	l.P50 = percentile(samples, 500)
	l.P95 = percentile(samples, 950)
	l.P99 = percentile(samples, 990)
	l.P999 = percentile(samples, 999)
	data := stats.LoadRawData(samples)
	l.Mean, _ = data.Mean() // its only error is: no samples
	l.StdDev, _ = data.StandardDeviation()
	l.Curve = curve(samples)
	return l
}

// perDecade is the number of points of a curve from one in ten to one in a
// hundred, and so on.
const perDecade = 8

// curve picks points of samples that are sorted upwards, evenly on the axis of
// one in so many: as many for the slowest tenth as for the slowest thousandth.
func curve(sorted []int64) []Quantile {
	n := len(sorted)
	var points []Quantile
	add := func(above int) {
		if len(points) == 0 || above < points[len(points)-1].Above {
			points = append(points, Quantile{above, sorted[n-1-above]})
		}
	}
	add(n - 1)
	for _, percent := range []int{99, 95, 90, 83} { // up to the first below
		add(n * percent / 100)
	}
	for i := 1; ; i++ {
		above := int(float64(n) / math.Pow(10, float64(i)/perDecade))
		if above == 0 {
			break
		}
		add(above)
	}
	add(0)
	return points
}

// percentile returns the nearest-rank percentile of samples that are sorted
// upwards: the smallest sample that at least perMille of a thousand do not
// exceed. perMille lies between 1 and 1000; the rank is computed in integers, as
// 99.9 % of a million in floating point is not the 999,000th. It returns 0 for
// no samples.
func percentile(sorted []int64, perMille int) int64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	rank := (n*perMille + 999) / 1000
	return sorted[min(max(rank, 1), n)-1]
}

// Took is the time in ns from Begin to the end of the last operation.
func (r *Recorder) Took() int64 {
	last := int64(0)
	for _, s := range r.slots {
		last = max(last, s.ended)
	}
	return last
}

// Throughput is the number of operations that succeeded by the time from
// Begin to the end of the last, in operations a second.
func (r *Recorder) Throughput() float64 {
	n, last := 0, r.Took()
	for _, s := range r.slots {
		if s.ended > 0 && s.latency != failed {
			n++
		}
	}
	if last == 0 {
		return 0
	}
	return float64(n) / (float64(last) / float64(time.Second))
}

// Bin is what ended within one part of a run.
type Bin struct {
	At     float64 `json:"at_s"` // when it begins, in seconds since Begin
	Width  float64 `json:"width_s"`
	Ended  int     `json:"ended"`
	Failed int     `json:"failed"`
	P50    int64   `json:"p50_ns"`
	P99    int64   `json:"p99_ns"`
	Max    int64   `json:"max_ns"`
}

// mostBins bounds a series, however long a run is.
const mostBins = 100

// Series is the run in parts of equal width, up to that of the last end. A part
// in which nothing ended is in it, with zeros: a stall shows. The width is 1, 2
// or 5 ms, or ten times so many, and so on, for at most a hundred parts.
func (r *Recorder) Series() []Bin {
	last := r.Took()
	if last == 0 {
		return nil
	}
	width := binWidth(last)
	series := make([]Bin, last/width+1)
	samples := make([][]int64, len(series))
	for _, s := range r.slots {
		if s.ended == 0 {
			continue
		}
		at := s.ended / width
		series[at].Ended++
		if s.latency == failed {
			series[at].Failed++
		} else {
			samples[at] = append(samples[at], s.latency)
		}
	}
	for at := range series {
		slices.Sort(samples[at])
		b := &series[at]
		b.Width = float64(width) / float64(time.Second)
		b.At = float64(int64(at)*width) / float64(time.Second)
		b.P50 = percentile(samples[at], 500)
		b.P99 = percentile(samples[at], 990)
		b.Max = percentile(samples[at], 1000)
	}
	return series
}

// binWidth is the width in ns for a run that ends at last.
func binWidth(last int64) int64 {
	for unit := int64(time.Millisecond); ; unit *= 10 {
		for _, width := range []int64{unit, 2 * unit, 5 * unit} {
			if last/width < mostBins {
				return width
			}
		}
	}
}
