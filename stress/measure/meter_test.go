package measure

import (
	"math"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseBusy(t *testing.T) {
	for _, c := range []struct {
		text string
		want float64
		ok   bool
	}{
		{"cpu  100 200 300 9000 8000 40 50 60 7 7\ncpu0 1 1 1 1 1 1 1 1 1 1\n", 7.5, true},
		{"cpu  1 1 1 1 1 1 1 1", 0.06, true},
		{"cpu  1 1 1 1 1 1 1", 0, false},      // an old kernel
		{"cpu0 1 1 1 1 1 1 1 1", 0, false},    // not the sum
		{"cpu  1 1 1 1 1 1 1 x", 0, false},    // no number
		{"cpu  1 1 1 1 1 1 1 -1 1", 0, false}, // no time
		{"", 0, false},
	} {
		got, ok := parseBusy(c.text)
		assert.Equal(t, c.ok, ok, c.text)
		assert.InDelta(t, c.want, got, 1e-9, c.text)
	}
}

func TestParseProcess(t *testing.T) {
	const after = " S 1 2 3 4 5 6 7 8 9 10 100 20 3 400 99 99\n"
	for _, c := range []struct {
		text string
		want float64
		ok   bool
	}{
		{"1 (go)" + after, 5.23, true},
		{"1 (a) b) (c)" + after, 5.23, true},
		{"1 (a\nb)" + after, 5.23, true},
		{"1 ()" + after, 5.23, true},
		{"1 (go) S 1 2", 0, false},
		{"", 0, false},
	} {
		got, ok := parseProcess(c.text)
		assert.Equal(t, c.ok, ok, c.text)
		assert.InDelta(t, c.want, got, 1e-9, c.text)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("cpu  100 200 300 9000 8000 40 50 60 7 7\n")
	f.Add("1 (a) b) S 1 2 3 4 5 6 7 8 9 10 100 20 3 400 99 99")
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (float64, bool){parseBusy, parseProcess} {
			if seconds, ok := parse(text); seconds < 0 || math.IsNaN(seconds) || seconds > 0 && !ok {
				t.Fatalf("%q gave %v, %v", text, seconds, ok)
			}
		}
	})
}

// burn takes processor time until this process tree has spent that much.
func burn(t *testing.T, seconds float64) {
	t.Helper()
	from, ok := treeSeconds()
	require.True(t, ok)
	for now := from; now-from < seconds; now, _ = treeSeconds() {
	}
}

// child starts this program again, and returns it with a function that ends it.
func child(t *testing.T, does string) (*exec.Cmd, func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+does)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, sync.OnceFunc(func() {
		assert.NoError(t, in.Close())
		assert.NoError(t, cmd.Wait())
	})
}

func requireProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("this system does not show processor times: ", err)
	}
}

// TestOwnWorkIsNotForeign: what this process and its children take, they took
// from nobody, also once a child has ended.
func TestOwnWorkIsNotForeign(t *testing.T) {
	requireProc(t)
	before, _ := treeSeconds()
	m := StartMeter()
	burn(t, 0.2)
	_, end := child(t, "burn")
	defer end()
	alone, _ := treeSeconds()
	for now := alone; now-alone < 0.3; now, _ = treeSeconds() { // by the child
		time.Sleep(time.Millisecond)
	}
	end()
	after, ok := treeSeconds()
	require.True(t, ok)
	assert.GreaterOrEqual(t, after-before, 0.5-0.02, "seconds, also of the child that has been reaped")

	share, ok := m.Share()
	require.True(t, ok)
	assert.Greater(t, share, 0.0)
	assert.LessOrEqual(t, share, 1.0)
}

// TestShare by figures: what of the time of all processors was left.
func TestShare(t *testing.T) {
	for _, c := range []struct {
		busy, own, took float64
		cores           int
		want            float64
	}{
		{busy: 2, own: 2, took: 1, cores: 2, want: 1},
		{busy: 2, own: 1, took: 1, cores: 2, want: 0.5},
		{busy: 2, own: 0, took: 1, cores: 2, want: 0},
		{busy: 1, own: 0, took: 1, cores: 4, want: 0.75},
		{busy: 0.5, own: 0.6, took: 1, cores: 2, want: 1}, // clocks that tick apart
		{busy: 2.3, own: 0.1, took: 1, cores: 2, want: 0}, // the same, the other way
	} {
		assert.InDelta(t, c.want, portion(c.busy, c.own, c.took, c.cores), 1e-9, "%+v", c)
	}
}

func TestShareOfAnInstantIsNotKnown(t *testing.T) {
	share, ok := StartMeter().Share()
	assert.False(t, ok)
	assert.Equal(t, 1.0, share)
}
