package storagetest_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"tensile/stress/storagetest"
)

// soundLog is one file of records, each with its length and a check. A tail that
// can not be read is cut off when it is opened.
type soundLog struct {
	fault string

	mu   sync.Mutex
	f    *os.File
	end  int64
	list [][]byte
}

const logHead = 8

func openLog(dir, fault string) (*soundLog, error) {
	name := filepath.Join(dir, "log")
	_, err := os.Stat(name)
	fresh := errors.Is(err, os.ErrNotExist)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	l := &soundLog{fault: fault, f: f}
	if fresh {
		if err := syncFolder(dir); err != nil {
			return nil, err
		}
	}
	return l, l.recover()
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l *soundLog) recover() error {
	data, err := io.ReadAll(l.f)
	if err != nil {
		return err
	}
	for int(l.end)+logHead <= len(data) {
		head := data[l.end : l.end+logHead]
		size := int64(binary.LittleEndian.Uint32(head))
		if size == 0 || l.end+logHead+size > int64(len(data)) {
			break
		}
		record := data[l.end+logHead : l.end+logHead+size]
		if crc32.ChecksumIEEE(record) != binary.LittleEndian.Uint32(head[4:]) && l.fault != "a torn record is believed" {
			break
		}
		l.list = append(l.list, slices.Clone(record))
		l.end += logHead + size
	}
	if l.fault == "a torn tail is left" {
		l.end = int64(len(data))
		return nil
	}
	if int64(len(data)) > l.end {
		return errors.Join(l.f.Truncate(l.end), l.f.Sync())
	}
	return nil
}

func (l *soundLog) Append(record []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := make([]byte, logHead, logHead+len(record))
	binary.LittleEndian.PutUint32(b, uint32(len(record)))
	binary.LittleEndian.PutUint32(b[4:], crc32.ChecksumIEEE(record))
	if _, err := l.f.WriteAt(append(b, record...), l.end); err != nil {
		return err
	}
	if l.fault != "no sync of the file" {
		if err := l.f.Sync(); err != nil {
			return err
		}
	}
	l.end += int64(logHead + len(record))
	l.list = append(l.list, slices.Clone(record))
	return nil
}

func (l *soundLog) Records() ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list), nil
}

func (l *soundLog) Close() error { return l.f.Close() }

func TestSoundLog(t *testing.T) {
	storagetest.TestLog(t, func(dir string) (storagetest.Log, error) { return openLog(dir, "") }, storagetest.Options{FromNothing: true})
}

func TestFaultyLogs(t *testing.T) {
	for fault, kind := range map[string]string{
		"no sync of the file": "lost", "a torn record is believed": "in part", "a torn tail is left": "unstable",
	} {
		t.Run(fault, func(t *testing.T) {
			out := storagetest.TryLog(t, func(dir string) (storagetest.Log, error) { return openLog(dir, fault) }, storagetest.Options{})
			if out.NotOffered != "" {
				t.Skip(out)
			}
			if out.Kind != kind {
				t.Errorf("what was found is %q, must be %q\n%s%v", out.Kind, kind, out.Report, out)
			}
		})
	}
}
