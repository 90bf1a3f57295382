package main

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
	"tensile/stress/internal/classics"
	"tensile/stress/internal/trials"
)

// Every mistake is found, in the way in which it shows, with points at memory only where
// it needs them, and no twin is accused.
func TestClassicsAreFound(t *testing.T) {
	for _, c := range classics.Cases {
		t.Run(c.Name, func(t *testing.T) {
			s := classic(c, c.Memory)
			found := explore.Try(t, s.Run, append(s.Options, explore.Schedules(1000))...)
			if !found.Controlled {
				t.Skip("schedules are not controlled:", found.Reason)
			}
			if assert.NotNil(t, found.Failure, "not found: %v", found) {
				assert.True(t, s.Is(found.Failure), "must be %s: %s", c.Shows, found.Failure.Kind)
				assert.Equal(t, 10, found.Failure.Replays, "of 10")
			}
			sound := explore.Try(t, s.Sound, append(s.Options, explore.Schedules(300))...)
			assert.Nil(t, sound.Failure, "the twin: %v", sound)
		})
	}
}

func TestKernelsAreReadFromTheGoTree(t *testing.T) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	files := map[string]string{}
	kernels, skipped, err := readKernels(strings.TrimSpace(string(goroot)), func(file string, source []byte) error {
		files[file] = string(source)
		return nil
	})
	if err != nil {
		t.Skip("a Go tree without kernels:", err)
	}
	assert.GreaterOrEqual(t, len(kernels), 62)
	assert.LessOrEqual(t, len(skipped), 1, "%v", skipped)
	assert.Len(t, files, len(kernels))
	for file, source := range files {
		assert.NotContains(t, source, "Gosched()", file)
		assert.NotContains(t, source, "WriteTo(", file)
		assert.NotContains(t, source, "register(", file)
	}
}

const kernelSource = `package main

import (
	"os"
	"runtime"
	"runtime/pprof"
)

func init() {
	register("Lib1", Lib1)
}

func Lib1() {
	prof := pprof.Lookup("goroutineleak")
	defer func() {
		prof.WriteTo(os.Stdout, 2)
	}()
	for i := 0; i < 1000; i++ {
		go func() {
			ch := make(chan int)
			for j := 0; j < 500; j++ {
				runtime.Gosched()
			}
			select {
			case <-ch:
				runtime.Gosched()
			}
		}()
	}
}
`

const kernelOnce = `package kernels

import (
	_ "os"
	_ "runtime"
	"runtime/pprof"
)

func Lib1() {
	_ = pprof.Lookup("goroutineleak")
	defer func() {
	}()
	for i := 500; i < 501; i++ {
		go func() {
			ch := make(chan int)
			for j := 0; j < 10; j++ {
			}
			select {
			case <-ch:
			}
		}()
	}
}
`

func TestKernelsRunOnce(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o666))
	}
	write(filepath.Join(kernelFolder, "lib1.go"), kernelSource)
	write(filepath.Join(kernelFolder, "main.go"), "package main\n")
	write(leakTest, "package runtime_test\n\nvar _ = makeTest(\"Lib1\", `Lib1\\.func2`)\n")
	var written []byte
	kernels, skipped, err := readKernels(root, func(_ string, source []byte) error {
		written = source
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, []kernel{{"Lib1", "Lib1", []string{`Lib1\.func2`}}}, kernels)
	assert.Empty(t, skipped)
	lines := func(text []byte) string { // blank ones stay where something was taken away
		text, err := format.Source(text)
		require.NoError(t, err)
		return strings.Join(strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' }), "\n")
	}
	assert.Equal(t, lines([]byte(kernelOnce)), lines(written))

	write(filepath.Join(kernelFolder, "lib1.go"), strings.Replace(kernelSource, "prof := ", "if prof := ", 1))
	_, _, err = readKernels(root, nil)
	assert.Error(t, err, "source that does not fit")
	_, _, err = readKernels(t.TempDir(), nil)
	assert.Error(t, err, "a Go tree without sources")
}

func TestTable(t *testing.T) {
	effort := trials.Effort{Trials: 3, Within: 100, Fresh: 2, Sound: 20}
	b := bench{effort: effort}
	for _, r := range []trials.Result{
		{Group: "classics", Name: "a", Effort: effort, After: []int{1, 9, 30}, Replays: 30, Fresh: 6, Twin: true,
			Schedule: time.Millisecond},
		{Group: "classics", Name: "b", Effort: effort, After: []int{2, 12}, Replays: 19, Fresh: 3, Twin: true,
			Alarms: []string{"x is lost"}, Schedule: 3 * time.Millisecond},
		{Group: "museum", Name: "c", Effort: effort, After: []int{7}, Replays: 10, Fresh: 2},
		{Group: "museum", Name: "c", Effort: effort, Twin: true, Alarms: []string{"still"}, Schedule: time.Second},
	} {
		b.add(r)
	}
	var out bytes.Buffer
	table(&out, b.results)
	assert.Equal(t, header+`
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| classics | 2 | 1 | 12 | 49 of 50 | 9 of 10 | 1 of 2, 20 schedules each | 3ms | 3ms |
| museum | 1 | 0 | none | 10 of 10 | 2 of 2 | 1 of 1, 20 schedules each | 1s | 1s |
`, out.String())
	assert.Contains(t, row(b.results[1]), "ALARM on the twin: x is lost")
}
