package crashstates_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "tensile/stress/internal/crashstates"
)

// The nodes of the tests: the folder, a file "log" that was there before, and
// those that are made.
const (
	folder = 0
	old    = 1
	first  = 2
	second = 3
)

func create(node int, name string) Event {
	return Event{Kind: Create, Dir: folder, Name: name, Node: node}
}
func write(node int, at int64, data string) Event {
	return Event{Kind: Write, Node: node, Offset: at, Data: []byte(data)}
}
func rename(node int, from, to string) Event {
	return Event{Kind: Rename, Node: node, Dir: folder, Name: from, ToDir: folder, ToName: to}
}
func unlink(node int, name string) Event {
	return Event{Kind: Unlink, Dir: folder, Name: name, Node: node}
}
func fsync(node int) Event     { return Event{Kind: Sync, Node: node} }
func fdatasync(node int) Event { return Event{Kind: Datasync, Node: node} }

// on is a record over a folder in which log holds some content.
func on(content string, events ...Event) *Record {
	return &Record{
		Base:   []Node{{Folder: true, Names: map[string]int{"log": old}}, {Data: []byte(content), Size: int64(len(content))}},
		Events: events,
	}
}

// left are the states after the last event: each is the files with their content.
func left(t *testing.T, r *Record, m Model) []string {
	t.Helper()
	var all []string
	hashes := make(map[Hash]string)
	space := r.Under(m).At(len(r.Events))
	space.Vectors(1<<20, 0, func(vector []int) bool {
		s := space.State(vector)
		text := files(t, s)
		if before, seen := hashes[s.Hash]; seen {
			assert.Equal(t, before, text, "states with one hash")
		} else {
			hashes[s.Hash] = text
			all = append(all, text)
		}
		return true
	})
	slices.Sort(all)
	assert.Len(t, slices.Compact(slices.Clone(all)), len(all), "states with hashes of their own: %q", all)
	return all
}

// files writes a state and reads it. A run of one byte is its number and the byte,
// with a dot for zero.
func files(t *testing.T, s *State) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, s.Write(dir))
	var all []string
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if entry.IsDir() {
			all = append(all, path+"/")
			return nil
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		all = append(all, path+"="+short(data))
		return err
	}))
	return strings.Join(all, " ")
}

func short(data []byte) string {
	text := strings.ReplaceAll(string(data), "\x00", ".")
	if len(text) < 100 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		n := len(text) - len(strings.TrimLeft(text, text[:1]))
		fmt.Fprintf(&b, "%d%c", n, text[0])
		text = text[n:]
	}
	return b.String()
}

func TestStates(t *testing.T) {
	as, bs := strings.Repeat("a", 1024), strings.Repeat("b", 1024)
	page := strings.Repeat("p", 4096)
	for _, c := range []struct {
		name   string
		record *Record
		// By model, the states separated by " | ". "*" is for those not named.
		want map[string]string
	}{
		{"nothing synced", on("x", create(first, "new"), write(first, 0, "data")), map[string]string{
			"posix": "log=x | log=x new= | log=x new=.... | log=x new=data",
			"*":     "log=x | log=x new= | log=x new=data",
		}},
		{"the file synced, and not its name", on("x", create(first, "new"), write(first, 0, "data"), fsync(first)),
			map[string]string{
				"posix": "log=x | log=x new=data",
				"*":     "log=x new=data",
			}},
		{"the folder synced, and not the file", on("x", create(first, "new"), write(first, 0, "data"), fsync(folder)),
			map[string]string{
				"posix":        "log=x new= | log=x new=.... | log=x new=data",
				"ext4-ordered": "log=x new=data",
				"*":            "log=x new= | log=x new=data",
			}},
		{"both synced", on("x", create(first, "new"), write(first, 0, "data"), fsync(first), fsync(folder)),
			map[string]string{
				"*": "log=x new=data",
			}},
		{"replaced without a sync", on("old", create(first, "tmp"), write(first, 0, "new"), rename(first, "tmp", "log")),
			map[string]string{
				"ext4":         "log=new | log=old | log=old tmp= | log=old tmp=new",
				"xfs":          "log= | log=new | log=old | log=old tmp= | log=old tmp=new",
				"ext4-ordered": "log=new | log=old | log=old tmp= | log=old tmp=new",
				"posix": "log= | log=... | log=new | log=old | log=old tmp= | log=old tmp=... | " +
					"log=old tmp=new",
			}},
		{"replaced after a sync",
			on("old", create(first, "tmp"), write(first, 0, "new"), fsync(first), rename(first, "tmp", "log")),
			map[string]string{
				"posix": "log=new | log=old | log=old tmp=new", // both names of one folder move at once
				"*":     "log=new | log=old tmp=new",
			}},
		{"appended within a block", on("aa", write(old, 2, "bb")), map[string]string{
			"xfs": "log=aa | log=aabb",
			"*":   "log=aa | log=aa.. | log=aabb",
		}},
		{"overwritten", on(as, write(old, 0, bs)), map[string]string{
			"*": "log=1024a | log=1024b | log=512a512b | log=512b512a",
		}},
		{"overwritten with O_DSYNC", on(as, Event{Kind: Write, Node: old, Data: []byte(bs), Synced: true}), map[string]string{
			"*": "log=1024b",
		}},
		{"sync_file_range", on(as, write(old, 0, bs), Event{Kind: SyncRange, Node: old, Size: 1024}), map[string]string{
			"*": "log=1024a | log=1024b | log=512a512b | log=512b512a",
		}},
		{"two names", on("x", create(first, "a"), create(second, "b")), map[string]string{
			"posix": "a= b= log=x | a= log=x | b= log=x | log=x",
			"*":     "a= b= log=x | a= log=x | log=x",
		}},
		{"removed", on("x", unlink(old, "log")), map[string]string{"*": " | log=x"}},
		{"removed, and the folder synced", on("x", unlink(old, "log"), fsync(folder)), map[string]string{"*": ""}},
		{"a sync that fails", on(as, write(old, 0, bs), Event{Kind: Sync, Node: old, Failed: true}, fsync(old)),
			map[string]string{
				"*": "log=1024a | log=1024b | log=512a512b | log=512b512a",
			}},
		{"written again after a sync that fails", on(as, write(old, 0, bs), Event{Kind: Sync, Node: old, Failed: true},
			write(old, 0, bs), fsync(old)), map[string]string{"*": "log=1024b"}},
		{"fdatasync of an overwrite leaves the journal alone",
			on("old", create(first, "tmp"), write(first, 0, "new"), fsync(first),
				rename(first, "tmp", "log"), write(first, 0, "NEW"), fdatasync(first)), map[string]string{
				"posix": "log=NEW | log=old | log=old tmp=NEW",
				"*":     "log=NEW | log=old tmp=NEW",
			}},
		{"truncated and written", on("old", Event{Kind: Truncate, Node: old}, write(old, 0, "n")), map[string]string{
			"posix": "log= | log=. | log=n | log=nld | log=old",
			"*":     "log= | log=n | log=old",
		}},
		{"a hole", on("", write(old, 4096, "x")), map[string]string{
			"posix": "log= | log=4097. | log=4096.1x",
			"*":     "log= | log=4096.1x",
		}},
		{"allocated, then written", on("", Event{Kind: Allocate, Node: old, Size: 4}, fsync(old), write(old, 0, "abcd")),
			map[string]string{
				"*": "log=.... | log=abcd",
			}},
		{"two pages of a file that grows", on("", write(old, 0, page), write(old, 4096, page)), map[string]string{
			"posix": "", // many: see TestSizeBeforeContent
			"*":     "log= | log=4096p | log=8192p",
		}},
		{"into another folder", &Record{
			Base: []Node{{Folder: true, Names: map[string]int{"a": 1, "b": 2}}, {Folder: true, Names: map[string]int{"f": 3}},
				{Folder: true, Names: map[string]int{}}, {Data: []byte("x"), Size: 1}},
			Events: []Event{{Kind: Rename, Node: 3, Dir: 1, Name: "f", ToDir: 2, ToName: "f"}},
		}, map[string]string{
			"posix": "a/ a/f=x b/ | a/ a/f=x b/ b/f=x | a/ b/ | a/ b/ b/f=x",
			"*":     "a/ a/f=x b/ | a/ b/ b/f=x",
		}},
		{"everything synced", on("x", create(first, "new"), write(first, 0, "data"), Event{Kind: SyncAll}), map[string]string{
			"*": "log=x new=data",
		}},
	} {
		for _, m := range Models() {
			assertStates(t, c.name, c.record, m, c.want)
		}
	}
}

// assertStates checks the states of one model, which want names, or "*" if it does not.
func assertStates(t *testing.T, name string, record *Record, m Model, want map[string]string) {
	t.Helper()
	states, named := want[m.Name]
	if !named {
		states = want["*"]
	}
	if states == "" && name == "two pages of a file that grows" {
		return
	}
	parts := strings.Split(states, " | ")
	slices.Sort(parts)
	assert.Equal(t, parts, left(t, record, m), "%s: %s", m.Name, name)
}

func TestSizeBeforeContent(t *testing.T) {
	page := strings.Repeat("p", 4096)
	r := on("", write(old, 0, page), write(old, 4096, page))
	states := left(t, r, POSIX)
	assert.Contains(t, states, "log=4096.4096p", "the second is there and the first is not")
	assert.Contains(t, states, "log=8192.")
	assert.Contains(t, states, "log=512p7680.", "a sector is there, the size of all is")
	assert.Contains(t, states, "log=512p", "and the size of that sector")
}

// At no cut anything is lost by the vector of zeros, and a sync of everything leaves
// nothing open.
func TestZerosAreWhatTheProgramSaw(t *testing.T) {
	events := []Event{create(first, "new"), write(first, 0, "data"), fsync(first),
		write(first, 2, strings.Repeat("x", 5000)),
		rename(first, "new", "log"), unlink(first, "log"), create(second, "log"), write(second, 0, "end")}
	want := []string{
		"log=o", "log=o new=", "log=o new=data", "log=o new=data", "log=o new=2d", "log=2d", "", "log=", "log=end",
	}
	for _, m := range Models() {
		for cut := range len(events) + 1 {
			space := on("o", events...).Under(m).At(cut)
			got := files(t, space.State(make([]int, len(space.Choices()))))
			if cut == 4 || cut == 5 {
				assert.Contains(t, got, "5000x")
				continue
			}
			assert.Equal(t, want[cut], got, "%s at %d", m.Name, cut)
			space = on("o", append(slices.Clone(events[:cut]), Event{Kind: SyncAll})...).Under(m).At(cut + 1)
			assert.Empty(t, space.Choices())
		}
	}
}

// Where there are too many vectors for all, those tried differ and are of the
// space, and the same seed gives the same.
func TestSample(t *testing.T) {
	var events []Event
	for i := range 20 {
		events = append(events, write(old, int64(i)*5000, strings.Repeat("x", 3000)))
	}
	space := on("", events...).Under(POSIX).At(20)
	draw := func(seed uint64) (all []string) {
		space.Vectors(500, seed, func(v []int) bool {
			assert.True(t, space.Fits(v))
			all = append(all, fmt.Sprint(v))
			return true
		})
		return all
	}
	one := draw(1)
	assert.Len(t, one, 500)
	assert.Equal(t, one, draw(1))
	assert.NotEqual(t, one, draw(2))
	slices.Sort(one)
	assert.Greater(t, len(slices.Compact(one)), 480)
	assert.False(t, space.Fits(make([]int, 3)))
}

func TestFates(t *testing.T) {
	r := on("x", create(first, "new"), write(first, 0, "data"), fsync(first), write(first, 0, strings.Repeat("y", 1000)))
	space := r.Under(POSIX).At(4)
	vector := make([]int, len(space.Choices()))
	fates := func() (all []string) {
		for i := range r.Events {
			all = append(all, space.Fate(vector, i))
		}
		return all
	}
	assert.Equal(t, []string{"there, not synced", "durable", "", "there, not synced"}, fates())
	vector[0], vector[1] = 1, 1
	assert.Equal(t, []string{"lost", "durable", "", "lost"}, fates())
	vector[1] = 2
	assert.Equal(t, "its size alone, zeros", fates()[3])
	vector[1] = 3
	assert.Equal(t, "in part: 512 of 1000 bytes", fates()[3])
	assert.Equal(t, "write new at 0, 1000 bytes", r.Describe(3))
	assert.Equal(t, "not yet", r.Under(POSIX).At(2).Fate(nil, 3))
}
