package sessiontest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"tensile/stress/internal/scenario"
	"tensile/stress/report"
)

// The shape of a history: few sessions and many callers, so that they meet.
const (
	historyCallers = 16
	historyKeys    = 5
	historyOpTime  = 300 * time.Millisecond
	historyCheck   = 20 * time.Second // for one session
	historyBound   = 30 * time.Second // for one run, beyond what a phase has
)

// historyRun is one run of callers and faults, and what came of it.
type historyRun struct {
	number     int
	faults     []report.Event
	kinds      map[string]int // of faults, how many there were
	operations int
	checked    bool // by porcupine, to its end
	violations int
}

// recorded is one operation as its caller saw it, in ns of the harness's clock.
type recorded struct {
	Caller   int    `json:"caller"`
	Node     string `json:"node"`
	Key      string `json:"key"`
	Write    bool   `json:"write"`
	Value    string `json:"value"`          // written or read; "" for a deletion, and for nothing there
	Life     int64  `json:"life,omitempty"` // ns that it was written for; 0 without a limit
	Outcome  string `json:"outcome"`        // "done", or of a write "refused", or "unknown": it may have had its effect
	Invoked  int64  `json:"invoked"`        // ns
	Returned int64  `json:"returned"`       // ns; 0 where the outcome is unknown
}

// historyLanes is how many histories are made at once, each on a cluster of its
// own.
const historyLanes = 4

// histories are runs of seeded faults under callers, who have porcupine check
// what they saw.
type histories struct {
	want int
	next atomic.Int64

	mu   sync.Mutex
	runs []historyRun
}

func (k *kit) newHistories() *histories { return &histories{want: k.Settings().Histories} }

// run makes one after the other, until there are as many as are wanted.
func (h *histories) run(k *kit, ctx context.Context) {
	for ctx.Err() == nil && !k.Failed() {
		number := int(h.next.Add(1))
		if number > h.want {
			return
		}
		faults := k.disturb
		if number%2 == 1 {
			faults = k.killOne
		}
		r := k.history(ctx, number, faults)
		h.mu.Lock()
		h.runs = append(h.runs, r)
		h.mu.Unlock()
	}
}

// uneven has one node write over links on which two of the others hear of it
// much later than the third, and the others read all the time. A write that has
// begun is then seen at some places and not at others; but once it was seen, it
// must not be missed. Where everything is too slow for reads to come between, it
// is tried with links that are slower still. Where writes wait for none of these
// links, as they need not with a leader, what was written must be seen at once.
func (k *kit) uneven(ctx context.Context) {
	if k.abilities().Shares {
		return
	}
	for late := leastLate; !k.unevenly(ctx, late) && ctx.Err() == nil && !k.Failed(); late *= 2 {
		if late >= mostLate {
			k.Violate("linearizable", "there were no reads beside writes that took %v", late)
			return
		}
	}
}

const (
	leastLate = 150 * time.Millisecond
	mostLate  = 16 * leastLate
)

// unevenly tells whether every reader has read beside a write several times, in
// the mean, or no write waited for a slow link.
func (k *kit) unevenly(ctx context.Context, late time.Duration) bool {
	r := historyRun{}
	keys := keysNamed("uneven-"+late.String(), 12)
	if !k.writeAll(ctx, k.nodes, keys, "first") {
		return false
	}
	at := func(i uint64) *member { return k.nodes[(k.Seed+i)%nodeCount] }
	writer := at(0)
	for _, to := range []*member{at(2), at(3)} {
		k.links.Delay(writer.index, to.index, late)
		r.event(time.Now(), report.Fault, writer.name+">"+to.name, late.String()+" late")
	}
	began := time.Now()
	var mu sync.Mutex
	var all []recorded
	keep := func(o recorded, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if ok {
			all = append(all, o)
		}
	}
	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	const each = 3 // readers of a key
	for c := range each * len(keys) {
		key, n := keys[c/each], at(uint64(1+c%each))
		readers.Go(func() {
			defer k.Recovered("a caller")
			pause := time.NewTicker(2 * time.Millisecond)
			defer pause.Stop()
			for {
				keep(record(ctx, began, c, n, operation{kind: opGet, key: key}, opTime))
				select {
				case <-done:
					return
				case <-pause.C:
				}
			}
		})
	}
	for i, key := range keys {
		writers.Go(func() {
			defer k.Recovered("a caller")
			keep(record(ctx, began, each*len(keys)+i, writer, operation{kind: opPut, key: key, value: []byte("second")}, opTime))
		})
	}
	writers.Wait()
	wrote := time.Since(began)
	quick := wrote < late
	if quick {
		time.Sleep(late) // for as long as the slow links may not have brought it
	}
	close(done)
	readers.Wait()
	k.must(k.heal(ctx))
	beside := 0
	for _, o := range all {
		if !o.Write && o.Returned < int64(wrote) {
			beside++
		}
	}
	for _, key := range keys {
		all = append(all, recorded{Key: key, Write: true, Value: "first", Outcome: "done", Invoked: -2, Returned: -1})
	}
	k.checkHistory(&r, keys, all)
	return quick || beside >= 4*each*len(keys)
}

// history has callers read and write a few sessions while faults are injected,
// and checks what they saw.
func (k *kit) history(
	ctx context.Context, number int, faults func(context.Context, *rand.Rand, time.Time, *historyRun),
) historyRun {
	r := historyRun{number: number, kinds: make(map[string]int)}
	random := rand.New(rand.NewPCG(k.Seed, uint64(number)))
	keys := keysNamed(fmt.Sprintf("history-%d", number), historyKeys)
	var mu sync.Mutex
	var all []recorded
	began := time.Now()
	keep := func(ops ...recorded) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, ops...)
	}
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for c := range historyCallers {
		seed := random.Uint64()
		callers.Go(func() {
			defer k.Recovered("a caller")
			random := rand.New(rand.NewPCG(seed, 0))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				op := operation{kind: opGet, key: keys[random.IntN(len(keys))]}
				switch random.IntN(10) {
				case 0:
					op.kind = opDelete
				case 1, 2, 3:
					op.kind, op.value = opPut, fmt.Appendf(nil, "%d.%d", c, i)
				}
				if o, ok := record(ctx, began, c, k.nodes[random.IntN(len(k.nodes))], op, historyOpTime); ok {
					keep(o)
				}
			}
		})
	}
	faults(ctx, random, began, &r)
	close(stop)
	callers.Wait()
	k.settle(ctx)
	for i := range len(keys) * len(k.nodes) {
		n, key := k.nodes[i%len(k.nodes)], keys[i/len(k.nodes)]
		invoked := time.Since(began)
		got := k.eventually(ctx, n, operation{kind: opGet, key: key})
		if got.err != nil {
			k.Violate("latest", "history %d: all faults were undone, and %s cannot be read at %s: %v", number, key, n.name,
				got.err)
			return r
		}
		keep(recorded{
			Caller: historyCallers, Node: n.name, Key: key, Value: string(got.value), Outcome: "done",
			Invoked: int64(invoked), Returned: int64(time.Since(began)),
		})
	}
	for _, o := range all {
		if o.Outcome != "refused" {
			r.operations++
		}
	}
	k.checkHistory(&r, keys, all)
	return r
}

// record performs an operation for a caller of a history, and returns how it saw it, unless it was a
// read that failed.
func record(
	ctx context.Context, began time.Time, caller int, n *member, op operation, within time.Duration,
) (recorded, bool) {
	o, r := observe(ctx, began, n, op, within)
	o.Caller = caller
	if r.outcome == opRefused && o.Write {
		// A node that is not there refuses at once: its callers must not spin.
		time.Sleep(time.Millisecond)
	}
	return o, o.Write || r.err == nil
}

// observe performs an operation. It returns how its caller saw it, and what came of it.
func observe(ctx context.Context, began time.Time, n *member, op operation, within time.Duration) (recorded, result) {
	o := recorded{Node: n.name, Key: op.key, Write: op.kind != opGet, Value: string(op.value), Life: int64(op.ttl),
		Outcome: "done", Invoked: int64(time.Since(began))}
	r := n.do(ctx, within, op)
	o.Returned = int64(time.Since(began))
	switch {
	case !o.Write:
		o.Value = string(r.value)
	case r.outcome == opRefused:
		o.Outcome = "refused"
	case r.outcome == opFailed:
		o.Outcome, o.Returned = "unknown", 0
	}
	return o, r
}

// lasts draws for how long something is to last, or half of that.
func (k *kit) lasts(random *rand.Rand, least, most time.Duration) time.Duration {
	d := least + time.Duration(random.Int64N(int64(most-least)))
	if k.brief() {
		d /= 2
	}
	return d
}

// inject keeps that a fault was injected.
func (r *historyRun) inject(began time.Time, target, kind string) {
	r.event(began, report.Fault, target, kind)
	r.kinds[kind]++
}

func (r *historyRun) event(began time.Time, kind report.EventKind, target, what string) {
	r.faults = append(r.faults, report.Event{At: time.Since(began).Seconds(), Kind: kind, Target: target, What: what})
}

// slow delays each direction between nodes for a time of its own, so that what
// is done at several nodes is not done at once.
func (k *kit) slow(random *rand.Rand, most time.Duration, began time.Time, r *historyRun) {
	if k.abilities().Shares {
		return
	}
	r.inject(began, "all links", "links slow")
	for from := range k.nodes {
		for to := range k.nodes {
			if from != to {
				k.links.Delay(from, to, time.Duration(random.Int64N(int64(most))))
			}
		}
	}
}

// killOne kills a node and starts it again, on slow links.
func (k *kit) killOne(ctx context.Context, random *rand.Rand, began time.Time, r *historyRun) {
	victim := k.nodes[random.IntN(len(k.nodes))]
	k.slow(random, k.lasts(random, time.Millisecond, 10*time.Millisecond), began, r)
	time.Sleep(k.lasts(random, 100*time.Millisecond, 200*time.Millisecond))
	r.inject(began, victim.name, "SIGKILL")
	victim.kill()
	time.Sleep(k.lasts(random, 0, 400*time.Millisecond))
	k.must(k.restart(ctx, victim))
	r.event(began, report.Undone, victim.name, "started again, without its memory")
	time.Sleep(k.lasts(random, 100*time.Millisecond, 300*time.Millisecond))
	k.must(k.heal(ctx))
}

// disturb pauses nodes, cuts, delays and breaks links, one after the other; of
// nodes that share a server it only pauses some.
func (k *kit) disturb(ctx context.Context, random *rand.Rand, began time.Time, r *historyRun) {
	k.slow(random, k.lasts(random, time.Millisecond, 5*time.Millisecond), began, r)
	for range 3 {
		at := random.Perm(len(k.nodes))
		n, other := k.nodes[at[0]], k.nodes[at[1]]
		kind, long := random.IntN(5), k.lasts(random, 50*time.Millisecond, 500*time.Millisecond)
		if k.abilities().Shares { // so that operations end at their time, and must say whether they were sent
			kind, long = 0, long+historyOpTime
		}
		undo := func(target, what string, undo func()) {
			r.inject(began, target, what)
			time.Sleep(long)
			undo()
			r.event(began, report.Undone, target, what)
		}
		switch kind {
		case 0:
			_ = n.pause(true) // it is there
			undo(n.name, "SIGSTOP", func() { _ = n.pause(false); k.tell(ctx, n) })
		case 1:
			k.isolate(ctx, n, true)
			undo(n.name, "cut off", func() { k.isolate(ctx, n, false) })
		case 2:
			k.cut(ctx, n, other, true)
			undo(n.name+">"+other.name, "cut one way", func() { k.cut(ctx, n, other, false) })
		case 3:
			random := rand.New(rand.NewPCG(random.Uint64(), 0)) // how often is a matter of time
			pause := func() { time.Sleep(k.lasts(random, 10*time.Millisecond, 100*time.Millisecond)) }
			for until := time.Now().Add(long); time.Now().Before(until); pause() {
				if k.links.Break(n.index, other.index) > 0 {
					r.inject(began, n.name+"-"+other.name, "connections reset")
				}
			}
		case 4:
			k.slow(random, 30*time.Millisecond, began, r)
			time.Sleep(long)
		}
	}
	k.must(k.heal(ctx))
	time.Sleep(k.lasts(random, 50*time.Millisecond, 150*time.Millisecond))
}

// input is an operation as the model sees it.
type input struct {
	write bool
	ends  bool // it is the end of the life of the value, if that is there
	value string
}

// model is the specification of one session: a read sees the write before
// it. Outputs are the values read.
var model = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		switch in := in.(input); {
		case in.write:
			return true, in.value
		case in.ends && state == in.value:
			return true, ""
		case in.ends:
			return true, state
		}
		return out == state, state
	},
	DescribeOperation: func(in, out any) string {
		if in := in.(input); in.ends {
			return fmt.Sprintf("the life of %q ends", in.value)
		} else if !in.write {
			return fmt.Sprintf("get: %q", out)
		} else if in.value == "" {
			return fmt.Sprintf("delete (%v)", out)
		} else {
			return fmt.Sprintf("put %q (%v)", in.value, out)
		}
	},
}

// unwritten is a sentence of a value that was read and that nobody wrote, or only one who
// was told that it was refused; "" if there is none.
func unwritten(all []recorded) string {
	written, refused := map[string]bool{"": true}, make(map[string]recorded)
	for _, o := range all {
		switch {
		case !o.Write:
		case o.Outcome == "refused":
			refused[o.Value] = o
		default:
			written[o.Value] = true
		}
	}
	for _, o := range all {
		if o.Write || written[o.Value] {
			continue
		}
		if by, ok := refused[o.Value]; ok {
			return fmt.Sprintf("%s refused to write %.80q to %s, and yet the write was done: %s has it", by.Node, o.Value, o.Key,
				o.Node)
		}
		return fmt.Sprintf("%s has a value at %s that nobody wrote: %.80q", o.Key, o.Node, o.Value)
	}
	return ""
}

// checkHistory has porcupine check each session by itself: a history is
// linearizable if that of each of its objects is (Herlihy, Wing, 1990).
func (k *kit) checkHistory(r *historyRun, keys []string, all []recorded) {
	r.checked = true
	if wrong := unwritten(all); wrong != "" {
		k.Violate("phantom", "%s", wrong)
		return
	}
	for _, key := range keys {
		ops := operationsOn(slices.DeleteFunc(slices.Clone(all), func(o recorded) bool { return o.Key != key }))
		outcome, info := porcupine.CheckOperationsVerbose(model, ops, historyCheck)
		switch outcome {
		case porcupine.Unknown:
			r.checked = false
			k.Note("History %d of %s, of %d operations, could not be checked within %v.", r.number, key, len(ops), historyCheck)
		case porcupine.Illegal:
			r.violations++
			k.Violate("linearizable", "%d operations on %s are not linearizable; faults: %s; %s", len(ops), key, r.describe(),
				k.saveHistory(key, info, all))
		}
	}
}

// describe is the faults of the run, in words.
func (r *historyRun) describe() string {
	var words []string
	for _, f := range r.faults {
		words = append(words, fmt.Sprintf("%.0f ms %s %s %s", f.At*1e3, f.Kind, f.Target, f.What))
	}
	return strings.Join(words, ", ")
}

// saveHistory writes a history and porcupine's picture of it to the output
// folder, and names the files.
func (k *kit) saveHistory(key string, info porcupine.LinearizationInfo, all []recorded) string {
	var names []string
	write := func(ending string, content func(io.Writer) error) error {
		file, err := k.Run.Folder.CreateEvidence(k.ID + "-" + key + ending)
		if err != nil {
			return err
		}
		names = append(names, file.Name())
		return errors.Join(content(file), file.Close())
	}
	err := errors.Join(
		write(".json", func(w io.Writer) error {
			out := json.NewEncoder(w)
			out.SetIndent("", " ")
			return out.Encode(all)
		}),
		write(".html", func(w io.Writer) error { return porcupine.Visualize(model, info, w) }))
	if err != nil {
		return fmt.Sprintf("no file was written: %v", err)
	}
	return fmt.Sprintf("the history is in %s, and as a picture in %s", names[0], names[1])
}

// judge measures how many were checked, and what was found.
func (h *histories) judge(s *scenario.Scenario) {
	if len(h.runs) == 0 {
		return
	}
	slices.SortFunc(h.runs, func(a, b historyRun) int { return cmp.Compare(a.number, b.number) })
	checked, operations, faults := 0, 0, make(map[string]int)
	for _, r := range h.runs {
		if r.checked {
			checked++
		}
		operations += r.operations
		for kind, n := range r.kinds {
			faults[kind] += n
		}
		line := report.Timeline{Name: fmt.Sprintf("history %d", r.number), Events: r.faults}
		s.Record(func(r *report.Scenario) { r.Timelines = append(r.Timelines, line) })
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(faults)) {
		kinds = append(kinds, fmt.Sprintf("%d × %s", faults[kind], kind))
	}
	s.Note("%d histories of %d operations in all were checked, under these faults: %s.", checked, operations,
		strings.Join(kinds, ", "))
	s.Measured("histories", float64(checked))
	s.Measured("histories_reach", float64(checked))
}
