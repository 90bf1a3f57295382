package wal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue/internal/faultfs"
	"tensile/queue/wal"
)

// deep is a folder below others that have to be made.
const deep = "/data/queues/log"

var errDead = errors.New("the power has failed")

// history is what a log was asked for, over several lives, and what it owes for
// that.
type history struct {
	random *rand.Rand
	disk   *faultfs.FS
	plant  func(*faultfs.FS) wal.FS
	sent   int

	mu        sync.Mutex // the power fails on the goroutine of the log
	confirmed []int      // in order
	trimmed   int        // all below may be gone
}

// live opens the log, appends and trims, until the power fails: at any call of
// the file system, inside Open too. In one of three lives a call has failed
// before, once, as a disk does that hides its trouble.
func (h *history) live() {
	last, broken := 1+h.random.IntN(150), 0
	if h.random.IntN(3) == 0 {
		broken = 1 + h.random.IntN(last)
	}
	power := rand.New(rand.NewPCG(h.random.Uint64(), 0))
	calls := 0
	var left *faultfs.FS
	var confirmed []int
	trimmed := 0
	h.disk.Fail(func(op faultfs.Op, _ string) error {
		if op == faultfs.Read {
			return nil
		}
		calls++
		switch {
		case calls == broken:
			return syscall.EIO
		case calls == last:
			h.mu.Lock()
			confirmed, trimmed = slices.Clone(h.confirmed), h.trimmed
			h.mu.Unlock()
			left = h.disk.Clone()
		}
		if calls >= last {
			return errDead
		}
		return nil
	})
	for range 3 { // it is opened again where only a call has failed
		if l, _, err := wal.Open(deep, h.options(), func(uint64, []byte) error { return nil }); err == nil {
			h.use(l)
			_ = l.Close()
		}
	}
	h.disk.Fail(nil)
	if left == nil { // it came to an end before
		left, confirmed, trimmed = h.disk.Clone(), h.confirmed, h.trimmed
	}
	left.PowerFailure(power)
	h.disk, h.confirmed, h.trimmed = left, confirmed, trimmed
}

func (h *history) options() wal.Options {
	return wal.Options{FS: h.plant(h.disk), SegmentSize: wal.MinSegmentSize}
}

func (h *history) use(l *wal.Log) {
	segments := make(map[int]uint64)
	for range 40 {
		var commits []wal.Commit
		first := h.sent
		for range 1 + h.random.IntN(4) {
			c, err := l.Append(fmt.Appendf(nil, "%08d", h.sent), make([]byte, h.random.IntN(2500)))
			if err != nil {
				break
			}
			segments[h.sent] = c.Segment
			commits = append(commits, c)
			h.sent++
		}
		if len(commits) == 0 {
			return
		}
		for i, c := range commits {
			if c.Wait(context.Background()) == nil {
				h.mu.Lock()
				h.confirmed = append(h.confirmed, first+i)
				h.mu.Unlock()
			}
		}
		if h.random.IntN(8) == 0 {
			keep := h.sent - 1 - h.random.IntN(6)
			if segment, ok := segments[keep]; ok {
				first := keep
				for segments[first-1] == segment {
					first--
				}
				h.mu.Lock()
				h.trimmed = max(h.trimmed, first) // a Trim that reaches less far takes none back
				h.mu.Unlock()
				_ = l.Trim(segment)
			}
		}
	}
}

// check opens what is left, and says what the log owes.
func (h *history) check() (wrong []string) {
	var found []int
	o := wal.Options{FS: h.disk, SegmentSize: wal.MinSegmentSize}
	l, recovery, err := wal.Open(deep, o, func(_ uint64, payload []byte) error {
		var n int
		_, err := fmt.Sscanf(string(payload[:8]), "%d", &n)
		found = append(found, n)
		return err
	})
	if err != nil {
		return []string{fmt.Sprintf("refused: %v", err)}
	}
	for _, d := range recovery.Damage {
		wrong = append(wrong, fmt.Sprintf("damage: %v", d))
	}
	if !slices.IsSorted(found) || len(slices.Compact(slices.Clone(found))) < len(found) {
		wrong = append(wrong, fmt.Sprintf("order: %v", found))
	}
	for _, n := range h.confirmed {
		_, there := slices.BinarySearch(found, n)
		switch {
		case there:
		case n >= h.trimmed:
			wrong = append(wrong, fmt.Sprintf("lost: record %d was confirmed", n))
		case len(found) > 0 && found[0] < n:
			wrong = append(wrong, fmt.Sprintf("hole: record %d is gone, and %d before it is not", n, found[0]))
		}
	}
	if err := l.Close(); err != nil {
		wrong = append(wrong, fmt.Sprintf("refused: %v", err))
	}
	return wrong
}

// powerFails is a history of up to four lives, and what is wrong after each.
func powerFails(seed uint64, plant func(*faultfs.FS) wal.FS) []string {
	h := &history{random: rand.New(rand.NewPCG(seed, 7)), disk: faultfs.New(), plant: plant}
	for range 1 + h.random.IntN(4) {
		h.live()
		looked := &history{disk: h.disk.Clone(), confirmed: h.confirmed, trimmed: h.trimmed}
		if wrong := looked.check(); len(wrong) > 0 {
			return wrong
		}
	}
	return nil
}

// Whatever fails, whenever the power goes: what was confirmed is there, in order,
// without a hole, and nothing is taken for damage.
func TestPowerFailureLosesNothingConfirmed(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	for seed := range rounds {
		if wrong := powerFails(uint64(seed), func(disk *faultfs.FS) wal.FS { return disk }); len(wrong) > 0 {
			t.Fatalf("seed %d: %s", seed, strings.Join(wrong, "\n"))
		}
	}
}

// sloppy is a file system under a log that does one thing wrong: what a log
// would do to the disk that had that fault itself.
type sloppy struct {
	*faultfs.FS
	fault string

	mu               sync.Mutex // segments are begun and trimmed side by side
	renamed, removed bool
}

// The faults, and what each of them comes to.
var faults = map[string]string{
	"confirms before the sync":                            "lost",
	"a sync that failed is tried again":                   "lost",
	"a write that failed is taken for done":               "lost",
	"half of a write is taken for all of it":              "lost",
	"a new segment is not synced":                         "lost",
	"a segment has its name before it is whole":           "damage",
	"the folder is not synced for a new segment":          "lost",
	"the wrong folder is synced for a new segment":        "lost",
	"the folders above are not synced":                    "lost",
	"removals are not synced":                             "hole",
	"removals are synced once, when all of them are done": "hole",
}

func (s *sloppy) Create(name string) (wal.File, error) {
	if s.fault == "a segment has its name before it is whole" {
		name = strings.TrimSuffix(name, ".tmp")
	}
	f, err := s.FS.Create(name)
	return &sloppyFile{File: f, s: s, fresh: true}, err
}

func (s *sloppy) Rename(from, to string) error {
	if s.fault == "a segment has its name before it is whole" && strings.HasSuffix(from, ".wal.tmp") {
		return nil
	}
	s.mu.Lock()
	s.renamed = strings.HasSuffix(to, ".wal")
	s.mu.Unlock()
	return s.FS.Rename(from, to)
}

func (s *sloppy) Remove(name string) error {
	s.mu.Lock()
	s.removed = path.Ext(name) == ".wal"
	s.mu.Unlock()
	return s.FS.Remove(name)
}

func (s *sloppy) SyncDir(dir string) error {
	s.mu.Lock()
	renamed, removed := s.renamed, s.removed
	s.renamed, s.removed = false, false
	s.mu.Unlock()
	switch {
	case s.fault == "the folders above are not synced" && dir != deep,
		s.fault == "the folder is not synced for a new segment" && renamed,
		s.fault == "removals are not synced" && removed:
		return nil
	case s.fault == "the wrong folder is synced for a new segment" && renamed:
		return s.FS.SyncDir(path.Dir(dir))
	case s.fault == "removals are synced once, when all of them are done" && removed:
		return nil // and the next segment brings them to the disk
	}
	return s.FS.SyncDir(dir)
}

type sloppyFile struct {
	wal.File
	s     *sloppy
	fresh bool // not synced yet
}

func (f *sloppyFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := 0, error(nil)
	if f.s.fault == "half of a write is taken for all of it" && !f.fresh {
		_, err = f.File.WriteAt(p[:len(p)/2], at)
		return len(p), err
	}
	n, err = f.File.WriteAt(p, at)
	if f.s.fault == "a write that failed is taken for done" && errors.Is(err, syscall.EIO) {
		return len(p), nil
	}
	return n, err
}

func (f *sloppyFile) Datasync() error {
	fresh := f.fresh
	f.fresh = false
	switch f.s.fault {
	case "confirms before the sync":
		if !fresh {
			return nil
		}
	case "a new segment is not synced":
		if fresh {
			return nil
		}
	case "a sync that failed is tried again":
		if err := f.File.Datasync(); !errors.Is(err, syscall.EIO) {
			return err
		}
	}
	return f.File.Datasync()
}

// Each way to be careless with the disk is found, and by what it costs.
func TestCarelessLogsAreFound(t *testing.T) {
	for fault, cost := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3000) {
				wrong := powerFails(seed, func(disk *faultfs.FS) wal.FS { return &sloppy{FS: disk, fault: fault} })
				if slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, cost) }) {
					t.Logf("seed %d: %s", seed, wrong[0])
					return
				}
			}
			t.Errorf("a log passes of which this is true: %s", fault)
		})
	}
}

// The folders that Open makes survive a power failure, whoever died making them.
func TestFoldersSurvive(t *testing.T) {
	for _, name := range []string{deep, deep + "/", "data/log", "log"} {
		for died := range 12 {
			disk := faultfs.New()
			small := wal.Options{FS: disk, SegmentSize: wal.MinSegmentSize}
			calls := 0
			disk.Fail(func(faultfs.Op, string) error {
				if calls++; calls > died {
					return errDead
				}
				return nil
			})
			l, _, err := wal.Open(name, small, nil)
			disk.Fail(nil)
			if err == nil {
				require.Greater(t, died, 5)
				require.NoError(t, l.Close())
			}
			disk.Kill()
			var got replayed
			l, _, err = wal.Open(name, small, got.take)
			require.NoError(t, err)
			put(t, l, "record 0")
			left := disk.Clone()
			require.NoError(t, l.Close())
			for seed := range uint64(20) {
				after := left.Clone()
				after.PowerFailure(rand.New(rand.NewPCG(seed, 0)))
				var got replayed
				l, _, err := wal.Open(name, wal.Options{FS: after, SegmentSize: wal.MinSegmentSize}, got.take)
				require.NoError(t, err)
				assert.Equal(t, numbered(0, 1), got, "%s, an Open died at call %d, seed %d", name, died, seed)
				require.NoError(t, l.Close())
			}
		}
	}
}
