package wal_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tensile/queue/internal/faultfs"
	"tensile/queue/wal"
)

// openUntil opens a log on disk and closes it, and dies before its call number
// calls. It returns what is left then: of a killed process, or of one that has
// come to its end. No call reaches the disk after.
func openUntil(disk *faultfs.FS, calls int, plant func(*faultfs.FS) wal.FS) (left *faultfs.FS) {
	disk.Fail(func(op faultfs.Op, _ string) error {
		if op == faultfs.Read {
			return nil
		}
		if calls--; calls >= 0 {
			return nil
		}
		if left == nil {
			left = disk.Clone()
		}
		return errDead
	})
	o := wal.Options{FS: plant(disk), SegmentSize: wal.MinSegmentSize}
	if l, _, err := wal.Open(deep, o, func(uint64, []byte) error { return nil }); err == nil {
		_ = l.Close()
	}
	if left == nil {
		left = disk.Clone()
	}
	return left
}

// twoOpensDie has an Open die at each of its calls, killed or with the power, and
// the next one with the power at each of its own. It returns what is wrong then.
func twoOpensDie(t *testing.T, plant func(*faultfs.FS) wal.FS) []string {
	const (
		calls   = 15 // of an Open that finds the most to do
		records = 3  // the last has a segment of its own
	)
	full := faultfs.New()
	l, _, err := wal.Open(deep, wal.Options{FS: full, SegmentSize: wal.MinSegmentSize}, nil)
	require.NoError(t, err)
	owed := make([]int, records)
	for i := range owed {
		owed[i] = i
		put(t, l, fmt.Sprintf("%08d", i)+strings.Repeat(".", 3000))
	}
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	for first := range calls {
		for failure := range uint64(12) {
			killed := openUntil(full.Clone(), first, plant)
			if failure > 0 {
				killed.PowerFailure(rand.New(rand.NewPCG(failure, uint64(first))))
			}
			for second := range calls {
				left := openUntil(killed.Clone(), second, plant)
				for seed := range uint64(4) {
					after := left.Clone()
					after.PowerFailure(rand.New(rand.NewPCG(seed, uint64(first*calls+second))))
					looked := &history{disk: after, confirmed: owed}
					if wrong := looked.check(); len(wrong) > 0 {
						return append(wrong, fmt.Sprintf("calls %d and %d, failures %d and %d", first, second, failure, seed))
					}
				}
			}
		}
	}
	return nil
}

// An Open may find what another has begun and not made durable. It must not take
// away what that was to replace before, nor empty what else has two names.
func TestPowerFailsInTheOpenAfterOneThatDied(t *testing.T) {
	wrong := twoOpensDie(t, func(disk *faultfs.FS) wal.FS { return disk })
	require.Empty(t, wrong)
}

// hasty is a file system under a log that opens without due care.
type hasty struct {
	*faultfs.FS
	fault  string
	synced bool
}

func (h *hasty) SyncDir(dir string) error {
	if h.fault == "what it finds is not synced" && dir == deep && !h.synced {
		h.synced = true
		return nil
	}
	return h.FS.SyncDir(dir)
}

func (h *hasty) Remove(name string) error {
	if h.fault == "a spare file that holds records is emptied" && strings.HasSuffix(name, ".tmp") {
		return nil
	}
	return h.FS.Remove(name)
}

// Each way to be hasty in Open is found.
func TestHastyOpensAreFound(t *testing.T) {
	for _, fault := range []string{"what it finds is not synced", "a spare file that holds records is emptied"} {
		t.Run(fault, func(t *testing.T) {
			wrong := twoOpensDie(t, func(disk *faultfs.FS) wal.FS { return &hasty{FS: disk, fault: fault} })
			require.Contains(t, strings.Join(wrong, "\n"), "lost: record 2", "an Open passes of which this is true: %s", fault)
			t.Log(wrong)
		})
	}
}
