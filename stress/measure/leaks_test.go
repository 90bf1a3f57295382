package measure

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// leaks looks once: its context has ended already.
func leaks(t *testing.T, b Baseline) Leaks {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return b.Leaks(ctx)
}

// forgotten is what a leaked goroutine is found by.
func forgotten(until <-chan struct{}) { <-until }

func TestNothingLeaked(t *testing.T) {
	b := TakeBaseline()
	l := b.Leaks(t.Context())
	assert.True(t, l.None(), l)
	assert.Equal(t, "no goroutine, descriptor or process left behind", l.String())
}

func TestAFileThatIsRemovedIsNoLeak(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "open-before"))
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	b := TakeBaseline()
	require.NoError(t, os.Remove(file.Name()))
	l := b.Leaks(t.Context())
	assert.True(t, l.None(), l)
}

// TestWhatASystemDoesNotTell is not said to be none.
func TestWhatASystemDoesNotTell(t *testing.T) {
	assert.Equal(t, "no goroutine left behind; this system does not report descriptors and processes",
		Leaks{Untold: []string{"descriptors", "processes"}}.String())
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		assert.Contains(t, TakeBaseline().Leaks(t.Context()).Untold, "descriptors")
	}
}

// TestSignalsAreNoLeak runs in a process of its own, where nobody has asked for
// signals before.
func TestSignalsAreNoLeak(t *testing.T) {
	const alone = "TENSILE_SIGNALS_ALONE"
	if os.Getenv(alone) == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestSignalsAreNoLeak$")
		child.Env = append(os.Environ(), alone+"=1")
		out, err := child.CombinedOutput()
		assert.NoError(t, err, string(out))
		return
	}
	b := TakeBaseline()
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	signal.Stop(c)
	l := leaks(t, b)
	assert.True(t, l.None(), l)
}

func TestLeakedGoroutineIsFoundAndNamed(t *testing.T) {
	for _, n := range []int{1, 5} {
		b := TakeBaseline()
		until := make(chan struct{})
		for range n {
			go forgotten(until)
		}
		l := leaks(t, b)
		assert.Equal(t, n, l.Goroutines)
		assert.Zero(t, l.Descriptors+l.Children)
		assert.Contains(t, l.String(), "measure.forgotten")
		assert.False(t, l.None())
		close(until)
		assert.True(t, b.Leaks(t.Context()).None(), "it has been told to end, and is waited for")
	}
}

// TestLeakHiddenByAnotherEnd: one goroutine ends and one leaks, so that the
// count says nothing.
func TestLeakHiddenByAnotherEnd(t *testing.T) {
	first, second := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	go func() { <-first; close(ended) }()
	b := TakeBaseline()
	go forgotten(second)
	close(first)
	<-ended
	l := leaks(t, b)
	assert.Equal(t, 1, l.Goroutines)
	assert.Contains(t, l.String(), "measure.forgotten")
	time.AfterFunc(time.Second, func() { close(second) }) // later than goleak itself would wait
	assert.True(t, b.Leaks(t.Context()).None())
}

// TestManyLeakedGoroutines are not looked at one by one, and named all the same.
func TestManyLeakedGoroutines(t *testing.T) {
	const n = fewGoroutines + 200
	b := TakeBaseline()
	until := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(n)
	for range n {
		go func() {
			begun.Done()
			forgotten(until)
		}()
	}
	begun.Wait()
	l := leaks(t, b)
	assert.Equal(t, n, l.Goroutines)
	assert.Contains(t, l.String(), "TestManyLeakedGoroutines")
	assert.Less(t, len(l.String()), 5000, "a report is to be read")
	close(until)
	assert.True(t, b.Leaks(t.Context()).None())
}

func TestLeakedDescriptorIsFoundAndNamed(t *testing.T) {
	if descriptors() == nil {
		t.Skip("this system does not show descriptors")
	}
	path := filepath.Join(t.TempDir(), "left-open")
	b := TakeBaseline()
	file, err := os.Create(path)
	require.NoError(t, err)
	l := leaks(t, b)
	assert.Equal(t, Leaks{Descriptors: 1, What: []string{"descriptor " + strconv.Itoa(int(file.Fd())) + " " + path}}, l)
	require.NoError(t, file.Close())
	assert.True(t, b.Leaks(t.Context()).None())

	// The number alone does not tell: another file may have got it.
	file, err = os.Create(path)
	require.NoError(t, err)
	b = TakeBaseline()
	require.NoError(t, file.Close())
	other, err := os.Create(path + "-other")
	require.NoError(t, err)
	l = leaks(t, b)
	assert.Equal(t, 1, l.Descriptors)
	assert.Contains(t, l.String(), path+"-other")
	require.NoError(t, other.Close())
}

func TestLeakedProcessIsFoundAndNamed(t *testing.T) {
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("this system does not show child processes: ", err)
	}
	b := TakeBaseline()
	cmd, end := child(t, "wait")
	defer end()
	l := leaks(t, b)
	assert.Equal(t, 1, l.Children)
	assert.Contains(t, l.String(), "process "+strconv.Itoa(cmd.Process.Pid))
	assert.Contains(t, children(), cmd.Process.Pid)

	end()
	assert.True(t, b.Leaks(t.Context()).None())
	assert.NotContains(t, children(), cmd.Process.Pid)
}

func TestLeaksAreWaitedForNoLongerThanTheContext(t *testing.T) {
	b := TakeBaseline()
	until := make(chan struct{})
	go forgotten(until)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	assert.Equal(t, 1, b.Leaks(ctx).Goroutines)
	close(until)
	assert.True(t, b.Leaks(t.Context()).None())
}
