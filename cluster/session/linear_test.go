package session

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	seeds = flag.Int("seeds", 30, "number of simulated runs; with -short a third")
	only  = flag.Int("only", -1, "the one seed to run")
)

const (
	simClients = 6
	simKeys    = 8
	simRun     = 20 * time.Second // virtual
	simLife    = 2 * time.Second
	// Keys are written in turn, two for simTurn, and rest for longer than it takes to
	// forget a deletion before it is their turn again.
	simTurn = 1500 * time.Millisecond
)

// TestLinearizable has clients at all nodes read and write a few keys while
// nodes crash with the loss of their memory, come back, are paused and cut off,
// and messages are lost, delayed, doubled and reordered.
func TestLinearizable(t *testing.T) {
	operations, forgot, runs := 0, 0, inShort(*seeds)
	for seed := range uint64(runs) {
		if *only >= 0 && uint64(*only) != seed {
			continue
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, n := stressed(t, seed, nil)
				assert.Empty(t, h.violation(), "seed %d", seed)
				operations, forgot = operations+h.size(), forgot+n
			})
		})
	}
	t.Logf("%d histories, %d operations, %d times a partition of a node forgot", runs, operations, forgot)
	assert.True(t, forgot > 0 || *only >= 0, "no history outlived a deletion")
}

// inShort is how many of n runs there are: with -short a third.
func inShort(n int) int {
	if testing.Short() {
		return (n + 2) / 3
	}
	return n
}

// clients has clients work until end is called, and returns that.
func (w *world) clients(h *history) (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	for c := range simClients {
		all.Go(func() { client(w, h, c, stop) })
	}
	return sync.OnceFunc(func() { close(stop); all.Wait() })
}

// stressed runs clients and faults and returns what the clients saw, and how many
// partitions of nodes have forgotten something.
func stressed(t *testing.T, seed uint64, plant func(*world)) (h *history, forgot int) {
	// Where replicas are seldom compared, nothing else covers up a fault.
	often := []time.Duration{300 * time.Millisecond, 3 * time.Second}[seed%2]
	w := newWorld(t, seed, 4, Config{Timeout: time.Second, TombstoneLife: simLife, SyncEvery: often})
	defer w.close()
	if plant != nil {
		plant(w)
	}
	h = newHistory()
	end := w.clients(h)
	defer end()
	random := rand.New(rand.NewPCG(seed, 1))
	for began := time.Now(); time.Since(began) < simRun; {
		w.fault(random)
	}
	w.heal()
	end()
	w.replicated(w.names...)
	for _, name := range w.names {
		for key := range simKeys {
			_, err := get(w.store(name), h, simClients, fmt.Sprint(key))
			require.NoError(t, err, "seed %d: healed, and key %d cannot be read at %s", seed, key, name)
		}
	}
	return h, w.forgot()
}

// forgot is the partitions of nodes that have forgotten something.
func (w *world) forgot() (n int) {
	for _, name := range w.names {
		s := w.store(name)
		for i := range s.parts {
			p := &s.parts[i]
			p.mu.Lock()
			if p.fence.number > 0 {
				n++
			}
			p.mu.Unlock()
		}
	}
	return n
}

func get(s *Store, h *history, client int, key string) (string, error) {
	return h.do(client, key, input{}, func() (string, error) {
		got, err := s.Get(context.Background(), key)
		if errors.Is(err, ErrNotFound) {
			return "", nil
		}
		return string(got.Value), err
	})
}

func put(s *Store, h *history, client int, key, value string) error {
	_, err := h.do(client, key, input{true, value}, func() (string, error) {
		if value == "" {
			_, err := s.Delete(context.Background(), key)
			return "", err
		}
		_, err := s.Put(context.Background(), key, []byte(value), 0)
		return "", err
	})
	return err
}

// client works at one node after the other until stop.
func client(w *world, h *history, id int, stop <-chan struct{}) {
	random := rand.New(rand.NewPCG(w.seed, uint64(100+id)))
	began := time.Now()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.Int64N(int64(60 * time.Millisecond)))):
		}
		s := w.store(w.names[random.IntN(len(w.names))])
		if s == nil {
			continue
		}
		key := fmt.Sprint((int(time.Since(began)/simTurn)*2 + random.IntN(2)) % simKeys)
		switch random.IntN(10) {
		case 0:
			_ = put(s, h, id, key, "") // whatever it returns is in the history
		case 1, 2, 3:
			_ = put(s, h, id, key, fmt.Sprintf("%d.%d", id, n))
		case 4: // what rests, too
			_, _ = get(s, h, id, fmt.Sprint(random.IntN(simKeys)))
		default:
			_, _ = get(s, h, id, key)
		}
	}
}

// fault does something to the world, and undoes most of it after a while.
func (w *world) fault(random *rand.Rand) {
	pick := func() string { return w.names[random.IntN(len(w.names))] }
	lasts := func(most time.Duration) { time.Sleep(time.Duration(random.Int64N(int64(most)))) }
	victim, other := pick(), pick()
	switch random.IntN(7) {
	case 0: // a crash, and a return before or after its share was given away
		// A second loss of memory before the first is repaired is one too many.
		w.replicated(w.names...)
		w.crash(victim)
		lasts([]time.Duration{200 * time.Millisecond, 3 * time.Second}[random.IntN(2)])
		w.start(victim)
		lasts(time.Second)
		w.replicated(w.names...)
	case 1: // a pause
		w.pause(victim)
		lasts(2 * time.Second)
		w.resume(victim)
	case 2: // a partition
		w.isolate(victim, true)
		lasts(3 * time.Second)
		w.isolate(victim, false)
	case 3: // a partition in one direction
		w.cut(victim, other, true)
		lasts(2 * time.Second)
		w.cut(victim, other, false)
	case 4:
		w.shape(func(l *link) { l.loss = 0.4 * random.Float64() })
	case 5:
		w.shape(func(l *link) {
			l.double, l.max = random.Float64(), l.min+time.Duration(random.Int64N(int64(100*time.Millisecond)))
		})
	case 6:
		w.heal()
	}
	lasts(500 * time.Millisecond)
}
