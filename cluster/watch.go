package cluster

import (
	"slices"
	"strings"
	"sync"
)

// Members are this node and all others it knows, by name, those that have failed
// or left among them: for ten minutes, or until they are back.
func (n *Node) Members() []Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := []Member{n.Self()}
	for _, p := range n.peers {
		if !p.joining {
			all = append(all, p.member())
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Watch calls fn with every change of another member, in order, one at a time,
// beginning with the members there are. It ends with the node, or when stop is
// called, after which at most one more call is under way.
func (n *Node) Watch(fn func(Event)) (stop func()) {
	w := &watcher{wake: make(chan struct{}, 1), ended: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return func() {}
	}
	for _, p := range n.peers {
		if !p.joining {
			w.push(Event{p.member(), nil})
		}
	}
	n.watchers = append(n.watchers, w)
	n.wg.Go(func() { w.run(fn) })
	return func() {
		n.mu.Lock()
		n.watchers = slices.DeleteFunc(slices.Clone(n.watchers), func(o *watcher) bool { return o == w })
		n.mu.Unlock()
		w.stop()
	}
}

// emit is called with the lock held.
func (n *Node) emit(e Event) {
	n.cfg.Log.Info("member", "name", e.Name, "state", e.State, "incarnation", e.Incarnation, "cause", e.Cause)
	for _, w := range n.watchers {
		w.push(e)
	}
}

// watcher hands events to a function without anybody waiting for it.
type watcher struct {
	mu    sync.Mutex
	queue []Event
	wake  chan struct{}
	once  sync.Once
	ended chan struct{}
}

func (w *watcher) push(e Event) {
	w.mu.Lock()
	w.queue = append(w.queue, e)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) stop() { w.once.Do(func() { close(w.ended) }) }

func (w *watcher) run(fn func(Event)) {
	for {
		select {
		case <-w.ended:
			return
		case <-w.wake:
		}
		w.mu.Lock()
		queue := w.queue
		w.queue = nil
		w.mu.Unlock()
		for _, e := range queue {
			select {
			case <-w.ended:
				return
			default:
				fn(e)
			}
		}
	}
}
