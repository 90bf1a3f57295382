package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Store is one node of a replicated session store. Its methods are safe for
// concurrent use.
type Store struct {
	cfg    Config
	writer uint64    // of the versions that this node gives
	began  time.Time // with a monotonic reading
	net    Network
	list   uint64 // stands for cfg.Nodes
	parts  [partitions]partition

	state   atomic.Pointer[state]
	counter atomic.Uint64 // the highest in a version that this node has seen or given

	peersMu sync.Mutex
	peers   map[string]*peer

	mu       sync.Mutex
	instance uint64 // of this life of the node, as a member
	joined   bool   // some view had it
	news     chan struct{}
	heard    map[string]standing  // what each node last said of itself
	opinions map[string]opinion   // and of others
	suspects []string             // whom this node believes dead
	down     map[string]time.Time // since when a majority believes each node dead
	wanting  time.Time            // since when another view is wanted; zero if it is not
	unwell   time.Time            // when this node is to see whether the view needs mending; zero if it does not
	ballots  ballots
	relay    uint64 // number of the last question that went by way of another node
	relays   map[uint64]chan<- []byte

	closed    chan struct{}
	closeOnce sync.Once
	started   sync.Once
	wake      chan struct{} // the keeper is to look now
	running   sync.WaitGroup
}

// state is the present configuration, as operations need it.
type state struct {
	chain   chain
	view    *view         // the latest, or nil
	self    int           // place of this node among its members, or -1
	peers   []*peer       // of its members; nil for this node
	changed chan struct{} // closed when there is another one
	// complete says that this node votes in all partitions that are its own.
	complete atomic.Bool
}

// New makes the store of a node. Its Handle may be called from now on, but the store
// takes part only after Start. An error wraps ErrConfig.
func New(cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, writer: newInstance(), began: time.Now(), instance: newInstance(),
		list: hash(strings.Join(cfg.Nodes, "\x00")), peers: make(map[string]*peer), news: make(chan struct{}),
		heard: make(map[string]standing), opinions: make(map[string]opinion), down: make(map[string]time.Time),
		relays: make(map[uint64]chan<- []byte),
		closed: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	for i := range s.parts {
		s.parts[i].rank = -1
	}
	s.state.Store(&state{self: -1, changed: make(chan struct{})})
	return s, nil
}

// newInstance draws the number of a life.
func newInstance() uint64 {
	for {
		if n := rand.Uint64(); n != 0 {
			return n
		}
	}
}

// Start connects the store to the others. It is called once.
func (s *Store) Start(net Network) {
	s.started.Do(func() {
		s.net = net
		s.running.Go(s.keep)
		s.running.Go(s.repair)
		s.running.Go(s.forget)
	})
}

// Close ends the store. It answers no more requests, and operations in progress return
// ErrClosed. Close returns when the goroutines of the store have ended. Its error is
// always nil.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	s.running.Wait()
	return nil
}

// Session is the result of Get.
type Session struct {
	Value   []byte
	Version Version
	Expires time.Time // zero for never
}

// Put writes a session. It expires ttl from now, by the clock of this node; with a ttl
// of 0 it never does. If the error is nil, a majority has the session: every Get that
// begins after Put has returned, at any node, sees this write or a later one.
//
// ErrNoQuorum means that nothing was written, ErrUncertain that it may have been. Put
// does not retain value.
func (s *Store) Put(ctx context.Context, key string, value []byte, ttl time.Duration) (Version, error) {
	switch {
	case len(value) > MaxValue:
		return Version{}, fmt.Errorf("%w: put %q: value of %d bytes, must be up to %d", ErrTooLarge, key, len(value),
			MaxValue)
	case ttl < 0:
		return Version{}, fmt.Errorf("%w: put %q: ttl %v, must be 0 for never, or more", ErrConfig, key, ttl)
	}
	return s.write(ctx, "put", key, func(now int64) record {
		return record{expires: expiry(now, ttl), value: value}
	})
}

// Delete removes a session, or makes sure that there is none. It gives the promise of
// Put, and returns the same errors.
func (s *Store) Delete(ctx context.Context, key string) (Version, error) {
	return s.write(ctx, "delete", key, func(now int64) record {
		return record{expires: now, deleted: true}
	})
}

// write is the writer of Attiya, Bar-Noy and Dolev (1995) for several writers:
// it learns a version that is later than all that were completed, and gives its
// record a later one.
func (s *Store) write(ctx context.Context, name, key string, make func(now int64) record) (Version, error) {
	o, err := s.begin(ctx, name, key)
	if err != nil {
		return Version{}, err
	}
	defer o.end()
	for {
		c, err := o.ask(opVersion, o.wire, record{})
		if err != nil {
			return Version{}, err
		}
		r := make(s.now())
		r.version = Version{s.tick(c.best.version.Counter), s.writer}
		if err = o.keep(c, sealRecord(key, &r), r); !errors.Is(err, errAnew) || o.sent {
			return r.version, err
		}
	}
}

// Get reads a session. It returns ErrNotFound if there is none, ErrNoQuorum if no
// majority answered, and ErrLost if no node can tell any more.
//
// It is the reader of Attiya, Bar-Noy and Dolev: before it returns a version, it makes
// sure that a majority has that version, so that no later read returns an older one. If
// all answers of the majority have the same version, this holds already.
func (s *Store) Get(ctx context.Context, key string) (Session, error) {
	o, err := s.begin(ctx, "get", key)
	if err != nil {
		return Session{}, err
	}
	defer o.end()
	var c *call
	for anew := true; anew; anew = errors.Is(err, errAnew) {
		if c, err = o.ask(opRead, o.wire, record{}); err == nil && !c.agreed {
			err = o.keep(c, appendRecord(nil, key, &c.best), c.best)
		}
	}
	if err != nil {
		return Session{}, err
	}
	r := c.best
	if (r.version == Version{}) && c.view.doubted.has(o.part) {
		return Session{}, fmt.Errorf("%w: get %q in epoch %d", ErrLost, key, c.view.epoch)
	}
	if r.gone(s.now()) {
		return Session{}, fmt.Errorf("%w: get %q", ErrNotFound, key)
	}
	found := Session{Value: r.value, Version: r.version}
	if r.expires != 0 {
		found.Expires = time.Unix(0, r.expires)
	}
	return found, nil
}

func (s *Store) now() int64 { return s.cfg.Clock().UnixNano() }

func (s *Store) moment() moment { return moment{s.now(), time.Since(s.began)} }

// tick gives a counter that is higher than seen, and than any that this node has
// given: so no two writes of one node have the same.
func (s *Store) tick(seen uint64) uint64 {
	for {
		last := s.counter.Load()
		next := max(last, seen) + 1
		if s.counter.CompareAndSwap(last, next) {
			return next
		}
	}
}

func appendKey[T string | []byte](b []byte, key T) []byte {
	b = binary.AppendUvarint(b, uint64(len(key)))
	return append(b, key...)
}
