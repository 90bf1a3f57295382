package storagetest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tensile/stress/storagetest"
)

// fileLog is a log in numbered files of a few records each. Every record has its
// length and a check before it; a tail that cannot be read is cut off when the log is
// opened. Those who append at the same time share a sync. A fault, if there is one,
// is left to its name.
type fileLog struct {
	dir, fault string

	mu     sync.Mutex
	synced sync.Cond
	f      *os.File
	number int
	end    int64
	dirty  int64 // up to here something was written, over all files
	clean  int64 // up to here it is on the disk
	busy   bool  // a sync is under way
	err    error // of a sync or of a new file: what the log has on the disk is not known from then on
	list   [][]byte
}

const (
	logHead     = 8
	logFileSize = 2_000 // a file of which this much is used is the last but one
)

func openLog(dir, fault string) (*fileLog, error) {
	l := &fileLog{dir: dir, fault: fault}
	l.synced.L = &l.mu
	names, err := filepath.Glob(filepath.Join(dir, "log-*"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		if err := l.roll(); err != nil {
			return nil, err
		}
		return l, nil
	}
	if fault != "no sync of the folder for a new file" { // it may have failed the last time
		if err := syncFolder(dir); err != nil {
			return nil, err
		}
	}
	for i, name := range names {
		if err := l.replay(name, i == len(names)-1); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// roll begins the next file.
func (l *fileLog) roll() error {
	l.number++
	if l.fault == "files are named by the clock" {
		l.number = int(time.Now().UnixMicro())
	}
	f, err := os.OpenFile(filepath.Join(l.dir, fmt.Sprintf("log-%020d", l.number)), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if l.f != nil {
		err = l.f.Close()
	}
	l.f, l.end = f, 0
	if l.fault != "no sync of the folder for a new file" || l.number == 1 {
		err = errors.Join(err, syncFolder(l.dir))
	}
	return err
}

func (l *fileLog) replay(name string, last bool) error {
	data, err := os.ReadFile(name)
	if err != nil && l.fault != "a read that fails is the end" {
		return err
	}
	end := 0
	for end+logHead <= len(data) {
		size := int(binary.LittleEndian.Uint32(data[end:]))
		if size == 0 && l.fault != "zeros are a record" || end+logHead+size > len(data) {
			break
		}
		record := data[end+logHead : end+logHead+size]
		if crc32.ChecksumIEEE(record) != binary.LittleEndian.Uint32(data[end+4:]) && l.fault != "a torn record is believed" {
			break
		}
		l.list = append(l.list, slices.Clone(record))
		end += logHead + size
	}
	if !last {
		return nil
	}
	if l.f, err = os.OpenFile(name, os.O_RDWR, 0); err != nil {
		return err
	}
	_, err = fmt.Sscanf(filepath.Base(name), "log-%d", &l.number)
	l.end = int64(end)
	if l.fault == "a torn tail is left" {
		l.end = int64(len(data))
		return err
	}
	switch {
	case len(data) > end && l.fault == "a torn file is written anew":
		err = errors.Join(err, os.WriteFile(name, data[:end], 0o644))
	case len(data) > end || l.fault == "a read that fails is the end":
		err = errors.Join(err, l.f.Truncate(l.end))
	}
	if l.fault != "what a failed sync left is believed" {
		// If the last sync failed, the kernel still has what was written, but does not write it again.
		_, failed := l.f.WriteAt(data[:end], 0)
		err = errors.Join(err, failed)
	}
	return errors.Join(err, l.f.Sync())
}

func (l *fileLog) Append(record []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.end >= logFileSize && l.busy {
		l.synced.Wait()
	}
	if l.err != nil && l.fault != "a failed sync is made again" {
		return l.err
	}
	if l.end >= logFileSize {
		if l.err = l.next(); l.err != nil {
			return l.err
		}
	}
	if l.fault == "synced before it is written" {
		if err := l.f.Sync(); err != nil {
			return err
		}
	}
	b := make([]byte, logHead, logHead+len(record))
	binary.LittleEndian.PutUint32(b, uint32(len(record)))
	binary.LittleEndian.PutUint32(b[4:], crc32.ChecksumIEEE(record))
	if _, err := l.f.WriteAt(append(b, record...), l.end); err != nil {
		if l.fault == "half a record stays where there was no room" {
			l.end, _ = l.f.Seek(0, io.SeekEnd)
		}
		return err
	}
	l.end += int64(logHead + len(record))
	l.dirty += int64(logHead + len(record))
	l.list = append(l.list, slices.Clone(record))
	switch l.fault {
	case "no sync of the file", "synced before it is written":
		return nil
	case "every second is synced":
		if len(l.list)%2 == 0 {
			return nil
		}
	}
	return l.wait(l.dirty)
}

// next begins the next file once this one is on the disk.
func (l *fileLog) next() error {
	if l.clean < l.dirty {
		if err := l.f.Sync(); err != nil {
			return err
		}
		l.clean = l.dirty
	}
	return l.roll()
}

// wait returns when the log is on the disk up to a place. The lock is held.
func (l *fileLog) wait(until int64) error {
	for l.clean < until {
		if l.err != nil && l.fault != "a failed sync is made again" {
			return l.err
		}
		if l.busy {
			l.synced.Wait()
			continue
		}
		l.busy = true
		target, f := l.dirty, l.f
		l.mu.Unlock()
		err := f.Sync()
		l.mu.Lock()
		if l.fault == "what is written during a sync counts as synced" {
			target = l.dirty
		}
		l.busy = false
		l.synced.Broadcast()
		if err != nil {
			l.err = err
			return err
		}
		l.clean = max(l.clean, target)
	}
	return nil
}

func (l *fileLog) Records() ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list), nil
}

func (l *fileLog) Close() error { return l.f.Close() }

func TestSoundLog(t *testing.T) {
	storagetest.TestLog(t, func(dir string) (storagetest.Log, error) { return openLog(dir, "") },
		storagetest.Options{States: soundStates, FromNothing: true})
}

// TestSoundExample: what is shown holds, too.
func TestSoundExample(t *testing.T) {
	storagetest.TestLog(t, openRecords, storagetest.Options{States: soundStates, FromNothing: true})
}

func TestFaultyLogs(t *testing.T) {
	for fault, want := range map[string]sought{
		"no sync of the file":                            {unsyncedFile, "lost"},
		"synced before it is written":                    {unsyncedFile, "lost"},
		"every second is synced":                         {unsyncedFile, "lost"},
		"what is written during a sync counts as synced": {unsyncedFile, "lost"},
		"no sync of the folder for a new file":           {"its folder . was not", "lost"},
		"a torn record is believed":                      {"of the log is ", "in part"},
		"zeros are a record":                             {"of the log is nothing at all", "in part"},
		"a torn tail is left":                            {"after the cut it held", "unstable"},
		"a torn file is written anew":                    {"what is left is opened, and a power cut", "lost"},
		"a failed sync is made again":                    {failedSync, "lost"},
		"what a failed sync left is believed":            {failedSync, "lost"},
		"half a record stays where there was no room":    {"no space left on device", "lost"},
		"a read that fails is the end":                   {"read fails", "lost"},
		"files are named by the clock":                   {"the clock is 1h0m0s back", "unstable"},
	} {
		t.Run(fault, func(t *testing.T) {
			want.in(t, storagetest.TryLog(t, func(dir string) (storagetest.Log, error) { return openLog(dir, fault) },
				storagetest.Options{States: faultyStates}))
		})
	}
}

// sought is what a report must say, and one of the kinds that it must be of.
type sought struct{ says, kinds string }

// Why something is not on the disk.
const (
	unsyncedFile = "no sync of the file came after that"
	failedSync   = "failed after that" // of the file or of its folder
)

// faultyStates are as many as there are without -short: some faults need a call that fails in
// just that place.
const faultyStates = 10_000

// in fails the test if that is not what was found.
func (s sought) in(t *testing.T, out storagetest.Outcome) {
	t.Helper()
	switch {
	case out.NotOffered != "":
		t.Skip(out)
	case out.Kind == "" || !strings.Contains(s.kinds, out.Kind):
		t.Errorf("what was found is %q, must be one of %q\n%s%v", out.Kind, s.kinds, out.Report, out)
	case !strings.Contains(out.Report, s.says):
		t.Errorf("the report must say %q:\n%s%v", s.says, out.Report, out)
	default:
		t.Logf("%s%v", out.Report, out)
	}
}
