package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDamagedRecord damages what one replica holds while another one has missed the
// last write: neither may decide what is the latest. Sealed anew, the damage cannot
// be told, which shows what comes of it.
func TestDamagedRecord(t *testing.T) {
	for name, damage := range map[string]func(*record){
		"a lower version":  func(r *record) { r.version.Counter &^= 1 << 4 },
		"a higher version": func(r *record) { r.version.Counter |= 1 << 60 },
		"a value":          func(r *record) { r.value[0] ^= 1 },
		"deleted":          func(r *record) { r.deleted = true },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, Config{Timeout: time.Second}, func(t *testing.T, w *world, planted bool) {
				damaged(t, w, damage, planted)
			})
		})
	}
}

func damaged(t *testing.T, w *world, damage func(*record), planted bool) {
	const key = "k"
	has := w.replicasOf(key)
	at := func(i int) *Store { return w.store(has[i]) }
	for range 20 {
		require.NoError(t, putOnly(t, at(0), key, []byte("value"), 0))
	}
	for _, i := range []int{0, 1} { // in one direction, so that nobody is thought dead
		w.cut(has[i], has[2], true)
	}
	require.NoError(t, putOnly(t, at(0), key, []byte("last"), 0))
	w.heal()
	w.change(key, has[1:2], func(p *partition) {
		r := p.records[key]
		damage(&r)
		if planted {
			sealRecord(key, &r)
		}
		p.records[key] = r
	})
	w.cut(has[1], has[0], true)
	w.cut(has[2], has[0], true)
	ctx := t.Context()
	v, err := at(1).Put(ctx, key, []byte("newest"), 0)
	w.heal()
	time.Sleep(5 * time.Second)
	got, readErr := at(2).Get(ctx, key)
	if planted {
		assert.NoError(t, err, "the fault is to show: %v, and then %q of version %v is read", v, got.Value, got.Version)
		return
	}
	assert.ErrorIs(t, err, ErrNoQuorum, "nobody but the one that cannot be reached has the last write")
	require.NoError(t, readErr)
	assert.Equal(t, "last", string(got.Value))
	for _, name := range has {
		w.change(key, []string{name}, func(p *partition) {
			r := p.records[key]
			assert.True(t, intact(key, &r) && string(r.value) == "last", "%s was not restored", name)
			assert.Equal(t, imprint(key, r.version), p.digest)
		})
	}
}
