package disk

import (
	"errors"
	"os"
	"slices"
	"time"
)

// SyncTime is the median time that the disk takes to bring 4 KB, written into
// a file that is there already, to stable storage.
func SyncTime(dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	var took [31]time.Duration
	if err := f.Truncate(int64(len(took) * len(block))); err != nil {
		return 0, err
	}
	for i := range took {
		began := time.Now()
		if _, err := f.WriteAt(block, int64(i*len(block))); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took[:])
	return took[len(took)/2], nil
}
