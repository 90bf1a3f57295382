package session

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A sequence of operations and faults, one after the other, with what must hold
// checked after each. One that fails is shrunk before it is shown.

// step is one of them.
type step struct {
	does  string
	node  string
	other string
	key   string
	after time.Duration
}

func (s step) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("%v %s %s %s %s",
		s.after.Round(time.Millisecond), s.does, s.node, s.other, s.key)), " ")
}

func drawSteps(seed uint64, n int) []step {
	random := rand.New(rand.NewPCG(seed, 2))
	names := []string{"a", "b", "c", "d"}
	does := []string{"put", "put", "put", "get", "get", "get", "delete", "expire", "crash", "restart", "restart",
		"pause", "resume", "isolate", "join", "cut", "mend", "lose", "delay", "double", "calm"}
	steps := make([]step, n)
	for i := range steps {
		steps[i] = step{
			does: does[random.IntN(len(does))], node: names[random.IntN(4)], key: fmt.Sprint(random.IntN(3)),
			after: time.Duration(random.Int64N(int64([]time.Duration{50 * time.Millisecond, 2 * time.Second}[random.IntN(2)]))),
		}
		steps[i].other = names[random.IntN(4)]
	}
	return steps
}

// known is what is known of a key: the value last acknowledged or seen, and
// those of writes that are uncertain and may still take effect.
type known struct {
	value   string
	version Version
	maybe   []string
}

// scene is a sequence being played.
type scene struct {
	w    *world
	keys map[string]*known
	down string // the one node that has crashed
	n    int
}

// play runs a sequence on a new world and returns what does not hold, or "".
func play(t *testing.T, seed uint64, steps []step, plant func(*world)) (wrong string) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, 4, Config{Timeout: 300 * time.Millisecond, TombstoneLife: time.Second, SyncEvery: time.Second})
		defer w.close()
		if plant != nil {
			plant(w)
		}
		sc := &scene{w: w, keys: map[string]*known{"0": {}, "1": {}, "2": {}}}
		for i, s := range steps {
			time.Sleep(s.after)
			if wrong = sc.do(s); wrong == "" {
				wrong = sc.invariant()
			}
			if wrong != "" {
				wrong = fmt.Sprintf("after step %d, %s: %s", i, s, wrong)
				return
			}
		}
		wrong = sc.settle()
	})
	return wrong
}

func (sc *scene) do(s step) (wrong string) {
	w := sc.w
	at := w.store(s.node)
	switch s.does {
	case "put", "delete", "expire":
		if at != nil {
			return sc.write(at, s)
		}
	case "get":
		if at != nil {
			return sc.read(at, s.key)
		}
	case "crash":
		// One loss of memory at a time is what is promised to be survived, and a
		// node that was thought dead has lost its memory too.
		if sc.down == "" && w.whole() {
			sc.down = s.node
			w.crash(s.node)
		}
	case "restart":
		if sc.down != "" {
			w.start(sc.down)
			sc.down = ""
		}
	case "pause":
		w.pause(s.node)
	case "resume":
		w.resume(s.node)
	case "isolate":
		w.isolate(s.node, true)
	case "join":
		w.isolate(s.node, false)
	case "cut":
		w.cut(s.node, s.other, true)
	case "mend":
		w.cut(s.node, s.other, false)
	case "lose":
		w.shape(func(l *link) { l.loss = 0.3 })
	case "delay":
		w.shape(func(l *link) { l.max = l.min + 80*time.Millisecond })
	case "double":
		w.shape(func(l *link) { l.double = 0.5 })
	case "calm":
		w.heal()
	}
	return ""
}

func (sc *scene) write(at *Store, s step) string {
	k := sc.keys[s.key]
	sc.n++
	value := fmt.Sprint("v", sc.n)
	var v Version
	var err error
	switch s.does {
	case "delete":
		value = ""
		v, err = at.Delete(context.Background(), s.key)
	case "expire":
		// It is gone again before anybody can look: a deletion in another way.
		value = ""
		v, err = at.Put(context.Background(), s.key, []byte("short"), time.Nanosecond)
	default:
		v, err = at.Put(context.Background(), s.key, []byte(value), 0)
	}
	switch {
	case errors.Is(err, ErrUncertain):
		k.maybe = append(k.maybe, value)
	case err == nil:
		if v.Compare(k.version) <= 0 {
			return fmt.Sprintf("a write got version %v, after %v", v, k.version)
		}
		k.value, k.version = value, v
	case !errors.Is(err, ErrNoQuorum):
		return fmt.Sprintf("a write got %v", err)
	}
	return ""
}

func (sc *scene) read(at *Store, key string) string {
	k := sc.keys[key]
	got, err := at.Get(context.Background(), key)
	value := string(got.Value)
	if err != nil && !errors.Is(err, ErrNotFound) {
		if errors.Is(err, ErrNoQuorum) {
			return ""
		}
		return fmt.Sprintf("a read got %v", err)
	}
	if err == nil && got.Version.Compare(k.version) < 0 {
		return fmt.Sprintf("a read got version %v, after %v", got.Version, k.version)
	}
	if value == k.value {
		return ""
	}
	if i := slices.Index(k.maybe, value); i >= 0 {
		k.maybe = slices.Delete(k.maybe, i, i+1)
		k.value = value
		if err == nil {
			k.version = got.Version
		}
		return ""
	}
	return fmt.Sprintf("key %s has %q, where %q was written and %q may have been", key, value, k.value, k.maybe)
}

// invariant is what makes a read see every write: in the latest epoch, any two
// replicas that vote have, between them, the last version acknowledged.
func (sc *scene) invariant() string {
	for key, k := range sc.keys {
		part := partitionOf(key)
		latest := uint64(0)
		type voter struct {
			name    string
			version Version
		}
		var voters []voter
		for _, name := range sc.w.names {
			s := sc.w.store(name)
			if s == nil {
				continue
			}
			p := &s.parts[part]
			p.mu.Lock()
			if p.epoch > latest {
				latest, voters = p.epoch, nil
			}
			if p.votes && p.epoch == latest {
				v := p.records[key].version
				if v.Counter == 0 && p.floor >= k.version.Counter {
					v = k.version // or a later one, which was forgotten
				}
				voters = append(voters, voter{name, v})
			}
			p.mu.Unlock()
		}
		for i, a := range voters {
			for _, b := range voters[:i] {
				if a.version.Compare(k.version) < 0 && b.version.Compare(k.version) < 0 {
					return fmt.Sprintf("key %s: %s has version %v and %s has %v in epoch %d, after %v was acknowledged",
						key, a.name, a.version, b.name, b.version, latest, k.version)
				}
			}
		}
	}
	return ""
}

// settle ends all faults: then all nodes take part again, every key can be read
// at each of them, and all replicas come to hold the same.
func (sc *scene) settle() string {
	w := sc.w
	w.heal()
	if sc.down != "" {
		w.start(sc.down)
	}
	w.replicated(w.names...)
	time.Sleep(simTimeout) // what was lost is given up
	for _, name := range w.names {
		for key := range sc.keys {
			s := w.store(name)
			if _, err := s.Get(context.Background(), key); errors.Is(err, ErrNoQuorum) {
				return fmt.Sprintf("with all faults undone, %v", err)
			}
			if wrong := sc.read(s, key); wrong != "" {
				return wrong
			}
		}
	}
	for waited := 0; ; waited++ {
		part := w.differs()
		if part < 0 {
			return ""
		}
		if waited == 10 {
			return fmt.Sprintf("the replicas of partition %d differ, long after all faults were undone", part)
		}
		time.Sleep(w.cfg.SyncEvery)
	}
}

// differs is a partition whose replicas do not hold the same, or -1.
func (w *world) differs() int {
	for part := range partitions {
		sums := make(map[uint64]bool)
		for _, name := range w.names {
			p := &w.store(name).parts[part]
			p.mu.Lock()
			if p.rank >= 0 {
				sums[p.digest] = true
			}
			p.mu.Unlock()
		}
		if len(sums) > 1 {
			return part
		}
	}
	return -1
}

// whole tells whether all four nodes are members that have caught up.
func (w *world) whole() bool {
	for _, name := range w.names {
		s := w.store(name)
		if s == nil {
			return false
		}
		s.mu.Lock()
		why := s.unreplicated(w.names)
		s.mu.Unlock()
		if why != "" {
			return false
		}
	}
	return true
}

// shrink removes steps as long as what is left fails, in ever smaller pieces
// (Zeller's delta debugging, 2002), within a bound of attempts.
func shrink(steps []step, fails func([]step) bool) []step {
	attempts := 400
	for size := len(steps) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(steps) && attempts > 0; {
			attempts--
			less := slices.Concat(steps[:at], steps[min(at+size, len(steps)):])
			if len(less) < len(steps) && fails(less) {
				steps, smaller = less, true
			} else {
				at += size
			}
		}
		if !smaller || size > len(steps) {
			size /= 2
		}
	}
	return steps
}

var sequences = flag.Int("sequences", 40, "number of random sequences; with -short a third")

func TestSequences(t *testing.T) {
	for seed := range uint64(inShort(*sequences)) {
		if wrong := playShrunk(t, seed, nil); wrong != "" {
			require.Fail(t, wrong)
		}
	}
}

// playShrunk returns what is wrong with the shortest sequence that shows it.
func playShrunk(t *testing.T, seed uint64, plant func(*world)) string {
	steps := drawSteps(seed, 80)
	wrong := play(t, seed, steps, plant)
	if wrong == "" {
		return ""
	}
	steps = shrink(steps, func(less []step) bool {
		now := play(t, seed, less, plant)
		if now != "" {
			wrong = now
		}
		return now != ""
	})
	var text strings.Builder
	fmt.Fprintf(&text, "seed %d, %d steps: %s", seed, len(steps), wrong)
	for i, s := range steps {
		fmt.Fprintf(&text, "\n%3d  %s", i, s)
	}
	return text.String()
}

func TestSequencesFindFaults(t *testing.T) {
	for _, c := range []struct {
		fault string
		plant func(*world)
	}{
		{"acknowledges early", acknowledgesEarly},
		{"forgets tombstones", forgetsTombstones},
	} {
		t.Run(c.fault, func(t *testing.T) {
			for seed := range uint64(*sequences) {
				if wrong := playShrunk(t, seed, c.plant); wrong != "" {
					assert.Less(t, strings.Count(wrong, "\n"), 20, "it was not shrunk: %s", wrong)
					t.Log(wrong)
					return
				}
			}
			assert.Fail(t, "not found")
		})
	}
}
