package disk_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/disk"
	"tensile/stress/internal/proc"
)

// What is done to a process cannot be undone: each test is a child's.
func inChild(t *testing.T, test func(dir string) error) {
	t.Helper()
	site := proc.At(t, "writer")
	if site.Child() {
		site.Serve(func(l *proc.Link) error {
			var dir string
			if err := l.Config(&dir); err != nil {
				return err
			}
			return proc.Serve(l, func(json.RawMessage) (any, error) {
				err := test(dir)
				if errors.Is(err, disk.ErrUnsupported) {
					return err.Error(), nil
				}
				return "", err
			})
		})
		return
	}
	p, err := site.Start(t.TempDir(), proc.Options{})
	require.NoError(t, err)
	var unsupported string
	assert.NoError(t, p.Ask(t.Context(), nil, &unsupported))
	assert.NoError(t, p.Close())
	if unsupported != "" {
		t.Skip(unsupported)
	}
}

func TestLimitedFileSize(t *testing.T) {
	inChild(t, func(dir string) error {
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			return err
		}
		if err := disk.LimitFileSize(100); err != nil {
			return err
		}
		n, err := f.Write(make([]byte, 150))
		if n != 100 || !errors.Is(err, syscall.EFBIG) {
			return fmt.Errorf("%d bytes written, %v", n, err)
		}
		if err := disk.LimitFileSize(-1); err != nil {
			return err
		}
		_, err = f.Write(make([]byte, 150))
		return err
	})
}

func TestInterceptedSyncs(t *testing.T) {
	inChild(t, func(dir string) error {
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			return err
		}
		syncs, err := disk.Intercept()
		if err != nil {
			return err
		}
		if err := f.Sync(); err != nil || syncs.Calls() != 1 {
			return fmt.Errorf("%d calls, %v", syncs.Calls(), err)
		}
		syncs.Fail(2)
		for range 2 {
			if err := f.Sync(); !errors.Is(err, syscall.EIO) {
				return fmt.Errorf("it should fail and gave %v", err)
			}
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("the third should go through: %w", err)
		}
		syncs.Slow(50 * time.Millisecond)
		if began := time.Now(); f.Sync() != nil || time.Since(began) < 50*time.Millisecond {
			return fmt.Errorf("it should take longer and took %v", time.Since(began))
		}
		syncs.Slow(0)
		syncs.Hold()
		done := make(chan error, 1)
		go func() { done <- f.Sync() }()
		for syncs.Calls() < 6 {
			time.Sleep(time.Millisecond)
		}
		select {
		case err := <-done:
			return fmt.Errorf("it is held up and returned %v", err)
		default:
		}
		syncs.Fail(-1)
		syncs.Release()
		for range 3 {
			if err := <-done; !errors.Is(err, syscall.EIO) {
				return fmt.Errorf("all should fail and one gave %v", err)
			}
			go func() { done <- f.Sync() }()
		}
		return nil
	})
}
