package registry

import (
	"hash/maphash"
	"log/slog"
	"math/bits"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// Registry routes messages of type M to names. All of its methods are safe for
// concurrent use, from handlers too, except that a handler must not call Close.
type Registry[M any] struct {
	cfg        Config
	bound      int32
	seed       maphash.Seed
	shards     [shardCount]shard[M]
	lanes      []lane[M]
	goroutines sync.WaitGroup // the lanes' and the one that watches them
	watching   atomic.Bool    // that one is there
}

// shardCount spreads the names over this many locks: enough for dozens of
// cores, at a cost of 32 KB a registry.
const shardCount = 256

type shard[M any] struct {
	mu     sync.RWMutex
	names  map[string]*mailbox[M]
	closed bool
	_      [64]byte // keeps the locks of neighbours in cache lines of their own
}

// New returns an empty registry. Its errors wrap ErrConfig.
func New[M any](cfg Config) (*Registry[M], error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Mailbox == 0 {
		cfg.Mailbox = DefaultMailbox
	}
	if cfg.OnPanic == nil {
		cfg.OnPanic = func(name string, value any, stack []byte) {
			slog.Error("registry: handler panicked", "name", name, "panic", value, "stack", string(stack))
		}
	}
	r := &Registry[M]{cfg: cfg, bound: int32(cfg.Mailbox), seed: maphash.MakeSeed()}
	// A power of two, a few for each processor: enough that lanes rarely delay each
	// other, few enough that each does much work for every start.
	r.lanes = make([]lane[M], 1<<bits.Len(uint(4*runtime.GOMAXPROCS(0)-1)))
	for i := range r.shards {
		r.shards[i].names = make(map[string]*mailbox[M])
	}
	return r, nil
}

func (r *Registry[M]) hash(name string) uint64 { return maphash.String(r.seed, name) }

func (r *Registry[M]) shard(hash uint64) *shard[M] { return &r.shards[hash%shardCount] }

// lane takes other bits of the hash than shard, so that the names of one shard
// spread over all lanes.
func (r *Registry[M]) lane(hash uint64) *lane[M] {
	return &r.lanes[hash>>32&uint64(len(r.lanes)-1)]
}

// Register gives name a mailbox and the handler that is called with each
// message sent to it, one at a time, in order for each sender. It returns
// ErrTaken if the name is in use, and ErrClosed after Close. It panics if handle is nil,
// rather than when the first message comes.
func (r *Registry[M]) Register(name string, handle func(M)) error {
	if handle == nil {
		panic("registry: nil handler for " + strconv.Quote(name))
	}
	s := r.shard(r.hash(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return &nameError{ErrClosed, name}
	}
	if _, taken := s.names[name]; taken {
		return &nameError{ErrTaken, name}
	}
	s.names[name] = &mailbox[M]{name: name, handle: handle}
	return nil
}

// Unregister removes name. Once it has returned, sending to name is refused, and the name
// can be registered again. Messages that were accepted before are still handed to the old
// handler, possibly after Unregister has returned. It returns ErrUnknown if the name is
// not in use, and ErrClosed after Close.
func (r *Registry[M]) Unregister(name string) error {
	s := r.shard(r.hash(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return &nameError{ErrClosed, name}
	}
	if _, known := s.names[name]; !known {
		return &nameError{ErrUnknown, name}
	}
	delete(s.names, name)
	return nil
}

// Send puts message into the mailbox of name and returns without waiting for
// its handler. A nil error is a promise: the handler will be called with
// the message, exactly once. Otherwise the message was not taken, and the
// error is ErrUnknown, ErrFull or ErrClosed.
func (r *Registry[M]) Send(name string, message M) error {
	hash := r.hash(name)
	s := r.shard(hash)
	s.mu.RLock()
	m, closed := s.names[name], s.closed
	s.mu.RUnlock()
	switch {
	case closed:
		return &nameError{ErrClosed, name}
	case m == nil:
		return &nameError{ErrUnknown, name}
	}
	if !m.reserve(r.bound) {
		return &nameError{ErrFull, name}
	}
	if !r.lane(hash).push(r, m, message) {
		return &nameError{ErrClosed, name}
	}
	return nil
}

// Len returns the number of names in use.
func (r *Registry[M]) Len() int {
	n := 0
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.RLock()
		n += len(s.names)
		s.mu.RUnlock()
	}
	return n
}

// Close refuses everything from now on with ErrClosed, waits until every
// message accepted before was handed to its handler and the last handler has
// returned, and forgets all names. Every further call waits for the same end.
// The error is always nil; it is there so that a Registry is an io.Closer.
func (r *Registry[M]) Close() error {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		s.closed = true
		s.names = nil
		s.mu.Unlock()
	}
	for i := range r.lanes {
		r.lanes[i].close()
	}
	// No lane starts any more; those that work end when their line is empty.
	r.goroutines.Wait()
	return nil
}
