package found

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
)

// program uses a library at one of its seams.
type program struct {
	module string
	name   string
	run    func(e *explore.Run)
	model  func(t *testing.T, options ...explore.Option) explore.Outcome // in place of run
	// part of what is said; "" if nothing must be found
	finds string
	// points at plain memory and at the functions of sync/atomic
	memory bool
	left   bool // goroutines may be left over
}

// lockFree are the packages whose operations are functions of sync/atomic.
var lockFree = []string{
	"github.com/Workiva/go-datastructures/queue", "github.com/alphadose/haxmap", "github.com/panjf2000/ants/v2",
	"github.com/panjf2000/ants/v2/pkg/sync", "github.com/puzpuzpuz/xsync/v4",
}

// TestLibraries runs each program under 1,000 schedules, 200 with -short, and where
// something must be found under up to 5,000.
func TestLibraries(t *testing.T) {
	for _, group := range [][]program{workers, pools, structures, caches, buses, services} {
		for _, p := range group {
			t.Run(p.module+"/"+strings.ReplaceAll(p.name, " ", "_"), p.test)
		}
	}
}

func (p program) test(t *testing.T) {
	options := []explore.Option{explore.Schedules(1000)}
	if testing.Short() {
		options = append(options, explore.Schedules(200))
	}
	if p.finds != "" {
		options = append(options, explore.Schedules(5000))
	}
	if p.memory {
		options = append(options, explore.Memory(lockFree...))
	}
	if p.left {
		options = append(options, explore.AllowLeft())
	}
	var out explore.Outcome
	if p.model != nil {
		out = p.model(t, options...)
	} else {
		out = explore.Try(t, p.run, options...)
	}
	if !out.Controlled {
		t.Skip("schedules are not controlled:", out.Reason)
	}
	t.Log(out)
	if p.finds == "" {
		assert.Nil(t, out.Failure)
		return
	}
	require.NotNil(t, out.Failure, "must be found: %s", p.finds)
	assert.Contains(t, out.Failure.Sentence, p.finds)
}

// TestEveryProgramIsListed keeps docs/found.md complete, and at these versions.
func TestEveryProgramIsListed(t *testing.T) {
	text, err := os.ReadFile("../../../docs/found.md")
	require.NoError(t, err)
	required, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	versions := map[string]string{}
	for line := range strings.Lines(string(required)) {
		if fields := strings.Fields(line); len(fields) >= 2 {
			versions[fields[0]] = fields[1]
		}
	}
	for _, group := range [][]program{workers, pools, structures, caches, buses, services} {
		for _, p := range group {
			version := versions[p.module]
			require.NotEmpty(t, version, p.module)
			found := "nothing"
			if p.finds != "" {
				found = "**" + p.finds + "**"
			}
			row := fmt.Sprintf("| `%s` | %s | %s | %s |", p.module, version, p.name, found)
			assert.Contains(t, string(text), row)
		}
	}
}

// late is when, in virtual time, whoever still waits does so forever.
const late = 10 * time.Second

// within fails the schedule if f does not return.
func within(e *explore.Run, otherwise string, f func()) {
	done := make(chan struct{})
	e.Go("last", func() {
		f()
		close(done)
	})
	select {
	case <-done:
	case <-time.After(late):
		e.Check(false, "%s", otherwise)
	}
}

// each runs the functions beside each other, and waits for them.
func each(e *explore.Run, functions ...func()) {
	for i, f := range functions {
		e.Go(string(rune('a'+i)), f)
	}
	e.Wait()
}
