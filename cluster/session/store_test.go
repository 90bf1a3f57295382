package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// within runs a test in virtual time on a world of four nodes.
func within(t *testing.T, cfg Config, test func(t *testing.T, w *world)) { withNodes(t, 4, cfg, test) }

// withNodes runs a test in virtual time on a world of n nodes.
func withNodes(t *testing.T, n int, cfg Config, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, n, cfg)
		defer w.close()
		test(t, w)
	})
}

func TestPutGetDelete(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		ctx := t.Context()
		a, b := w.store("a"), w.store("b")
		_, err := a.Get(ctx, "k")
		assert.ErrorIs(t, err, ErrNotFound)

		value := []byte("one")
		v1, err := a.Put(ctx, "k", value, 0)
		require.NoError(t, err)
		clear(value)
		got, err := b.Get(ctx, "k")
		require.NoError(t, err)
		assert.Equal(t, Session{Value: []byte("one"), Version: v1}, got)

		v2, err := b.Put(ctx, "k", nil, time.Minute)
		require.NoError(t, err)
		assert.Positive(t, v2.Compare(v1))
		got, err = a.Get(ctx, "k")
		require.NoError(t, err)
		assert.Empty(t, got.Value)
		assert.Equal(t, time.Minute, time.Until(got.Expires).Round(time.Second))

		v3, err := a.Delete(ctx, "k")
		require.NoError(t, err)
		assert.Positive(t, v3.Compare(v2))
		_, err = b.Get(ctx, "k")
		assert.ErrorIs(t, err, ErrNotFound)
	})
}

func TestLimits(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		s := w.store("a")
		key, value := strings.Repeat("k", MaxKey), bytes.Repeat([]byte("v"), MaxValue)
		_, err := s.Put(t.Context(), key, value, 0)
		require.NoError(t, err)
		got, err := w.store("b").Get(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, value, got.Value)
		for name, err := range map[string]error{
			"long key":   putOnly(t, s, key+"k", nil, 0),
			"no key":     putOnly(t, s, "", nil, 0),
			"long value": putOnly(t, s, "k", append(value, 0), 0),
		} {
			assert.ErrorIs(t, err, ErrTooLarge, name)
		}
		assert.ErrorIs(t, putOnly(t, s, "k", nil, -1), ErrConfig)
		_, err = s.Get(t.Context(), "k")
		assert.ErrorIs(t, err, ErrNotFound)
	})
}

func putOnly(t *testing.T, s *Store, key string, value []byte, ttl time.Duration) error {
	_, err := s.Put(t.Context(), key, value, ttl)
	return err
}

// TestManyLargeValues asks for more at once than one reply holds.
func TestManyLargeValues(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		const n = 60
		errs := make(chan error, n)
		for i := range n {
			go func() { errs <- putOnly(t, w.store("a"), fmt.Sprint(i), bytes.Repeat([]byte{byte(i)}, MaxValue), 0) }()
		}
		for range n {
			require.NoError(t, <-errs)
		}
		for i := range n {
			go func() {
				got, err := w.store("b").Get(context.Background(), fmt.Sprint(i))
				if err == nil && !bytes.Equal(got.Value, bytes.Repeat([]byte{byte(i)}, MaxValue)) {
					err = errors.New("another value")
				}
				errs <- err
			}()
		}
		for range n {
			require.NoError(t, <-errs)
		}
		w.crash("c")
		w.replicated("a", "b", "d") // whole partitions move, in several replies
		w.crash("a")
		for i := range n {
			_, err := w.store("b").Get(t.Context(), fmt.Sprint(i))
			require.NoError(t, err)
		}
	})
}

func TestExpiry(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		s := w.store("a")
		began := time.Now()
		require.NoError(t, putOnly(t, s, "k", []byte("v"), time.Second))
		for {
			_, err := w.store("b").Get(t.Context(), "k")
			if since := time.Since(began); since < time.Second {
				require.NoError(t, err, "%v after the write", since)
			} else if since > time.Second+100*time.Millisecond {
				require.ErrorIs(t, err, ErrNotFound, "%v after the write", since)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		require.NoError(t, putOnly(t, s, "k", []byte("again"), 0), "a session that has expired can be written again")
		_, err := w.store("b").Get(t.Context(), "k")
		assert.NoError(t, err)
	})
}

func TestMinorityRefuses(t *testing.T) {
	within(t, Config{Timeout: time.Second}, func(t *testing.T, w *world) {
		require.NoError(t, putOnly(t, w.store("a"), "k", []byte("before"), 0))
		w.isolate("d", true)
		began := time.Now()
		_, err := w.store("d").Put(t.Context(), "k", []byte("minority"), 0)
		assert.ErrorIs(t, err, ErrNoQuorum)
		assert.Equal(t, time.Second, time.Since(began), "it tries as long as it may")
		_, err = w.store("d").Get(t.Context(), "k")
		assert.ErrorIs(t, err, ErrNoQuorum)
		require.NoError(t, putOnly(t, w.store("b"), "k", []byte("majority"), 0))
		w.replicated("a", "b", "c")
		w.isolate("d", false)
		w.replicated("a", "b", "c", "d")
		got, err := w.store("d").Get(t.Context(), "k")
		require.NoError(t, err)
		assert.Equal(t, "majority", string(got.Value))
	})
}

// TestUncertain cuts a writer off between the two phases of a write.
func TestUncertain(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		const key = "k"
		has := w.replicasOf(key)
		writer := w.store(has[0])
		w.intercept(func(from, _ *Store, request []byte) ([]byte, bool) {
			if from != writer || request[0] != msgOperations || request[1] != opStore {
				return nil, false
			}
			w.isolate(has[0], true)
			return nil, true
		})
		err := putOnly(t, writer, key, []byte("v"), 0)
		assert.ErrorIs(t, err, ErrUncertain)
		assert.NotErrorIs(t, err, ErrNoQuorum)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = writer.Get(ctx, key)
		assert.ErrorIs(t, err, ErrNoQuorum)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// TestAWriteThatWasNotSentIsNotUncertain lets the time of a write end between its
// two phases, when it looks at the clock.
func TestAWriteThatWasNotSentIsNotUncertain(t *testing.T) {
	const timeout = time.Second
	var asked atomic.Pointer[time.Time] // when the latest replica was asked for a version
	clock := func() time.Time {
		if at := asked.Load(); at != nil && time.Since(*at) > 0 {
			time.Sleep(timeout - time.Since(*at))
		}
		return time.Now()
	}
	within(t, Config{Timeout: timeout, Clock: clock}, func(t *testing.T, w *world) {
		const key = "k"
		w.intercept(func(_, _ *Store, request []byte) ([]byte, bool) {
			if now := time.Now(); request[0] == msgOperations && request[1] == opVersion {
				asked.Store(&now)
			}
			return nil, false
		})
		err := putOnly(t, w.store("a"), key, []byte("v"), 0)
		require.NotNil(t, asked.Load())
		assert.ErrorIs(t, err, ErrNoQuorum)
		assert.NotErrorIs(t, err, ErrUncertain)
		_, err = w.store("a").Get(t.Context(), key)
		assert.ErrorIs(t, err, ErrNotFound)
	})
}

func TestClosed(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		s := w.store("a")
		w.isolate("a", true)
		ended := make(chan error)
		go func() { ended <- putOnly(t, s, "k", nil, 0) }()
		synctest.Wait()
		require.NoError(t, s.Close())
		assert.ErrorIs(t, <-ended, ErrClosed)
		assert.ErrorIs(t, putOnly(t, s, "k", nil, 0), ErrClosed)
		_, err := s.Handle("b", []byte{msgBeat})
		assert.ErrorIs(t, err, ErrClosed)
		assert.ErrorIs(t, s.Replicated(t.Context(), "a"), ErrClosed)
		require.NoError(t, s.Close(), "once more")
	})
}

// TestReplicationIsRestored loses nodes one after the other, each after what the
// one before had was given to others.
func TestReplicationIsRestored(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		const n = 500
		for i := range n {
			require.NoError(t, putOnly(t, w.store("a"), fmt.Sprint(i), []byte{byte(i)}, 0))
		}
		all := func(at string) {
			t.Helper()
			for i := range n {
				got, err := w.store(at).Get(t.Context(), fmt.Sprint(i))
				require.NoError(t, err)
				require.Equal(t, []byte{byte(i)}, got.Value)
			}
		}
		w.crash("a")
		all("b")
		began := time.Now()
		w.replicated("b", "c", "d")
		assert.Less(t, time.Since(began), 10*time.Second)
		w.crash("b")
		all("c")
		w.start("a")
		w.start("b")
		w.replicated("a", "b", "c", "d")
		w.crash("c")
		w.replicated("a", "b", "d")
		w.crash("d")
		all("a")
	})
}

// TestTombstonesAreForgotten also sees that they are not while a replica may
// have something older.
func TestTombstonesAreForgotten(t *testing.T) {
	within(t, Config{TombstoneLife: 10 * time.Second}, func(t *testing.T, w *world) {
		const key = "k"
		has := w.replicasOf(key)
		records := func() (n int) {
			for _, name := range w.names {
				p := &w.store(name).parts[partitionOf(key)]
				p.mu.Lock()
				n += len(p.records)
				p.mu.Unlock()
			}
			return n
		}
		v1, err := w.store(has[0]).Put(t.Context(), key, []byte("v"), 0)
		require.NoError(t, err)
		time.Sleep(time.Second)
		w.cut(has[0], has[2], true) // in one direction, so that nobody is thought dead
		w.cut(has[1], has[2], true)
		v2, err := w.store(has[0]).Delete(t.Context(), key)
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		assert.Equal(t, 3, records(), "one replica has not heard of the deletion")
		w.heal()
		time.Sleep(30 * time.Second)
		assert.Zero(t, records())
		_, err = w.store(has[2]).Get(t.Context(), key)
		assert.ErrorIs(t, err, ErrNotFound)
		v3, err := w.store(has[1]).Put(t.Context(), key, []byte("v"), 0)
		require.NoError(t, err)
		assert.Positive(t, v2.Compare(v1))
		assert.Positive(t, v3.Compare(v2), "versions rise even where nothing is left")
	})
}

// TestDamageShows changes a byte of what a replica keeps.
func TestDamageShows(t *testing.T) {
	within(t, Config{Timeout: time.Second}, func(t *testing.T, w *world) {
		const key = "k"
		has := w.replicasOf(key)
		require.NoError(t, putOnly(t, w.store(has[0]), key, []byte("value"), 0))
		time.Sleep(100 * time.Millisecond)
		p := &w.store(has[1]).parts[partitionOf(key)]
		p.mu.Lock()
		p.records[key].value[0] ^= 1
		p.mu.Unlock()
		for _, name := range w.names {
			got, err := w.store(name).Get(t.Context(), key)
			require.NoError(t, err)
			assert.Equal(t, "value", string(got.Value))
		}
	})
}

func TestConfig(t *testing.T) {
	four := []string{"a", "b", "c", "d"}
	for _, c := range []struct {
		cfg  Config
		says string
	}{
		{Config{Name: "a", Nodes: four[:2]}, "2 Nodes, must be 3 to 64"},
		{Config{Name: "a", Nodes: make([]string, 65)}, "65 Nodes"},
		{Config{Name: "a", Nodes: []string{"a", "b", "a"}}, "names that differ"},
		{Config{Name: "e", Nodes: four}, `Name "e", must be one of`},
		{Config{Name: "a", Nodes: []string{"a", "b", ""}}, `node ""`},
		{Config{Name: "a", Nodes: four, Timeout: -1}, "Timeout -1ns"},
		{Config{Name: "a", Nodes: four, RepairAfter: -1}, "RepairAfter -1ns"},
		{Config{Name: "a", Nodes: four, SyncEvery: -1}, "SyncEvery -1ns"},
		{Config{Name: "a", Nodes: four, TombstoneLife: time.Second}, "TombstoneLife 1s, must be twice Timeout (2s) or more"},
	} {
		_, err := New(c.cfg)
		assert.ErrorIs(t, err, ErrConfig)
		assert.ErrorContains(t, err, c.says)
	}
}
