package wal_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue/internal/faultfs"
	"tensile/queue/wal"
)

// place is where a record stands.
type place struct {
	file     string
	from, to int // its header and payload, without the padding
	payload  string
}

const (
	sampleSegment = 2 * wal.MinSegmentSize
	sampleGroup   = 5 // records
)

// segments are the paths of the segments on a disk.
func segments(disk *faultfs.FS) []string {
	return slices.DeleteFunc(disk.Files(), func(path string) bool { return filepath.Ext(path) != ".wal" })
}

// offsets are those of a file worth trying: all that have to do with records,
// and some of the padding.
func offsets(places []place, file string, size int) (all []int) {
	for offset := range size {
		near := offset < 100 || slices.ContainsFunc(places, func(p place) bool {
			return p.file == file && offset >= p.from && offset < p.to+50
		})
		if (near || offset%97 == 0) && !(testing.Short() && offset%7 != 0) {
			all = append(all, offset)
		}
	}
	return all
}

// sample is a log of records of several lengths in several segments, killed
// while the last one was open, and where each of them stands.
func sample(t testing.TB, records, longest int) (disk *faultfs.FS, places []place) {
	disk = faultfs.New()
	l, _, _ := open(t, wal.Options{FS: disk, SegmentSize: sampleSegment})
	var want replayed
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < records; i += sampleGroup {
		putTogether(t, l, sampleGroup, func(k int) string {
			payload := fmt.Sprintf("%d %s", i+k, bytes.Repeat([]byte{byte(i + k)}, random.IntN(longest)))
			want = append(want, payload)
			return payload
		})
	}
	disk.Kill()
	killed := disk.Clone()
	require.NoError(t, l.Close())
	for _, file := range segments(killed) {
		killed.Edit(file, func(data []byte) []byte {
			for _, r := range wal.Records(file, data) {
				places = append(places, place{file, r.From, r.To, string(r.Payload)})
			}
			return data
		})
	}
	var found replayed
	for _, p := range places {
		found = append(found, p.payload)
	}
	require.Equal(t, want, found)
	return killed, places
}

// without is the payloads of all records but those that hit concerns.
func without(places []place, hit func(place) bool) replayed {
	var left replayed
	for _, p := range places {
		if !hit(p) {
			left = append(left, p.payload)
		}
	}
	return left
}

// recovered opens a log on disk, closes it and opens it again: damage is reported
// once and what was kept stays.
func recovered(t *testing.T, disk *faultfs.FS, want replayed, what string) wal.Recovery {
	o := wal.Options{FS: disk, SegmentSize: sampleSegment}
	l, found, got := open(t, o)
	if !slices.Equal(want, got) {
		require.Equal(t, want, got, what)
	}
	put(t, l, "afterwards")
	require.NoError(t, l.Close())
	l, again, got := open(t, o)
	if !slices.Equal(append(want, "afterwards"), got) {
		require.Equal(t, append(want, "afterwards"), got, what)
	}
	if len(again.Torn) > 0 {
		require.Empty(t, again.Torn, what)
	}
	require.NoError(t, l.Close())
	return found
}

// Every bit of a small log is flipped, one at a time: the record concerned is
// lost and reported with file and offset, every other is replayed.
func TestEveryBitFlipped(t *testing.T) {
	disk, places := sample(t, 60, 100)
	files := segments(disk)
	require.Greater(t, len(files), 2)
	lastGroup := places[len(places)-sampleGroup]
	require.Equal(t, files[len(files)-1], lastGroup.file)
	for _, file := range files {
		var size int
		disk.Edit(file, func(data []byte) []byte {
			size = len(bytes.TrimRight(data, "\x00"))
			return data
		})
		for _, offset := range offsets(places, file, size) {
			flipped := disk.Clone()
			bit := byte(1) << (offset % 8)
			flipped.Edit(file, func(data []byte) []byte {
				data[offset] ^= bit
				return data
			})
			what := fmt.Sprintf("%s, bit %#x of byte %d", file, bit, offset)
			hit := func(p place) bool { return p.file == file && offset >= p.from && offset < p.to }
			found := recovered(t, flipped, without(places, hit), what)

			if aligning(places, file, offset) {
				require.Empty(t, append(found.Damage, found.Torn...), what)
				continue
			}
			told, not := found.Damage, found.Torn
			if file == lastGroup.file && offset >= lastGroup.from {
				told, not = not, told // it may never have been confirmed
			}
			require.Len(t, told, 1, what)
			require.Empty(t, not, what)
			require.Equal(t, file, told[0].File, what)
			if at := slices.IndexFunc(places, hit); at >= 0 {
				require.Equal(t, int64(places[at].from), told[0].Offset, what)
			}
			if offset < 64 {
				require.Less(t, told[0].Offset, int64(64), what)
			}
		}
	}
}

// aligning tells whether an offset is one of those bytes between two records that
// mean nothing.
func aligning(places []place, file string, offset int) bool {
	return slices.ContainsFunc(places, func(p place) bool {
		return p.file == file && offset >= p.to && offset < (p.to+3)/4*4
	})
}

// Every file of a small log is cut at every offset.
func TestCutAtEveryOffset(t *testing.T) {
	disk, places := sample(t, 60, 100)
	for _, file := range segments(disk) {
		var size int
		disk.Edit(file, func(data []byte) []byte { size = len(data); return data })
		for _, offset := range offsets(places, file, size) {
			cut := disk.Clone()
			cut.Edit(file, func(data []byte) []byte { return data[:offset] })
			what := fmt.Sprintf("%s cut at %d", file, offset)
			found := recovered(t, cut, without(places, func(p place) bool { return p.file == file && p.to > offset }), what)
			require.NotEmpty(t, found.Damage, what)
			for _, d := range found.Damage {
				require.Equal(t, file, d.File, what)
			}
		}
	}
}

// A write that the death of the process has cut short leaves part of the last
// record and zeros behind it: that is dropped, counted, and no damage.
func TestTornTailIsDroppedAndCounted(t *testing.T) {
	disk, places := sample(t, 40, 400)
	last := places[len(places)-1]
	for offset := last.from; offset < last.to; offset++ {
		torn := disk.Clone()
		var left int
		torn.Edit(last.file, func(data []byte) []byte {
			clear(data[offset:])
			left = len(bytes.TrimRight(data, "\x00"))
			return data
		})
		what := fmt.Sprintf("torn at %d", offset)
		found := recovered(t, torn, without(places, func(p place) bool { return p == last }), what)
		require.Empty(t, found.Damage, what)
		if left <= last.from {
			require.Empty(t, found.Torn, what)
			continue
		}
		require.Equal(t, int64(last.from), found.Torn[0].Offset, what)
		require.Equal(t, int64(left-last.from), found.Torn[0].Length, what)
		require.Contains(t, found.Torn[0].String(), last.file)
	}
}

// Records that were written together and never confirmed, because the power
// failed before the sync ended, are torn wherever the hole is; behind a later
// group it is damage.
func TestHoleInTheLastGroupIsNoDamage(t *testing.T) {
	disk := faultfs.New()
	o := wal.Options{FS: disk}
	l, _, _ := open(t, o)
	entered, release := make(chan struct{}), make(chan struct{})
	disk.Fail(func(op faultfs.Op, _ string) error {
		if op == faultfs.Datasync && entered != nil {
			close(entered)
			entered = nil
			<-release
		}
		return nil
	})
	wait := entered
	var last wal.Commit
	for _, payload := range numbered(0, 6) { // the first alone, the others together
		c, err := l.Append([]byte(payload), nil)
		require.NoError(t, err)
		<-wait
		last = c
	}
	close(release)
	require.NoError(t, last.Wait(t.Context()))
	together := disk.Clone()
	put(t, l, "record 6")
	behind := disk.Clone()
	require.NoError(t, l.Close())
	file := segments(disk)[0]
	spoil := func(disk *faultfs.FS) (at int64) {
		disk.Edit(file, func(data []byte) []byte {
			r := wal.Records(file, data)[3]
			data[r.To-1] ^= 1
			at = int64(r.From)
			return data
		})
		return at
	}

	at := spoil(together)
	l, found, got := open(t, wal.Options{FS: together})
	assert.Equal(t, append(numbered(0, 3), numbered(4, 6)...), got)
	assert.Empty(t, found.Damage)
	require.Len(t, found.Torn, 1)
	assert.Equal(t, at, found.Torn[0].Offset)
	require.NoError(t, l.Close())

	at = spoil(behind)
	l, found, got = open(t, wal.Options{FS: behind})
	assert.Equal(t, append(numbered(0, 3), numbered(4, 7)...), got)
	assert.Empty(t, found.Torn)
	require.Len(t, found.Damage, 1)
	assert.Equal(t, at, found.Damage[0].Offset)
	require.NoError(t, l.Close())
}

func TestMissingSegmentIsReported(t *testing.T) {
	disk, places := sample(t, 100, 400)
	files := segments(disk)
	require.Greater(t, len(files), 3)
	require.NoError(t, disk.Remove(files[1]))
	found := recovered(t, disk, without(places, func(p place) bool { return p.file == files[1] }), "missing")
	require.Len(t, found.Damage, 1)
	assert.Equal(t, files[1], found.Damage[0].File)
	assert.Contains(t, found.Damage[0].String(), "missing")
}

func TestDamagedLastSegmentIsKept(t *testing.T) {
	disk, places := sample(t, 60, 400)
	last := places[len(places)-1].file
	victim := places[slices.IndexFunc(places, func(p place) bool { return p.file == last })]
	require.NotContains(t, places[len(places)-sampleGroup:], victim, "it would be torn")
	disk.Edit(victim.file, func(data []byte) []byte {
		data[victim.from] ^= 1
		return data
	})
	found := recovered(t, disk, without(places, func(p place) bool { return p == victim }), "damaged")
	assert.Contains(t, disk.Files(), victim.file+".damaged")
	assert.Equal(t, []string{victim.file + ".damaged"}, found.Kept)
	l, found, _ := open(t, wal.Options{FS: disk})
	assert.Empty(t, found.Damage, "it was told before")
	assert.Equal(t, []string{victim.file + ".damaged"}, found.Kept)
	require.NoError(t, l.Close())
}

// Damage at random places of a large log.
func TestRandomDamageOfALargeLog(t *testing.T) {
	disk, places := sample(t, 4000, 900)
	random := rand.New(rand.NewPCG(3, 4))
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	files := segments(disk)
	for round := range rounds {
		spoiled := disk.Clone()
		type stretch struct {
			file     string
			from, to int
		}
		var hits []stretch
		for range 1 + random.IntN(5) {
			s := stretch{file: files[random.IntN(len(files))]}
			spoiled.Edit(s.file, func(data []byte) []byte {
				s.from = 64 + random.IntN(len(data)-64)
				s.to = min(len(data), s.from+1+random.IntN(700))
				for i := s.from; i < s.to; i++ {
					data[i] ^= byte(1 + random.IntN(255))
				}
				return data
			})
			hits = append(hits, s)
		}
		hit := func(p place) bool {
			return slices.ContainsFunc(hits, func(s stretch) bool { return s.file == p.file && s.from < p.to && p.from < s.to })
		}
		found := recovered(t, spoiled, without(places, hit), fmt.Sprintf("round %d: %v", round, hits))
		if slices.ContainsFunc(places, hit) {
			require.True(t, len(found.Damage) > 0 || len(found.Torn) > 0)
		}
	}
}

// A block that the disk wrote to a wrong place, and a message that holds a copy
// of a log, are no records.
func TestRecordsCountOnlyWhereTheyWereWritten(t *testing.T) {
	disk := faultfs.New()
	l, _, _ := open(t, wal.Options{FS: disk})
	put(t, l, "record 0")
	var copied []byte
	file := segments(disk)[0]
	disk.Edit(file, func(data []byte) []byte {
		copied = slices.Clone(data[4096:4128])
		return data
	})
	put(t, l, "0123"+string(copied)) // aligned as a record is
	put(t, l, "record 2")
	disk.Kill()
	killed := disk.Clone()
	require.NoError(t, l.Close())
	records := 0
	killed.Edit(file, func(data []byte) []byte {
		places := wal.Records(file, data)
		records = len(places)
		data[places[1].From] ^= 1
		copy(data[places[2].To+16:], copied)
		return data
	})
	require.Equal(t, 3, records)
	l, found, got := open(t, wal.Options{FS: killed})
	assert.Equal(t, replayed{"record 0", "record 2"}, got)
	assert.Len(t, found.Damage, 1)
	assert.Len(t, found.Torn, 1)
	require.NoError(t, l.Close())
}

// The process dies between two steps of Open itself, or the power fails there:
// the next Open finds everything.
func TestOpenMayDieAnywhere(t *testing.T) {
	disk, places := sample(t, 40, 400)
	want := without(places, func(place) bool { return false })
	for _, power := range []bool{false, true} {
		for step := 0; ; step++ {
			at := disk.Clone()
			calls := 0
			at.Fail(func(faultfs.Op, string) error {
				if calls++; calls > step {
					return fmt.Errorf("dead since call %d", step)
				}
				return nil
			})
			var got replayed
			l, _, err := wal.Open(dir, wal.Options{FS: at, SegmentSize: sampleSegment}, got.take)
			at.Fail(nil)
			if err == nil {
				require.NoError(t, l.Close())
				require.Greater(t, step, 5)
				break
			}
			if power {
				at.PowerFailure(rand.New(rand.NewPCG(uint64(step), 0)))
			} else {
				at.Kill()
			}
			found := recovered(t, at, want, fmt.Sprintf("dead at call %d, power failure: %v", step, power))
			require.Empty(t, found.Damage)
		}
	}
}

// FuzzSegment reads anything as a segment: no panic, an end, and only records
// that were written.
func FuzzSegment(f *testing.F) {
	disk, _ := sample(f, 5, 60)
	file := segments(disk)[0]
	disk.Edit(file, func(data []byte) []byte {
		whole := bytes.TrimRight(data, "\x00")
		f.Add(whole, 0, byte(0))
		f.Add(whole[:len(whole)/2], 70, byte(1))
		f.Add([]byte{}, 0, byte(0))
		return data
	})
	f.Fuzz(func(t *testing.T, data []byte, offset int, flip byte) {
		pristine := wal.Records(file, data)
		for _, r := range pristine {
			if r.From < 64 || r.To > len(data) || len(r.Payload) > r.To-r.From {
				t.Fatalf("record from %d to %d in %d bytes", r.From, r.To, len(data))
			}
		}
		if offset < 0 || offset >= len(data) {
			return
		}
		data[offset] ^= flip
		for _, r := range pristine {
			if offset >= r.From && offset < r.To {
				continue
			}
			if !slices.ContainsFunc(wal.Records(file, data), func(left wal.Record) bool { return left.From == r.From }) {
				t.Fatalf("the record at %d is lost, and byte %d was changed", r.From, offset)
			}
		}
	})
}

// A segment that was written anew several times explains the numbers that are
// not there, also behind one that was completed.
func TestReopeningLeavesNoGap(t *testing.T) {
	o := wal.Options{FS: faultfs.New(), SegmentSize: wal.MinSegmentSize}
	sent := 0
	for round := range 12 {
		l, found, got := open(t, o)
		require.Empty(t, found.Damage, round)
		require.Equal(t, numbered(0, sent), got)
		for range []int{0, 1, 250, 1}[round%4] {
			put(t, l, fmt.Sprintf("record %d", sent))
			sent++
		}
		require.NoError(t, l.Close())
	}
}

// A sector that cannot be read costs the records in it, and is told; a file, and
// all records, where it is in the header.
func TestUnreadableSectors(t *testing.T) {
	disk, places := sample(t, 60, 400)
	files := segments(disk)
	for _, file := range files {
		for page := range sampleSegment / 4096 {
			spoiled := disk.Clone()
			from, to := page*4096, (page+1)*4096
			bad := faultySector{spoiled, file, int64(from)}
			hit := func(p place) bool { return p.file == file && p.from < to && p.to > from }
			var got replayed
			l, found, err := wal.Open(dir, wal.Options{FS: bad, SegmentSize: sampleSegment}, got.take)
			what := fmt.Sprintf("page %d of %s", page, file)
			require.NoError(t, err, what)
			require.Equal(t, without(places, hit), got, what)
			require.Len(t, found.Damage, 1, what)
			require.Equal(t, file, found.Damage[0].File)
			require.Equal(t, int64(from), found.Damage[0].Offset)
			require.Contains(t, found.Damage[0].Reason, syscall.EIO.Error())
			put(t, l, "afterwards")
			require.NoError(t, l.Close())
		}
	}
}

// faultySector is a disk with one page that cannot be read.
type faultySector struct {
	*faultfs.FS
	path string
	at   int64
}

func (f faultySector) Open(path string) (wal.File, error) {
	file, err := f.FS.Open(path)
	if path == f.path {
		file = faultySectorFile{file, f.at}
	}
	return file, err
}

type faultySectorFile struct {
	wal.File
	at int64
}

func (f faultySectorFile) ReadAt(p []byte, at int64) (int, error) {
	if at < f.at+4096 && f.at < at+int64(len(p)) {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, at)
}

// Damage in the last segment is told although an Open dies at any step before it
// can tell it, and the file is kept.
func TestDamageFoundByAnOpenThatDied(t *testing.T) {
	disk, places := sample(t, 60, 400)
	victim := places[len(places)-sampleGroup-1]
	require.Equal(t, places[len(places)-1].file, victim.file)
	disk.Edit(victim.file, func(data []byte) []byte {
		data[victim.from] ^= 1
		return data
	})
	o := wal.Options{SegmentSize: sampleSegment}
	for step := 0; ; step++ {
		at := disk.Clone()
		calls := 0
		at.Fail(func(faultfs.Op, string) error {
			if calls++; calls > step {
				return errDead
			}
			return nil
		})
		o.FS = at
		l, _, err := wal.Open(dir, o, func(uint64, []byte) error { return nil })
		at.Fail(nil)
		if err == nil {
			require.NoError(t, l.Close())
			require.Greater(t, step, 5)
			return
		}
		at.Kill()
		kept := slices.Contains(at.Files(), victim.file+".damaged")
		l, found, got := open(t, o)
		require.Equal(t, without(places, func(p place) bool { return p == victim }), got, step)
		require.Equal(t, []string{victim.file + ".damaged"}, found.Kept, step)
		require.Contains(t, at.Files(), victim.file+".damaged", step)
		if !kept {
			require.Len(t, found.Damage, 1, step)
			require.Equal(t, int64(victim.from), found.Damage[0].Offset, step)
		}
		require.NoError(t, l.Close())
	}
}

// The last group of a segment takes the seal with it. Where the power fails before
// it is on the disk, the seal may be there without the rest.
func TestTornGroupWithItsSeal(t *testing.T) {
	disk := faultfs.New()
	o := wal.Options{FS: disk, SegmentSize: wal.MinSegmentSize}
	l, _, _ := open(t, o)
	put(t, l, "record 0")
	var left *faultfs.FS
	disk.Fail(func(op faultfs.Op, _ string) error {
		if op == faultfs.Datasync && left == nil {
			left = disk.Clone()
		}
		if left != nil {
			return errDead
		}
		return nil
	})
	c, err := l.Append(bytes.Repeat([]byte{1}, 9000), nil)
	require.NoError(t, err)
	require.ErrorIs(t, c.Wait(t.Context()), errDead)
	_ = l.Close()
	left.Edit(segments(left)[0], func(data []byte) []byte {
		clear(data[2*4096 : 2*4096+512])
		return data
	})
	l, found, got := open(t, wal.Options{FS: left, SegmentSize: wal.MinSegmentSize})
	assert.Equal(t, numbered(0, 1), got)
	assert.Empty(t, found.Damage)
	assert.Len(t, found.Torn, 1)
	require.NoError(t, l.Close())
}
