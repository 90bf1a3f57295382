package wal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tensile/queue/internal/faultfs"
	"tensile/queue/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "/log"

// replayed collects what Open hands over.
type replayed []string

func (r *replayed) take(_ uint64, payload []byte) error {
	*r = append(*r, string(payload))
	return nil
}

func open(t testing.TB, o wal.Options) (*wal.Log, wal.Recovery, replayed) {
	t.Helper()
	var got replayed
	l, found, err := wal.Open(dir, o, got.take)
	require.NoError(t, err)
	return l, found, got
}

// put appends a record and waits until it is committed.
func put(t testing.TB, l *wal.Log, payload string) {
	t.Helper()
	c, err := l.Append([]byte(payload[:1]), []byte(payload[1:]))
	require.NoError(t, err)
	require.NoError(t, c.Wait(context.Background()))
}

// putTogether has n records share a group.
func putTogether(t testing.TB, l *wal.Log, n int, payload func(i int) string) {
	t.Helper()
	var c wal.Commit
	require.NoError(t, l.Batch(func() (err error) {
		for i := range n {
			if c, err = l.Append([]byte(payload(i)), nil); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, c.Wait(context.Background()))
}

func numbered(from, to int) replayed {
	var all replayed
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("record %d", i))
	}
	return all
}

func TestEverythingCommittedIsReplayedInOrder(t *testing.T) {
	for _, end := range []string{"closed", "killed"} {
		t.Run(end, func(t *testing.T) {
			o := wal.Options{FS: faultfs.New(), SegmentSize: wal.MinSegmentSize}
			want := 0
			for range 5 {
				l, found, got := open(t, o)
				assert.Equal(t, numbered(0, want), got)
				assert.Empty(t, found.Damage)
				assert.Empty(t, found.Torn)
				assert.Equal(t, want, found.Records)
				for range 300 {
					put(t, l, fmt.Sprintf("record %d", want))
					want++
				}
				assert.Greater(t, len(l.Segments()), 1, "it should have rotated")
				if end == "killed" {
					o.FS = o.FS.(*faultfs.FS).Clone()
				}
				require.NoError(t, l.Close())
			}
		})
	}
}

func TestThoseWhoWaitShareOneSync(t *testing.T) {
	disk := faultfs.New()
	l, _, _ := open(t, wal.Options{FS: disk})
	before := disk.Syncs()
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	disk.Fail(func(op faultfs.Op, _ string) error {
		if op == faultfs.Datasync {
			once.Do(func() { close(entered); <-release })
		}
		return nil
	})
	first, err := l.Append([]byte("first"), nil)
	require.NoError(t, err)
	<-entered
	var commits []wal.Commit
	for i := range 100 {
		c, err := l.Append(fmt.Appendf(nil, "%d", i), nil)
		require.NoError(t, err)
		commits = append(commits, c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, first.Wait(ctx), context.Canceled)
	close(release)
	assert.NoError(t, first.Wait(t.Context()))
	for _, c := range commits {
		assert.NoError(t, c.Wait(t.Context()))
	}
	assert.Equal(t, 2, disk.Syncs()-before)
	s := l.Stats()
	assert.Equal(t, uint64(2), s.Commits)
	assert.Equal(t, uint64(101), s.Records)
	assert.NoError(t, l.Close())
}

func TestPrefaceBeginsEverySegment(t *testing.T) {
	state := "nothing"
	o := wal.Options{FS: faultfs.New(), SegmentSize: wal.MinSegmentSize, Preface: func() [][]byte {
		return [][]byte{[]byte("preface: " + state)}
	}}
	l, _, _ := open(t, o)
	state = "something"
	for i := range 601 { // so that the last is not the last of its segment
		put(t, l, fmt.Sprintf("record %d", i))
	}
	segments := l.Segments()
	require.Greater(t, len(segments), 2)
	require.NoError(t, l.Trim(segments[len(segments)-2]))
	assert.Equal(t, segments[len(segments)-2:], l.Segments())
	require.NoError(t, l.Close())

	l, found, got := open(t, o)
	assert.Empty(t, found.Damage, "segments that were trimmed are not missed")
	assert.Equal(t, "preface: something", got[0])
	assert.Contains(t, got, "record 600")
	require.NoError(t, l.Close())

	prefaces := 0
	l, _, got = open(t, o)
	for _, payload := range got {
		if strings.HasPrefix(payload, "preface") {
			prefaces++
		}
	}
	assert.Equal(t, 2, prefaces, "one for each segment, however often the log was opened")
	require.NoError(t, l.Close())
}

func TestTrimKeepsTheSegmentWrittenTo(t *testing.T) {
	o := wal.Options{FS: faultfs.New()}
	l, _, _ := open(t, o)
	put(t, l, "record 0")
	require.NoError(t, l.Trim(1<<60))
	require.NoError(t, l.Close())
	l, _, got := open(t, o)
	assert.Equal(t, numbered(0, 1), got)
	require.NoError(t, l.Close())
}

func TestErrors(t *testing.T) {
	disk := faultfs.New()
	_, _, err := wal.Open(dir, wal.Options{FS: disk, SegmentSize: 1}, nil)
	assert.ErrorIs(t, err, wal.ErrConfig)
	assert.ErrorContains(t, err, "SegmentSize is 1, must be")

	l, _, _ := open(t, wal.Options{FS: disk})
	_, err = l.Append(nil, nil)
	assert.ErrorIs(t, err, wal.ErrRecord)
	_, err = l.Append([]byte{1}, make([]byte, wal.MaxRecord))
	assert.ErrorIs(t, err, wal.ErrRecord)
	assert.ErrorContains(t, err, "16777217 bytes, must be 1 to 16777216")
	put(t, l, strings.Repeat("x", wal.MaxRecord))

	_, _, err = wal.Open(dir, wal.Options{FS: disk}, nil)
	assert.ErrorIs(t, err, wal.ErrLocked)
	assert.NoError(t, l.Close())
	assert.NoError(t, l.Close())
	_, err = l.Append([]byte{1}, nil)
	assert.ErrorIs(t, err, wal.ErrClosed)

	stop := errors.New("stop")
	_, _, err = wal.Open(dir, wal.Options{FS: disk}, func(uint64, []byte) error { return stop })
	assert.ErrorIs(t, err, stop)
	l, _, got := open(t, wal.Options{FS: disk}) // the lock is free again
	assert.Len(t, got, 1)
	assert.NoError(t, l.Close())
}

func TestUnknownVersionIsRefusedAndNothingTouched(t *testing.T) {
	disk := faultfs.New()
	l, _, _ := open(t, wal.Options{FS: disk})
	put(t, l, "record 0")
	require.NoError(t, l.Close())
	disk.Edit(disk.Files()[0], wal.AsVersion2)
	before := disk.Files()
	_, _, err := wal.Open(dir, wal.Options{FS: disk}, nil)
	assert.ErrorIs(t, err, wal.ErrVersion)
	assert.ErrorContains(t, err, "2, must be 1")
	assert.ErrorContains(t, err, before[0])
	assert.Equal(t, before, disk.Files())
}

// Whatever fails, everyone who waits is told, nothing is confirmed from then
// on, and what was confirmed before is there after the next Open.
func TestFailureIsStickyUntilOpenedAgain(t *testing.T) {
	broken := errors.New("broken disk")
	for _, c := range []struct {
		op       faultfs.Op
		rotation bool // the call belongs to going on to the next segment
	}{
		{faultfs.Write, false}, {faultfs.Datasync, false},
		{faultfs.Rename, true}, {faultfs.SyncDir, true},
	} {
		t.Run(string(c.op), func(t *testing.T) {
			disk := faultfs.New()
			o := wal.Options{FS: disk, SegmentSize: wal.MinSegmentSize}
			l, _, _ := open(t, o)
			put(t, l, "record 0")

			failed := 0
			disk.Fail(func(op faultfs.Op, _ string) error {
				if op != c.op || failed > 0 { // once: the disk works again afterwards
					return nil
				}
				failed++
				return broken
			})
			confirmed, sent := 1, 1
			var all sync.WaitGroup
			for {
				commit, err := l.Append([]byte("record "), fmt.Appendf(nil, "%d", sent))
				sent++
				if err == nil {
					all.Go(func() { err = commit.Wait(context.Background()) })
					all.Wait()
				}
				if err != nil {
					assert.ErrorIs(t, err, wal.ErrFailed)
					assert.ErrorIs(t, err, broken)
					break
				}
				confirmed++
				require.Less(t, sent, 1000)
			}
			assert.Equal(t, 1, failed)
			assert.Equal(t, c.rotation, confirmed > 1)
			<-l.Failed()
			for range 3 {
				_, err := l.Append([]byte("later"), nil)
				assert.ErrorIs(t, err, wal.ErrFailed)
			}
			assert.ErrorIs(t, l.Close(), wal.ErrFailed)

			l, found, got := open(t, o)
			assert.Empty(t, found.Damage)
			require.GreaterOrEqual(t, len(got), confirmed)
			require.LessOrEqual(t, len(got), sent)
			assert.Equal(t, numbered(0, len(got)), got)
			put(t, l, "works again")
			require.NoError(t, l.Close())
		})
	}
}

func TestFailureReachesAllWhoWait(t *testing.T) {
	disk := faultfs.New()
	l, _, _ := open(t, wal.Options{FS: disk})
	entered, release := make(chan struct{}), make(chan struct{})
	disk.Fail(func(op faultfs.Op, _ string) error {
		if op != faultfs.Datasync {
			return nil
		}
		close(entered)
		<-release
		return syscall.EIO
	})
	errs := make(chan error)
	wait := func(c wal.Commit) { errs <- c.Wait(context.Background()) }
	for i := range 50 {
		c, err := l.Append(fmt.Appendf(nil, "%d", i), nil)
		require.NoError(t, err)
		go wait(c)
		if i == 0 {
			<-entered // the others are not part of the write that fails
		}
	}
	close(release)
	for range 50 {
		err := <-errs
		assert.ErrorIs(t, err, wal.ErrFailed)
		assert.ErrorIs(t, err, syscall.EIO)
	}
	assert.ErrorIs(t, l.Close(), wal.ErrFailed)
}

func TestSystem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "log")
	var l *wal.Log
	for round := range 3 {
		var got replayed
		var err error
		l, _, err = wal.Open(dir, wal.Options{SegmentSize: wal.MinSegmentSize}, got.take)
		require.NoError(t, err)
		assert.Equal(t, numbered(0, round*200), got)
		for i := range 200 {
			put(t, l, fmt.Sprintf("record %d", round*200+i))
		}
		_, _, err = wal.Open(dir, wal.Options{}, nil)
		assert.ErrorIs(t, err, wal.ErrLocked)
		assert.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()))
		require.NoError(t, l.Close())
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, len(l.Segments())+1, "segments and the lock, nothing else")
}

func BenchmarkCommit(b *testing.B) {
	for _, waiting := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("%d-waiting", waiting), func(b *testing.B) {
			l, _, err := wal.Open(b.TempDir(), wal.Options{}, func(uint64, []byte) error { return nil })
			require.NoError(b, err)
			payload := make([]byte, 100)
			var all sync.WaitGroup
			b.ResetTimer()
			for w := range waiting {
				all.Go(func() {
					for i := w; i < b.N; i += waiting {
						c, err := l.Append(payload, nil)
						if err == nil {
							err = c.Wait(context.Background())
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			s := l.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(s.Records)/float64(s.Commits), "records/sync")
			require.NoError(b, l.Close())
		})
	}
}

// BenchmarkDatasync is what the disk itself takes: 4 KB written into a file that
// was allocated, and an fdatasync.
func BenchmarkDatasync(b *testing.B) {
	f, err := wal.System{}.Create(filepath.Join(b.TempDir(), "file"))
	require.NoError(b, err)
	require.NoError(b, f.Allocate(64<<20))
	block := make([]byte, 4096)
	for i := range b.N {
		_, err := f.WriteAt(block, int64(i)*4096%(64<<20))
		require.NoError(b, err)
		require.NoError(b, f.Datasync())
	}
	require.NoError(b, f.Close())
	b.ReportMetric(float64(b.Elapsed())/float64(time.Microsecond)/float64(b.N), "µs/sync")
}
