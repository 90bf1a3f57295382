package conntest

import (
	"context"
	"math"
	"time"

	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// The shape of a hold.
const (
	readings     = 20                     // at least, in a hold
	longestPause = 500 * time.Millisecond // between two, so that long holds have more
	mostReadings = 1000
	warmUp       = 5 // the first 1/5 of the readings is not judged
	// Within the shorter of the hold and longestPass every connection is touched;
	// and where there are few, so often that a leak shows.
	touches       = 1.05
	longestPass   = 10 * time.Second
	fewestTouches = 30_000
)

// Bounds of phases that take longer than the usual. They judge nothing.
const connectBound = 5 * time.Minute

// holdBound has time for two holds, and as much again for a machine that is busy.
func holdBound(hold time.Duration) time.Duration { return 4*hold + connectBound }

// holdResults keeps what was counted when the hold ended.
func (k *kit) holdResults() {
	for _, d := range k.kinds {
		a := d.held()
		k.Scenario.Judge(d.count, float64(min(a.Held, a.Touched)), validate.Conditions{Scale: d.n, Share: 1})
		for _, h := range d.servers() {
			p := &d.result.Hold.Pauses
			p.Cycles += h.now.Pauses.Cycles
			p.P99, p.Max = max(p.P99, h.now.Pauses.P99), max(p.Max, h.now.Pauses.Max)
		}
	}
}

// watched is what was read of one kind during a hold, one value a reading.
type watched struct {
	at     []float64 // s
	sent   []float64 // requests so far
	values [heldFigures][]float64
}

// add keeps what the hosts of a kind have just said.
func (w *watched) add(at time.Duration, d *kind) {
	var sum [heldFigures]float64
	for _, h := range d.servers() {
		now := h.now.Now
		sum[heldMemory] += float64(now.Heap + now.Stacks)
		sum[heldGoroutines] += float64(now.Goroutines)
		if now.Descriptors != nil {
			sum[heldDescriptors] += float64(*now.Descriptors)
		}
	}
	w.at = append(w.at, at.Seconds())
	w.sent = append(w.sent, float64(d.held().Sent))
	for f := range sum {
		w.values[f] = append(w.values[f], sum[f])
	}
}

// judge lays lines through all readings but the first few.
func (w *watched) judge(skip int) *report.Hold {
	last := len(w.at) - 1
	h := &report.Hold{Seconds: w.at[last], Operations: int(w.sent[last] - w.sent[0])}
	h.Rate = float64(h.Operations) / h.Seconds
	for f, to := range []*report.Rise{heldMemory: &h.Memory, heldGoroutines: &h.Goroutines,
		heldDescriptors: &h.Descriptors} {
		to.PerSecond = measure.FitTrend(w.at[skip:], w.values[f][skip:])
		to.PerRequest = measure.FitTrend(w.sent[skip:], w.values[f][skip:])
	}
	for i := range w.at {
		h.Series = append(h.Series, report.Reading{At: w.at[i], Memory: w.values[heldMemory][i],
			Goroutines: w.values[heldGoroutines][i], Descriptors: w.values[heldDescriptors][i]})
	}
	return h
}

// watch holds connections of some kinds once: a trickle of requests over all of
// them, and readings at the same instants. It goes on beyond the time that is set
// until every connection was touched and enough was read.
func (k *kit) watch(ctx context.Context, kinds []*kind) (seen []*watched, ok bool) {
	hold := k.Settings().Hold
	pause := max(min(hold/readings, longestPause), hold/mostReadings)
	var all, servers, callers []*host
	for _, d := range kinds {
		all, servers, callers = append(all, d.hosts...), append(servers, d.servers()...), append(callers, d.callers()...)
		seen = append(seen, new(watched))
	}
	ok = k.all(ctx, all, only(doHold))
	began := time.Now()
	for ok {
		reading := time.Now()
		if !k.all(ctx, servers, only(doRead)) {
			break
		}
		at, took := time.Since(began), time.Since(reading)
		touched := true
		for i, d := range kinds {
			seen[i].add(at, d)
			a := d.held()
			touched = touched && a.Touched >= a.Held
			ok = k.sound(d, "hold") && ok
		}
		if ok && at >= hold && len(seen[0].at) > readings && touched {
			return seen, true
		}
		// The time for reading comes off that for the requests.
		over := max(pause-took, pause/4)
		ok = ok && k.all(ctx, callers, func(h *host) hostRequest {
			return hostRequest{Do: doTouch, N: k.trickle(h, hold, pause), Over: over}
		})
	}
	return nil, false
}

// trickle is how many requests the callers of a host send between two readings.
func (k *kit) trickle(h *host, hold, pause time.Duration) int {
	n := touches * float64(h.N)
	if !k.Crowded { // else each would wait for the turns of others
		n = max(n, fewestTouches*float64(h.N)/float64(h.of))
	}
	return int(math.Ceil(n * float64(pause) / float64(min(hold, longestPass))))
}
