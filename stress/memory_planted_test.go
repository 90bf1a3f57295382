package stress_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
	"tensile/stress/routertest"
	"tensile/stress/validate"
)

// hoards are what a subject may take too much of, with what must be said of it first.
var hoards = map[string]struct{ phase, most, by string }{
	"holds 300 MB":                   {"throughput", "MB of live heap", "(*hoarder).take"},
	"keeps 1 KB of each message":     {"throughput", "MB of live heap", "(*hoarder).take"},
	"a goroutine with 256 KB a name": {"idle", "MB of stacks of ", "(*hoarder).Register.func1"},
}

// TestPlantedMemory shows that what a subject holds is red, of whatever it consists,
// and that it is said whose it is.
func TestPlantedMemory(t *testing.T) {
	for plant, want := range hoards {
		t.Run(plant, func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes a process of its own")
			}
			out := t.TempDir()
			said, err := runKit("TestHoardingRouter$/^"+want.phase+"$", plantedVariable+"="+plant, "STRESS_SCALE=2000",
				"STRESS_OUT="+out)
			require.Error(t, err, "the kit passed")
			const missed = "routing.memory: peak memory of the subject must be at most 206 MB, measured was "
			_, rest, _ := strings.Cut(said, missed)
			require.NotEmpty(t, rest, said)
			figure, _, _ := strings.Cut(rest, "\n")
			t.Log(figure)
			_, parts, _ := strings.Cut(figure, fmt.Sprintf(" MB (in %q: ", want.phase))
			first, _, _ := strings.Cut(parts, ", ")
			assert.Contains(t, first, want.most)
			assert.Contains(t, parts, want.by)
			assert.Contains(t, figure, "of which the kit's: ")
			heap := filepath.Join(out, "evidence", "routing.heap.pprof")
			assert.Contains(t, said, heap)
			pprof := exec.Command("go", "tool", "pprof", "-sample_index=inuse_space", "-top", "-nodecount=1", heap)
			top, err := pprof.CombinedOutput()
			if assert.NoError(t, err, "%s", top) && want.most == "MB of live heap" {
				assert.Contains(t, string(top), want.by, "it was taken at the peak")
			}
		})
	}
}

// TestMemoryOfTheKit does not count: a target that the kit alone exceeds is met by
// a subject that holds next to nothing.
func TestMemoryOfTheKit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a process of its own")
	}
	out := t.TempDir()
	said, err := runKit("TestHoardingRouter$/^throughput$", plantedVariable+"=nothing", "STRESS_SCALE=2000",
		"STRESS_OUT="+out, targetsVariable+"=run.memory=25")
	require.NoError(t, err, said)
	r, err := report.Load(out)
	require.NoError(t, err)
	memory := r.Scenarios[2].Memory
	require.NotNil(t, memory.Subject.Split)
	assert.Greater(t, memory.Peak.Heap, int64(10.5e6))
	assert.Less(t, memory.Subject.Peak, int64(10.5e6))
	for _, c := range r.Scenarios[2].Checks {
		if c.ID == "routing.memory" {
			assert.Equal(t, validate.NotMeasured, c.Verdict)
			assert.Contains(t, c.Note, "phases were left out", "who is to hold least may do so elsewhere")
		}
	}
}

// TestHoardingRouter is the kit over a router that takes too much memory.
func TestHoardingRouter(t *testing.T) {
	skipUnlessPlanted(t)
	routertest.TestRouter(t, func(tb testing.TB, cfg routertest.Config) routertest.Router {
		return &hoarder{Router: openRouter(tb, cfg), closed: make(chan struct{})}
	})
}

type hoarder struct {
	routertest.Router
	mu     sync.Mutex
	hoard  [][]byte
	closed chan struct{}
	names  sync.WaitGroup
}

func (r *hoarder) Register(name string, handle func(routertest.Message)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case planted == "holds 300 MB" && r.hoard == nil:
		r.take(300e6)
	case planted == "a goroutine with 256 KB a name":
		r.names.Add(1)
		go func() {
			defer r.names.Done()
			deep(2, func() { <-r.closed })
		}()
	}
	return r.Router.Register(name, handle)
}

// take allocates memory and writes to it, or the kernel would not give it.
func (r *hoarder) take(bytes int) {
	data := make([]byte, bytes)
	for i := range data {
		data[i] = 1
	}
	r.hoard = append(r.hoard, data)
}

// deep calls f with so many frames of 100 KB below it.
func deep(frames int, f func()) {
	if frames == 0 {
		f()
		return
	}
	var frame [100 << 10]byte
	for i := range frame {
		frame[i] = 1
	}
	deep(frames-1, f)
	runtime.KeepAlive(&frame)
}

func (r *hoarder) Send(name string, m routertest.Message) error {
	err := r.Router.Send(name, m)
	if err == nil && planted == "keeps 1 KB of each message" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.take(1 << 10)
	}
	return err
}

func (r *hoarder) Close() error {
	defer r.names.Wait()
	close(r.closed)
	return r.Router.Close()
}
