package storagetest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"tensile/stress/storagetest"
)

// replaced is a file that is replaced by a rename.
type replaced struct{ dir, fault string }

func openFile(dir, fault string) (storagetest.File, error) {
	return replaced{dir, fault}, nil
}

func (r replaced) in(name string) string { return filepath.Join(r.dir, name) }

func (r replaced) Save(content []byte) error {
	switch r.fault {
	case "written in place":
		return errors.Join(writeAndSync(r.in("value"), os.O_TRUNC, content), syncFolder(r.dir))
	case "written over, with a check":
		return errors.Join(writeAndSync(r.in("value"), 0, sealed(content)), syncFolder(r.dir))
	}
	tmp := r.in("value.tmp")
	if r.fault == "the name of the folder decides" {
		content = sealed(content)
	}
	if r.fault == "moved from a folder that alone is synced" {
		return r.move(content)
	}
	if r.fault == "no sync of the content" {
		if err := os.WriteFile(tmp, content, 0o644); err != nil {
			return err
		}
	} else if r.fault == "a write that fails is not noticed" {
		_ = writeAndSync(tmp, os.O_TRUNC, content)
	} else if err := writeAndSync(tmp, os.O_TRUNC, content); err != nil {
		return err
	}
	if r.fault == "the old one is removed first" {
		if err := os.Remove(r.in("value")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(tmp, r.in("value")); err != nil || r.fault == "no sync of the folder" {
		return err
	}
	return syncFolder(r.dir)
}

// move writes the content in a folder of its own.
func (r replaced) move(content []byte) error {
	if err := os.Mkdir(r.in("new"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := writeAndSync(r.in("new/value"), os.O_TRUNC, content); err != nil {
		return err
	}
	if err := os.Rename(r.in("new/value"), r.in("value")); err != nil {
		return err
	}
	return syncFolder(r.in("new"))
}

func writeAndSync(name string, flag int, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// sealed is a content after its length and a check of both: a check of the content alone
// is 0 when there is none, and would hold for a file of zeros.
func sealed(content []byte) []byte {
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(content)))
	check := crc32.Update(crc32.ChecksumIEEE(length), crc32.IEEETable, content)
	return append(binary.LittleEndian.AppendUint32(length, check), content...)
}

// unsealed is the content that was sealed, if it is whole.
func unsealed(file []byte) (content []byte, whole bool) {
	if len(file) < 8 {
		return nil, false
	}
	size := int(binary.LittleEndian.Uint32(file))
	if len(file) < 8+size || !bytes.Equal(sealed(file[8:8+size]), file[:8+size]) {
		return nil, false
	}
	return file[8 : 8+size], true
}

func (r replaced) Load() ([]byte, error) {
	name := r.in("value")
	if _, err := os.Stat(r.in("value.tmp")); err == nil && r.fault == "a file that was left half written is taken" {
		name = r.in("value.tmp")
	}
	if r.fault == "the name of the folder decides" && crc32.ChecksumIEEE([]byte(r.dir))%2 == 0 {
		// Both are right: the new content is whole, and was not confirmed.
		if file, err := os.ReadFile(r.in("value.tmp")); err == nil {
			if content, whole := unsealed(file); whole {
				return content, nil
			}
		}
	}
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if (r.fault == "written over, with a check" || r.fault == "the name of the folder decides") && err == nil {
		content, _ = unsealed(content) // or as if it had never been
	}
	return content, err
}

func (r replaced) Close() error { return nil }

func TestSoundFile(t *testing.T) {
	storagetest.TestFile(t, func(dir string) (storagetest.File, error) { return openFile(dir, "") },
		storagetest.Options{States: soundStates, FromNothing: true, Goroutines: 1})
}

func TestFaultyFiles(t *testing.T) {
	for fault, want := range map[string]sought{
		"written in place":                           {"left: value, ", "in part, lost"},
		"written over, with a check":                 {"write value at 0", "lost"},
		"no sync of the content":                     {unsyncedFile, "in part, lost"},
		"no sync of the folder":                      {"its folder . ", "lost"},
		"the old one is removed first":               {"unlink value", "lost"},
		"moved from a folder that alone is synced":   {"its folder . ", "lost"},
		"a file that was left half written is taken": {"create value.tmp ", "in part, lost"},
		"the name of the folder decides":             {"opened a second time it held", "unstable"},
		"a write that fails is not noticed":          {"while the program runs, ", "in part, lost"},
	} {
		t.Run(fault, func(t *testing.T) {
			want.in(t, storagetest.TryFile(t, func(dir string) (storagetest.File, error) { return openFile(dir, fault) },
				storagetest.Options{States: faultyStates, Goroutines: 1}))
		})
	}
}
