package storagetest_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"tensile/stress/storagetest"
)

// recordLog is one file of records, each behind its length and its checksum.
type recordLog struct {
	mu      sync.Mutex
	file    *os.File
	records [][]byte
	err     error // the first: what the file holds from there on is not known until it is opened again
}

const header = 8

func openRecords(dir string) (storagetest.Log, error) {
	name := filepath.Join(dir, "log")
	content, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l := new(recordLog)
	end := l.recover(content)
	if l.file, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	// What was cut short goes. The rest is written again: after a sync that failed, the kernel
	// may have it in memory only. The name of the file is as durable as its content.
	_, err = l.file.WriteAt(content[:end], 0)
	err = errors.Join(err, l.file.Truncate(int64(end)), l.file.Sync(), folder.Sync(), folder.Close())
	if _, failed := l.file.Seek(int64(end), 0); err != nil || failed != nil {
		return nil, errors.Join(err, failed, l.file.Close())
	}
	return l, nil
}

// recover takes the records that are whole, and tells where the last of them ends.
func (l *recordLog) recover(content []byte) (end int) {
	for rest := content; len(rest) >= header; rest = content[end:] {
		size, sum := int(binary.BigEndian.Uint32(rest)), binary.BigEndian.Uint32(rest[4:])
		if size > len(rest)-header || crc32.ChecksumIEEE(rest[:4])+crc32.ChecksumIEEE(rest[header:header+size]) != sum {
			break
		}
		l.records = append(l.records, rest[header:header+size])
		end += header + size
	}
	return end
}

func (l *recordLog) Append(record []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(record)))
	frame = binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame)+crc32.ChecksumIEEE(record))
	_, err := l.file.Write(append(frame, record...))
	if err == nil {
		err = l.file.Sync()
	}
	if l.err = err; err != nil {
		return err
	}
	l.records = append(l.records, record)
	return nil
}

func (l *recordLog) Records() ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records, nil
}

func (l *recordLog) Close() error { return l.file.Close() }

// In a file of tests, this is the function TestMyLog.
func testMyLog(t *testing.T) { storagetest.TestLog(t, openRecords, storagetest.Options{}) }

// A log in one file, and the test that cuts the power while it works.
func Example() { _ = testMyLog }
