package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKinds: each kind of fault is made where it can be, and nowhere else.
func TestKinds(t *testing.T) {
	tried := make(map[string]bool)
	for _, c := range []struct {
		source string
		want   []string // kind and what is there now
	}{
		{"mu.Lock(); x = 1; mu.Unlock()",
			[]string{"section x = 1;", "order x = 1 mu.Lock()", "order mu.Unlock() x = 1", "unlock"}},
		{"mu.RLock(); defer mu.RUnlock(); f()", []string{"section", "unlock"}},
		{"mu.Lock(); return", []string{}},
		{"mu.Lock(); other.Unlock()", []string{"order other.Unlock() mu.Lock()", "order other.Unlock() mu.Lock()", "unlock"}},
		{"c.Signal()", []string{"signal"}},
		{"c.Broadcast()", []string{"signal", "signal c.Signal()"}},
		{"for !ready { c.Wait() }", []string{"wait if !ready { c.Wait() }"}},
		{"for { c.Wait() }", nil},
		{"select { case <-ctx.Done(): f(); case v := <-ch: g(v) }", []string{"done"}},
		{"close(ch)", []string{"close"}},
		{"defer close(ch)", []string{"close"}},
		{"ch <- v", []string{"send"}},
		{"ch := make(chan int)", []string{"buffer make(chan int, 1)"}},
		{"ch := make(chan int, n)", []string{"buffer make(chan int, (n)+1)", "buffer make(chan int, max((n)-1, 0))"}},
		{"s := make([]int, n)", nil},
		{"all.Add(1); all.Done()", []string{"count", "count"}},
		{"n := total.Add(1)", nil},
		{"state.Store(2)", []string{"store"}},
		{"if state.CompareAndSwap(1, 2) { f() }", []string{"cas func() bool { state.Store(2); return true }()"}},
		{"timer.Stop(); timer.Reset(d); cancel()", []string{"stop", "stop", "stop"}},
		{"ok := a < b && c >= d", []string{"bound a <= b", "bound c > d"}},
		{"ok := a == b", nil},
		{"v := a[0] + a[i%n] + a[i-1] + a[i]",
			[]string{"index a[len(a)-1]", "index a[(i+1)%n]", "index a[i]"}},
		{"delete(m, k); clear(m)", []string{"delete", "delete"}},
		{"if err != nil { return }", []string{"error err != nil && false"}},
		{"if x != nil { return }", nil},
		{"file.Sync()", []string{"sync"}},
		{"err := file.Sync()", []string{"sync error(nil)"}},
		{"func() error { return file.Sync() }()", []string{"sync error(nil)"}},
	} {
		source := "package p\n\nfunc f() {\n\t" + strings.ReplaceAll(c.source, "; ", "\n\t") + "\n}\n"
		made, err := mutate("p.go", []byte(source))
		require.NoError(t, err)
		got, want := []string{}, []string{}
		for _, m := range made {
			got = append(got, strings.TrimSpace(m.kind+" "+m.now))
			tried[m.kind] = true
			assert.NotEqual(t, source, string(m.text))
			assert.GreaterOrEqual(t, m.line, 4)
			_, err := mutate("p.go", m.text)
			assert.NoError(t, err, "it is no Go: %s", m.text)
		}
		for _, w := range c.want {
			want = append(want, strings.ReplaceAll(w, ";", ""))
		}
		for i := range got {
			got[i] = strings.ReplaceAll(got[i], ";", "")
		}
		slices.Sort(want)
		slices.Sort(got)
		assert.Equal(t, want, got, c.source)
	}
	for _, k := range kinds {
		assert.True(t, tried[k.name], "%s was never made", k.name)
	}
}

// TestMutantsOfAModule: what tests see is killed, and what they let pass is listed.
func TestMutantsOfAModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the tests of every mutant")
	}
	inTheModule(t)
	var out, progress bytes.Buffer
	require.NoError(t, run(t.Context(), []string{".", "-run", "StressGate"}, &out, &progress), "%s", &progress)
	report := out.String()
	assert.Contains(t, report, "| unlock | drops an Unlock | 2 | 2 |")
	assert.Contains(t, report, "| close | drops the close of a channel | 1 | 1 | 0 | 0 |")
	assert.Contains(t, report, "- gate.go:28: section: g.mu.Lock() ", "without the race detector nobody sees it")
	assert.Contains(t, progress.String(), "the gate is open, and nobody passes")
	assert.Contains(t, report, "- gate.go:14: buffer: make(chan struct{}), now make(chan struct{}, 1)")
	assert.Contains(t, report, "Survivors:")

	out.Reset()
	require.NoError(t, run(t.Context(), []string{"-list", "-sample", "3", "-seed", "7", "."}, &out, io.Discard))
	assert.Equal(t, 3, strings.Count(out.String(), "\n"), "%s", &out)
}

// inTheModule goes to the module of the tests, where no flags are set that choose tests.
func inTheModule(t *testing.T) {
	t.Setenv("GOFLAGS", "")
	t.Chdir("testdata/gate")
}

func TestEndsInTime(t *testing.T) {
	inTheModule(t)
	s := suite{tests: ".", run: "StressGate", most: time.Nanosecond, place: t.TempDir()}
	got, err := s.try(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, late, got.outcome)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = suite{tests: ".", run: "StressGate", place: t.TempDir()}.try(ctx, nil)
	assert.ErrorIs(t, err, context.Canceled)
}

// TestMistakes are told, and nothing is run.
func TestMistakes(t *testing.T) {
	inTheModule(t)
	for says, args := range map[string][]string{
		"There must be one, such as ./pool":   {},
		"there must be one package":           {"a", "b"},
		"must be 0 or more":                   {".", "-sample", "-1"},
		"-run=\"(\", must be a regular":       {".", "-run", "("},
		"-kinds=\"(\", must be a regular":     {".", "-kinds", "("},
		"there is nothing to make a mutant":   {".", "-kinds", "none"},
		"go list ./none":                      {"./none"},
		"without a fault: killed: it is red":  {".", "-run", "TestRed"},
		"-run Missing .: there are no such":   {".", "-run", "Missing"},
		"flag provided but not defined: -odd": {".", "-odd"},
	} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		assert.ErrorContains(t, err, says, fmt.Sprint(args))
	}
}
