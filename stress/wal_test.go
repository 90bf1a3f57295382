package stress_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"tensile/queue/wal"
	"tensile/stress/storagetest"
)

// TestPowerCutsOfLog takes the log of the durable queue through power cuts, by itself.
func TestPowerCutsOfLog(t *testing.T) { storagetest.TestLog(t, openWAL, storagetest.Options{}) }

// walLog is a wal.Log, and what was replayed from it and appended since.
type walLog struct {
	log *wal.Log

	mu      sync.Mutex
	records [][]byte
}

func openWAL(dir string) (storagetest.Log, error) {
	l := new(walLog)
	log, found, err := wal.Open(dir, wal.Options{SegmentSize: wal.MinSegmentSize}, func(_ uint64, payload []byte) error {
		l.records = append(l.records, slices.Clone(payload))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(found.Damage) > 0 { // the log goes on without what it can not read; this subject does not
		return nil, errors.Join(fmt.Errorf("damage: %v", found.Damage), log.Close())
	}
	l.log = log
	return l, nil
}

func (l *walLog) Append(record []byte) error {
	l.mu.Lock()
	c, err := l.log.Append(record, nil)
	if err == nil {
		l.records = append(l.records, slices.Clone(record))
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return c.Wait(context.Background())
}

func (l *walLog) Records() ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records), nil
}

func (l *walLog) Close() error { return l.log.Close() }
