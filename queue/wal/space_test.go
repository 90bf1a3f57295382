package wal_test

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue/internal/faultfs"
	"tensile/queue/wal"
)

// fill appends until there is no room, and returns how many records were taken.
func fill(t *testing.T, l *wal.Log, from int) (n int) {
	t.Helper()
	for n = from; n < from+1000; n++ {
		c, err := l.Append([]byte(numbered(n, n+1)[0]), nil)
		if err != nil {
			require.ErrorIs(t, err, wal.ErrNoSpace)
			require.ErrorIs(t, err, syscall.ENOSPC, "with its cause")
			return n - from
		}
		require.NoError(t, c.Wait(t.Context()))
	}
	t.Fatal("the disk should be full")
	return 0
}

// On a full disk nothing fails: what leads to room is taken, the log can be
// opened again, and goes on once there is room.
func TestFullDisk(t *testing.T) {
	for _, end := range []string{"closed", "killed"} {
		t.Run(end, func(t *testing.T) {
			disk := faultfs.New()
			o := wal.Options{FS: disk, SegmentSize: 4 * wal.MinSegmentSize}
			l, _, _ := open(t, o)
			want := numbered(0, 40)
			for i := range 40 {
				put(t, l, want[i])
			}
			disk.Limit(disk.Used())
			n := fill(t, l, 40)
			want = numbered(0, 40+n)
			for range 3 {
				c, err := l.AppendReserved([]byte("done"), nil)
				require.NoError(t, err, "a quarter of the segment is left")
				require.NoError(t, c.Wait(t.Context()))
				want = append(want, "done")
			}
			assert.NoError(t, l.Err())
			if end == "killed" {
				killed := disk.Clone()
				killed.Limit(disk.Used())
				disk = killed
			}
			require.NoError(t, l.Close())

			o.FS = disk
			l, found, got := open(t, o)
			assert.Empty(t, found.Damage)
			assert.Equal(t, want, got)
			_, err := l.AppendReserved([]byte("done"), nil)
			require.NoError(t, err)

			// What is not needed goes, and there is room again.
			segments := l.Segments()
			require.NoError(t, l.Trim(segments[2]))
			require.Eventually(t, func() bool { // the committer tries by itself
				c, err := l.Append([]byte("more"), nil)
				return err == nil && c.Wait(t.Context()) == nil
			}, 10*time.Second, time.Millisecond)
			require.NoError(t, l.Close())
			o.FS.(*faultfs.FS).Limit(0)
			l, found, got = open(t, o)
			assert.Empty(t, found.Damage)
			assert.Equal(t, "more", got[len(got)-1])
			assert.Equal(t, "done", got[len(got)-2])
			require.NoError(t, l.Close())
		})
	}
}

// While a segment holds what was meant for the next, it is not trimmed for what
// was meant for itself.
func TestTrimWhileThereIsNoRoom(t *testing.T) {
	disk := faultfs.New()
	o := wal.Options{FS: disk, SegmentSize: 4 * wal.MinSegmentSize}
	l, _, _ := open(t, o)
	put(t, l, "record 0")
	disk.Limit(disk.Used())
	n := fill(t, l, 1)
	c, err := l.AppendReserved([]byte("late"), nil)
	require.NoError(t, err)
	require.NoError(t, c.Wait(t.Context()))
	require.Greater(t, c.Segment, l.Segments()[len(l.Segments())-1])
	disk.Limit(0)
	require.Eventually(t, func() bool {
		commit, err := l.Append([]byte("more"), nil)
		return err == nil && commit.Wait(t.Context()) == nil && len(l.Segments()) > 1
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, l.Trim(c.Segment))
	require.NoError(t, l.Close())
	l, found, got := open(t, o)
	assert.Empty(t, found.Damage, "the numbers that were never made are not missed")
	assert.Equal(t, append(numbered(0, n+1), "late"), got[:n+2])
	require.NoError(t, l.Close())
}

// Nothing goes before what was appended, and may replace it, is on the disk.
func TestTrimWaitsForWhatWasAppended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		l, _, _ := open(t, wal.Options{FS: disk, SegmentSize: wal.MinSegmentSize})
		for _, payload := range numbered(0, 10) {
			put(t, l, payload)
		}
		release := make(chan struct{})
		hung := true
		disk.Fail(func(op faultfs.Op, _ string) error {
			if op == faultfs.Datasync && hung {
				<-release
			}
			return nil
		})
		_, err := l.Append([]byte("moved"), nil)
		require.NoError(t, err)
		before := len(l.Segments())
		trimmed := make(chan error, 1)
		go func() { trimmed <- l.Trim(1 << 60) }()
		synctest.Wait()
		assert.Empty(t, trimmed)
		assert.Len(t, l.Segments(), before)
		hung = false
		close(release)
		assert.NoError(t, <-trimmed)
		assert.Len(t, l.Segments(), 1)
		assert.NoError(t, l.Sync(t.Context()))
		assert.NoError(t, l.Close())
		assert.NoError(t, l.Sync(t.Context()), "everything is on the disk")
	})
}

// Room waits while the disk hangs, as long as its context; Append does not.
func TestRoomWhileTheDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		l, _, _ := open(t, wal.Options{FS: disk})
		release := make(chan struct{})
		disk.Fail(func(op faultfs.Op, _ string) error {
			if op == faultfs.Datasync {
				<-release
			}
			return nil
		})
		for range 6 {
			_, err := l.Append(make([]byte, 1<<20), nil)
			require.NoError(t, err)
			synctest.Wait()
		}
		assert.True(t, l.Behind())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, l.Room(ctx), context.DeadlineExceeded)
		assert.ErrorIs(t, l.Sync(ctx), context.DeadlineExceeded)
		close(release)
		assert.NoError(t, l.Room(t.Context()))
		assert.NoError(t, l.Close())
	})
}

// However long the preface is, three quarters of a segment are records.
func TestLongPreface(t *testing.T) {
	disk := faultfs.New()
	l, _, _ := open(t, wal.Options{FS: disk, SegmentSize: wal.MinSegmentSize, Preface: func() [][]byte {
		return [][]byte{make([]byte, 100<<10)}
	}})
	for range 150 {
		put(t, l, "a group is a page of 4 KiB")
	}
	assert.LessOrEqual(t, len(l.Segments()), 4)
	require.NoError(t, l.Close())
}
