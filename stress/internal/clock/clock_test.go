package clock_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/clock"
	"tensile/stress/internal/proc"
)

// readings are what a child sees of the time.
type readings struct {
	Unsupported   string
	Before, After time.Time
	Slept         time.Duration
}

// TestBack: a child sees the time of day go back, while durations, and the time of the
// others, stay as they are.
func TestBack(t *testing.T) {
	site := proc.At(t, "behind")
	if site.Child() {
		site.Serve(func(l *proc.Link) error {
			return proc.Serve(l, func(json.RawMessage) (any, error) {
				r := readings{Before: time.Now()}
				err := clock.Back(time.Hour)
				if errors.Is(err, clock.ErrUnsupported) {
					r.Unsupported = err.Error()
					return r, nil
				}
				r.After = time.Now()
				time.Sleep(20 * time.Millisecond)
				r.Slept = time.Since(r.After)
				return r, err
			})
		})
		return
	}
	p, err := site.Start(nil, proc.Options{})
	require.NoError(t, err)
	var r readings
	assert.NoError(t, p.Ask(t.Context(), nil, &r))
	assert.NoError(t, p.Close())
	if r.Unsupported != "" {
		t.Skip(r.Unsupported)
	}
	assert.WithinDuration(t, time.Now(), r.Before, time.Minute)
	assert.WithinDuration(t, time.Now().Add(-time.Hour), r.After, time.Minute)
	assert.GreaterOrEqual(t, r.Slept, 20*time.Millisecond)
	assert.Less(t, r.Slept, time.Minute)
	// The kernel's clock has not changed.
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	st, err := os.Stat(name)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), st.ModTime(), time.Minute)
}
