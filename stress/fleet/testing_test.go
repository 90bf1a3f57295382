package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder takes what Test says to a test.
type recorder struct {
	testing.TB
	logs, errors, fatal []string
}

func (r *recorder) Log(args ...any) { r.logs = append(r.logs, fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatal(args ...any) {
	r.fatal = append(r.fatal, fmt.Sprint(args...))
	runtime.Goexit()
}

// observe runs Test as a test of its own.
func observe(t *testing.T, l Load) (*recorder, *Result) {
	r := &recorder{TB: t}
	var result *Result
	done := make(chan struct{})
	go func() {
		defer close(done)
		result = Test(r, l)
	}()
	<-done
	return r, result
}

func TestTest(t *testing.T) {
	out := t.TempDir()
	t.Setenv("STRESS_OUT", out)
	t.Setenv("STRESS_SEED", "11")
	book.Fleets = nil
	said, result := observe(t, quick())
	require.NotNil(t, result)
	require.Len(t, said.logs, 1)
	assert.Contains(t, said.logs[0], "fleet: 1 of 1 agents, 100 % of the load measured: ")
	assert.Empty(t, said.errors)
	assert.Equal(t, "tensile/stress/fleet TestTest", result.Name)
	assert.Equal(t, uint64(11), result.Seed)

	failing := quick()
	failing.Do = func(_ context.Context, i int) error {
		if i == 7 {
			return errors.New("no")
		}
		return nil
	}
	t.Setenv("STRESS_RATE", "500")
	t.Setenv("STRESS_ARRIVALS", "poisson")
	said, result = observe(t, failing)
	require.Len(t, said.errors, 1)
	assert.Contains(t, said.errors[0], "operations that failed must be exactly 0 operations, measured was 1")
	assert.Contains(t, said.logs[1], "operation 7: no")
	assert.Equal(t, []any{500.0, 50, "poisson"}, []any{result.Rate, result.Asked, result.Arrivals})

	text, err := os.ReadFile(filepath.Join(out, "fleet.json"))
	require.NoError(t, err)
	var left struct {
		Schema int
		Fleets []*Result
	}
	require.NoError(t, json.Unmarshal(text, &left))
	assert.Equal(t, schema, left.Schema)
	require.Len(t, left.Fleets, 2, "those of one process")
	assert.Equal(t, result.Parts, left.Fleets[1].Parts)
	assert.FileExists(t, filepath.Join(out, "fleet.md"))
}

func TestTestIsToldWhatIsWrong(t *testing.T) {
	t.Setenv("STRESS_FLEET", "nats://me:secret@"+natsServer(t).Addr().String())
	said, _ := observe(t, quick())
	require.Len(t, said.fatal, 1)
	assert.Contains(t, said.fatal[0], "without STRESS_FLEET_ROLE, which must be lead or agent")
	t.Setenv("STRESS_FLEET_ROLE", "agent")
	said, _ = observe(t, quick())
	require.Len(t, said.fatal, 1)
	assert.Contains(t, said.fatal[0], ErrServer.Error()+" at nats://127.0.0.1:")
	assert.NotContains(t, said.fatal[0], "secret")
	t.Setenv("STRESS_FLEET", "")
	t.Setenv("STRESS_FLEET_ROLE", "")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	t.Setenv("STRESS_OUT", file)
	said, _ = observe(t, quick())
	require.Len(t, said.errors, 1)
	assert.Contains(t, said.errors[0], "must be a folder that can be written")
}

// limited is a test with a time limit.
type limited struct {
	*testing.T
	at time.Time
}

func (l limited) Deadline() (time.Time, bool) { return l.at, true }

// TestTimeLimit: a run ends before go test would end the process.
func TestTimeLimit(t *testing.T) {
	limit := time.Now().Add(farewell + 50*time.Millisecond)
	ctx, stop := until(limited{t, limit})
	defer stop()
	<-ctx.Done()
	assert.Positive(t, time.Until(limit))
	assert.ErrorIs(t, context.Cause(ctx), errDeadline)
}
