package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Faults that last, and what must hold under them: links that never heal, nodes
// that stay away, clocks that step, and nodes that are restarted in haste.

// sever cuts both directions between two nodes for good: heal leaves them cut.
func (w *world) sever(a, b string, severed bool) {
	for _, ends := range [][2]string{{a, b}, {b, a}} {
		w.mu.Lock()
		w.links[ends].severed = severed
		w.mu.Unlock()
		w.cut(ends[0], ends[1], severed)
	}
}

// leave crashes a node that does not come back before it is started.
func (w *world) leave(name string) {
	w.crash(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[name].away = true
}

// startAll starts every node that is down and is not to stay away.
func (w *world) startAll() {
	for _, name := range w.names {
		w.mu.Lock()
		n := w.nodes[name]
		start := n.store == nil && !n.away
		w.mu.Unlock()
		if start {
			w.start(name)
		}
	}
}

// declareAway does what an operator does who knows that a node has gone for good.
func (w *world) declareAway() {
	var away []string
	for _, name := range w.names {
		w.mu.Lock()
		if w.nodes[name].away {
			away = append(away, name)
		}
		w.mu.Unlock()
	}
	if len(away) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), servedWithin)
	w.background.Go(func() {
		defer cancel()
		_ = w.store(w.up()[0]).DeclareDead(ctx, away...) // the liveness check tells whether that was enough
	})
}

// up is the nodes that live.
func (w *world) up() []string {
	return slices.DeleteFunc(slices.Clone(w.names), func(name string) bool { return w.store(name) == nil })
}

// stepClock puts the clock of a node ahead of the true time, through all its
// lives; behind it where by is negative.
func (w *world) stepClock(name string, by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[name].step.Store(int64(by))
}

// restart crashes nodes one after the other, each so long after the one before,
// and starts each again 50 ms later.
func (w *world) restart(apart time.Duration, names ...string) {
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			time.Sleep(time.Duration(i) * apart)
			w.crash(name)
			time.Sleep(50 * time.Millisecond)
			w.start(name)
		})
	}
	all.Wait()
}

// holding is what the replicas have of a key: the newest record, and the version
// that a majority has.
type holding struct {
	newest record
	by     Version
}

// held is the keys of which a majority of the replicas in the latest view has a
// copy that counts: one with which it votes there, will vote once it knows of the
// view, or voted in the view before while all who are to catch up live.
func (w *world) held() map[string]holding {
	v, whole := w.latest()
	held := make(map[string]holding)
	for _, name := range w.up() {
		s := w.store(name)
		self := v.index(s.standing().instance)
		for i := range s.parts {
			p := &s.parts[i]
			p.mu.Lock()
			votes := self >= 0 && v.rank(i, self) >= 0 && p.votes && (p.epoch == v.epoch || p.epoch == v.after)
			for key, r := range p.records {
				have := held[key]
				switch {
				case !votes && !(whole && p.epoch == v.epoch && p.voted):
					continue
				case r.version.Compare(have.newest.version) > 0:
					have.newest, have.by = r, have.newest.version
				case r.version.Compare(have.by) > 0:
					have.by = r.version
				}
				held[key] = have
			}
			p.mu.Unlock()
		}
	}
	maps.DeleteFunc(held, func(_ string, h holding) bool { return h.by == Version{} })
	return held
}

// latest is the latest view that a node knows, and whether all its members are who
// they were.
func (w *world) latest() (v *view, whole bool) {
	lives := make(map[uint64]bool)
	v = &view{}
	for _, name := range w.up() {
		s := w.store(name)
		lives[s.standing().instance] = true
		if st := s.state.Load(); st.view != nil && st.view.epoch > v.epoch {
			v = st.view
		}
	}
	whole = !slices.ContainsFunc(v.members, func(m member) bool { return !lives[m.instance] })
	return v, whole
}

// unserved is the liveness check, to be made after the last fault: within the
// bound, every living node reads whatever a majority holds now, no older than
// that, and writes new sessions in every partition. It says what does not hold.
func (w *world) unserved(bound time.Duration) string {
	until := time.Now().Add(bound)
	var wrong sync.Map
	var all sync.WaitGroup
	try := func(what string, op func() error) {
		all.Go(func() {
			var err error
			for tried := false; !tried || err != nil && time.Now().Before(until); tried = true {
				if err = op(); err != nil {
					time.Sleep(200 * time.Millisecond)
				}
			}
			if err != nil {
				wrong.Store(what, err)
			}
		})
	}
	held := w.held()
	for n, name := range w.up() {
		s := w.store(name)
		for key, h := range held {
			try(fmt.Sprintf("%s reads %q", name, key), func() error {
				got, err := s.Get(context.Background(), key)
				// A deletion may have been forgotten by now; where something was lost, it
				// cannot be told any more then that there was one.
				if (errors.Is(err, ErrNotFound) || errors.Is(err, ErrLost)) && h.newest.gone(s.now()) {
					return nil
				}
				if err == nil && got.Version.Compare(h.by) < 0 {
					return fmt.Errorf("version %v, where a majority holds %v", got.Version, h.by)
				}
				return err
			})
		}
		for part := n; part < partitions; part += len(w.up()) {
			try(fmt.Sprintf("%s writes in partition %d", name, part), func() error {
				_, err := s.Put(context.Background(), keyIn(part), []byte("new"), 0)
				return err
			})
		}
	}
	all.Wait()
	var text []string
	wrong.Range(func(what, err any) bool {
		text = append(text, fmt.Sprintf("%v: %v", what, err))
		return true
	})
	if len(text) == 0 {
		return ""
	}
	slices.Sort(text)
	return fmt.Sprintf("%v after the last fault, %d operations are not served, the first: %s", bound, len(text), text[0])
}

var keysIn = sync.OnceValue(func() (keys [partitions]string) {
	for found, i := 0, 0; found < partitions; i++ {
		key := fmt.Sprint("fresh ", i)
		if part := partitionOf(key); keys[part] == "" {
			keys[part] = key
			found++
		}
	}
	return keys
})

// keyIn is a key of a partition, which nobody else uses.
func keyIn(part int) string { return keysIn()[part] }
