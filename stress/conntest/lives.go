package conntest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// lifeWay is a way in which short lives end.
type lifeWay struct {
	name string // what their peers do
	tcp  bool   // only there
	life func(i int) exchange.Life
}

// lifeWays are all. Their lives end at each byte of a request or a reply in turn.
var lifeWays = withResets([]lifeWay{
	{"hang up without a request", false, func(int) exchange.Life { return exchange.Life{} }},
	{"hang up in the middle of a request", false, func(i int) exchange.Life {
		answered := i % 2 * FrameSize
		return exchange.Life{Sends: answered + 1 + i%(FrameSize-1), Reads: answered}
	}},
	{"hang up before the reply", false, func(i int) exchange.Life {
		return exchange.Life{Sends: (1+i%4)*FrameSize + i%8/7}
	}},
	{"hang up in the middle of a reply", false, func(i int) exchange.Life {
		return exchange.Life{Sends: 2 * FrameSize, Reads: 1 + i%(2*FrameSize-1)}
	}},
	{"hang up after the reply", false, func(i int) exchange.Life {
		n := (1 + i%2) * FrameSize
		return exchange.Life{Sends: n, Reads: n}
	}},
	{"close their half", true, func(i int) exchange.Life {
		return exchange.Life{Sends: i % (3 * FrameSize), Goes: exchange.CloseHalf}
	}},
})

// withResets adds the same with a reset in place of each end.
func withResets(all []lifeWay) []lifeWay {
	for _, w := range all {
		if w.tcp {
			continue
		}
		all = append(all, lifeWay{strings.Replace(w.name, "hang up", "reset", 1), true, func(i int) exchange.Life {
			l := w.life(i)
			l.Goes = exchange.Reset
			return l
		}})
	}
	return all
}

// lives are short ones, of each way: what a server keeps of those that have gone it keeps
// in each round.
func (k *kit) lives(ctx context.Context, _ *testing.T) {
	var kinds sync.WaitGroup
	for _, d := range k.kinds {
		kinds.Go(func() {
			defer k.Recovered("lives")
			for range warmRounds {
				if _, ok := k.comeAndGo(ctx, d, 0, 0, nil); !ok {
					return
				}
			}
			for way, w := range lifeWays {
				if (!w.tcp || d.Network == networkTCP) && !k.livesOf(ctx, d, way) {
					return
				}
			}
		})
	}
	kinds.Wait()
}

const (
	// warmRounds come first, and are not judged: a process keeps what it needs first.
	warmRounds = 3
	lifeRounds = 4
	// livesAtOnce bounds how many a server has not seen the end of yet: what it has room
	// for then it may keep.
	livesAtOnce = 100
)

// memoryReadings are so many that what is allocated beside them hardly meets them all.
const memoryReadings = 5

// sureLives are so many in a round that what is kept of each can be told from what a
// process takes for itself.
var sureLives = [...]int{10 * livesAtOnce, 40 * livesAtOnce}

// keptAtLeast is the growth of the heap in bytes, over m lives, that is looked at again.
func keptAtLeast(m int) float64 { return max(word*float64(m), 2048) }

// livesOf has lives of one way come and go. It reports false if something is wrong.
func (k *kit) livesOf(ctx context.Context, d *kind, way int) bool {
	n := 3 * livesAtOnce
	if testing.Short() {
		n = livesAtOnce
	}
	levels, ok := k.lifeLevels(ctx, d, way, n)
	if !ok {
		return false
	}
	if rises(levels, keptAtLeast(n)) < lifeRounds-2 { // it may rise in steps
		return true
	}
	// Again with many, and with more, in which a cache is full at last; and with the places
	// at which memory is taken.
	for _, n := range sureLives {
		if !k.all(ctx, d.servers(), only(doCensus)) {
			return false
		}
		if levels, ok = k.lifeLevels(ctx, d, way, n); !ok || !k.all(ctx, d.servers(), only(doCensus)) {
			return false
		}
		if rises(levels, keptAtLeast(n)) < lifeRounds-1 {
			return true
		}
	}
	const says = "%s: memory rises by %s bytes with each connection that has come and gone, of those that %s; most at %s"
	k.Violate("slope", says, d.name, validate.Number(rise(levels, rules[heldMemory].level)), lifeWays[way].name,
		d.place(rules[heldMemory].place))
	return false
}

// rises counts the rounds by which memory has risen, by more than so many bytes, above
// all that it was before.
func rises(levels []report.Level, least float64) (n int) {
	most := levels[0].Memory
	for _, l := range levels[1:] {
		if l.Memory-most > least {
			n++
		}
		most = max(most, l.Memory)
	}
	return n
}

// lifeLevels are the levels after each round of n lives, as many requests as there were
// lives. Descriptors and goroutines that stay are named at once.
func (k *kit) lifeLevels(ctx context.Context, d *kind, way, n int) (levels []report.Level, ok bool) {
	for range lifeRounds {
		var before *report.Level
		if len(levels) > 0 {
			before = &levels[len(levels)-1]
		}
		var now report.Level
		for at := 0; at < n; at += livesAtOnce {
			if now, ok = k.comeAndGo(ctx, d, way, at, before); !ok {
				return nil, false
			}
		}
		now.Requests = (len(levels) + 1) * n * len(d.callers())
		levels = append(levels, now)
		if !k.keptOfLives(ctx, d, way, levels) {
			return nil, false
		}
	}
	return levels, true
}

// comeAndGo has lives of one way come and go, from the first-th on, and waits until the
// server has seen their ends.
func (k *kit) comeAndGo(ctx context.Context, d *kind, way, first int,
	before *report.Level) (now report.Level, ok bool) {
	server := d.addresses()
	if !k.all(ctx, d.callers(), func(h *host) hostRequest {
		return hostRequest{Do: doLive, Server: server[h], N: livesAtOnce, First: first, Way: way}
	}) || !k.sound(d, "short lives that "+lifeWays[way].name) {
		return now, false
	}
	return k.lifeLevel(ctx, d, before)
}

// lifeLevel reads what the servers hold until it is no more than before, or for as long
// as the ends of connections may take to be seen. Memory is the least of some readings, as
// what is allocated during one counts.
func (k *kit) lifeLevel(ctx context.Context, d *kind, before *report.Level) (now report.Level, ok bool) {
	w := new(watched)
	read := func() bool {
		ok = k.all(ctx, d.servers(), only(doRead))
		w.add(0, d)
		now = w.level(len(w.at)-1, len(w.at))
		return ok
	}
	wait.Until(ctx, scenario.Settle, func() bool {
		last := now
		switch {
		case !read():
			return true
		case before == nil:
			return now.Goroutines == last.Goroutines && now.Descriptors == last.Descriptors
		}
		return now.Goroutines <= before.Goroutines && now.Descriptors <= before.Descriptors
	})
	for range memoryReadings - 1 {
		ok = ok && read()
	}
	if !ok || ctx.Err() != nil {
		return now, false
	}
	now.Memory = w.level(len(w.at)-memoryReadings, len(w.at)).Memory
	return now, true
}

// keptOfLives judges goroutines and descriptors: some may be made when they are needed
// first, but there must not be more after each round, nor half as many as lives.
func (k *kit) keptOfLives(ctx context.Context, d *kind, way int, levels []report.Level) bool {
	last := len(levels) - 1
	if last == 0 {
		return true
	}
	n := levels[last].Requests - levels[last-1].Requests
	for _, f := range []int{heldDescriptors, heldGoroutines} {
		level, criterion, what := rules[f].level, "growth", "goroutines"
		if f == heldDescriptors {
			criterion, what = "close", "descriptors"
		}
		more := level(levels[last]) - level(levels[last-1])
		always := last == lifeRounds-1
		for i := 1; i <= last; i++ {
			always = always && level(levels[i]) > level(levels[i-1])
		}
		if always {
			more, n = level(levels[last])-level(levels[0]), levels[last].Requests-levels[0].Requests
		}
		if always || more >= float64(n)/2 {
			k.Violate(criterion, "%s: of %d connections whose peers %s %.0f %s have stayed, %v after the last; most at %s",
				d.name, n, lifeWays[way].name, more, what, scenario.Settle, k.placeOfLives(ctx, d, way, f))
			return false
		}
	}
	return true
}

// placeOfLives is where what stays of lives is made.
func (k *kit) placeOfLives(ctx context.Context, d *kind, way, figure int) string {
	if k.all(ctx, d.servers(), only(doCensus)) {
		k.comeAndGo(ctx, d, way, 0, nil)
		k.all(ctx, d.servers(), only(doCensus)) // what fails is said
	}
	return d.place(rules[figure].place)
}

// livesFrom are addresses that no connection is held from: 16 of them have ports for all
// that the system still remembers.
func (h *hostState) livesFrom(server string) func(context.Context, int) (net.Conn, error) {
	if h.memory != nil {
		return h.dialler(server)
	}
	return func(ctx context.Context, i int) (net.Conn, error) {
		d := net.Dialer{Timeout: scenario.Settle, KeepAlive: -1}
		if addresses > 1 {
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 1, byte(h.Pair), byte(1+i%16))}
		}
		conn, err := d.DialContext(ctx, "tcp", server)
		if err != nil {
			return nil, fmt.Errorf("a short life: %w", err)
		}
		return conn, nil
	}
}
