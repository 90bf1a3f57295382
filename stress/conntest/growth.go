package conntest

import (
	"context"
	"slices"
	"testing"

	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// The figures that must not grow while connections are held.
const (
	heldMemory = iota
	heldGoroutines
	heldDescriptors
	heldFigures
)

const (
	// word is the least in bytes that is kept of a request by what keeps anything.
	word = 8
	// leakFloor is the growth of memory that is no leak, in bytes a request.
	leakFloor = word / 2
)

// rule is what growth of a figure is no leak, and how a leak is reported.
type rule struct {
	perRequest float64 // this much, for each request
	own        float64 // or this much in all, for each process: the runtime's own
	criterion  string
	rises      string
	of         func(*report.Hold) *report.Rise
	level      func(report.Level) float64
	place      func(measure.Growth) string
}

var rules = [heldFigures]rule{
	heldMemory: {
		perRequest: leakFloor, own: ownHeap, criterion: "slope", rises: "memory rises by %s bytes",
		of:    func(h *report.Hold) *report.Rise { return &h.Memory },
		level: func(l report.Level) float64 { return l.Memory },
		place: func(g measure.Growth) string { return g.Heap },
	},
	heldGoroutines: {
		own: 2, criterion: "growth", rises: "goroutines rise by %s",
		of:    func(h *report.Hold) *report.Rise { return &h.Goroutines },
		level: func(l report.Level) float64 { return l.Goroutines },
		place: func(g measure.Growth) string { return g.Goroutine },
	},
	heldDescriptors: {
		own: 2, criterion: "growth", rises: "descriptors rise by %s",
		of:    func(h *report.Hold) *report.Rise { return &h.Descriptors },
		level: func(l report.Level) float64 { return l.Descriptors },
		place: func(g measure.Growth) string { return g.Descriptor },
	},
}

// hold keeps all connections open, touches all of them, and judges whether what
// they take grows. Growth that is seen is given the chance to stop, since a
// cache that fills, or a sawtooth longer than the hold, is no leak:
//
//   - What rises along a line must do so in a second hold of the same length too.
//   - What rises in steps, as a map does that doubles, may not step again in that
//     time. So requests are sent as fast as they are answered, until there have
//     been more than twice as many, and twice as many again: by then it must have
//     doubled each time. So it is where there were too few to see anything.
func (k *kit) hold(ctx context.Context, _ *testing.T) {
	var seen []*watched
	ok := false
	k.UnderLoad(func() { seen, ok = k.watch(ctx, k.kinds) })
	if !ok {
		return
	}
	var suspects []*kind
	for i, d := range k.kinds {
		d.result.Hold = seen[i].judge(len(seen[i].at) / warmUp)
		switch {
		case d.rising(d.result.Hold) != (grown{}) || d.climbing(seen[i].halves()) != (grown{}):
			k.Logf("%s: something grew", d.name)
		case d.result.Hold.Operations*word < 2*ownHeap:
			k.Logf("%s: %d requests are too few to see a leak", d.name, d.result.Hold.Operations)
		default:
			continue
		}
		suspects = append(suspects, d)
	}
	beyond := 0.0
	for _, d := range suspects {
		slope, ok := k.suspect(ctx, d)
		if !ok {
			return
		}
		beyond = max(beyond, slope)
	}
	k.Measured("slope", beyond)
	k.holdResults()
}

// grown is which figures grow.
type grown [heldFigures]bool

// rising is what goes on growing along a line, beyond its noise.
func (d *kind) rising(h *report.Hold) (g grown) {
	for f, rule := range rules {
		own := rule.own * float64(d.result.Servers)
		rise := rule.of(h)
		g[f] = rise.PerSecond.Rises(max(rule.perRequest*h.Rate, own/h.Seconds)) ||
			rise.PerRequest.Rises(max(rule.perRequest, own/float64(max(h.Operations, 1))))
	}
	return g
}

// climbing is what is higher at every level than at the one before.
func (d *kind) climbing(levels []report.Level) (g grown) {
	for f, rule := range rules {
		own := rule.own * float64(d.result.Servers)
		g[f] = len(levels) > 1
		for i := 1; i < len(levels); i++ {
			requests := float64(levels[i].Requests - levels[i-1].Requests)
			g[f] = g[f] && rule.level(levels[i])-rule.level(levels[i-1]) > max(rule.perRequest*requests, own)
		}
	}
	return g
}

// rise is by how much a figure has grown for each request, from the first level to
// the last.
func rise(levels []report.Level, figure func(report.Level) float64) float64 {
	first, last := levels[0], levels[len(levels)-1]
	return (figure(last) - figure(first)) / float64(last.Requests-first.Requests)
}

// suspect gives what has grown the chance to stop, and fails the scenario if it
// does not. It returns the slope of memory beyond its noise in bytes/s.
func (k *kit) suspect(ctx context.Context, d *kind) (beyond float64, ok bool) {
	if !k.all(ctx, d.servers(), only(doCensus)) {
		return 0, false
	}
	hold := d.result.Hold
	var twice, thrice grown
	if first := d.rising(hold); first != (grown{}) {
		seen, ok := k.watch(ctx, []*kind{d})
		if !ok {
			return 0, false
		}
		hold.Again = seen[0].judge(0)
		for f, again := range d.rising(hold.Again) {
			twice[f] = first[f] && again
		}
	}
	if twice == (grown{}) {
		if hold.Levels, ok = k.press(ctx, d); !ok {
			return 0, false
		}
		thrice = d.climbing(hold.Levels)
	}
	if !k.all(ctx, d.servers(), only(doCensus)) {
		return 0, false
	}
	for f, rule := range rules {
		switch {
		case twice[f]:
			second, request := rule.of(hold.Again).PerSecond, rule.of(hold.Again).PerRequest
			k.Violate(rule.criterion, "%s: "+rule.rises+" a second (95 %% sure: %s to %s), %s a request, and did so in two "+
				"holds of %v; most at %s",
				d.name, validate.Number(second.Slope), validate.Number(second.Low), validate.Number(second.High),
				validate.Number(request.Slope), k.Settings().Hold, d.place(rule.place))
			if f == heldMemory {
				beyond = max(second.Low, request.Low*hold.Again.Rate)
			}
		case thrice[f]:
			each, requests := rise(hold.Levels, rule.level), hold.Levels[len(hold.Levels)-1].Requests
			k.Violate(rule.criterion, "%s: "+rule.rises+" a request, in steps, and did not stop within %s requests; most at %s",
				d.name, validate.Number(each), validate.Number(float64(requests)), d.place(rule.place))
			if f == heldMemory {
				beyond = each * hold.Rate
			}
		}
	}
	if twice == (grown{}) && thrice == (grown{}) {
		k.Note("%s: nothing kept growing; it was measured until %s requests.", d.name,
			validate.Number(float64(d.held().Sent)))
	}
	return beyond, true
}

// place is where a server of a kind has grown most.
func (d *kind) place(of func(measure.Growth) string) string {
	for _, h := range d.servers() {
		if place := of(h.now.Growth); place != "" {
			return place
		}
	}
	return "a place that is not known"
}

// level is the least that figures were between two readings: whatever is
// collected or dropped now and then, as in a sawtooth, is not in it.
func (w *watched) level(from, to int) report.Level {
	least := func(of int) float64 { return slices.Min(w.values[of][from:to]) }
	return report.Level{Requests: int(w.sent[to-1]), Memory: least(heldMemory), Goroutines: least(heldGoroutines),
		Descriptors: least(heldDescriptors)}
}

// halves are the levels of the two halves of a hold, but for its first readings.
func (w *watched) halves() []report.Level {
	first := len(w.at) / warmUp
	half := (first + len(w.at)) / 2
	return []report.Level{w.level(first, half), w.level(half, len(w.at))}
}

// fewestPressed is enough for a word that is kept of each to be far above what a
// process takes for itself.
const fewestPressed = 4 * ownHeap / word

// press sends requests as fast as they are answered, in three rounds, and
// returns the level of the last third of each. From one such third to the next
// the number of requests so far more than doubles.
func (k *kit) press(ctx context.Context, d *kind) ([]report.Level, bool) {
	const parts = 12
	var levels []report.Level
	for range 3 {
		w := new(watched)
		more := max(d.held().Sent*3/2, fewestPressed)
		if len(levels) == 0 {
			more /= 3 // only to know where it is now
		}
		for range parts {
			ok := k.all(ctx, d.callers(), func(h *host) hostRequest {
				return hostRequest{Do: doTouch, N: max(more*h.N/d.n/parts, 1)}
			}) && k.all(ctx, d.servers(), only(doRead)) && k.sound(d, "hold")
			if !ok {
				return nil, false
			}
			w.add(0, d)
		}
		levels = append(levels, w.level(parts*2/3, parts))
	}
	return levels, true
}
