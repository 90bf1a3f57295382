package wal

import (
	"errors"
	"io/fs"
	"os"
)

// System is the file system of the operating system.
type System struct{}

// MkdirAll implements FS.
func (System) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o750) }

// List implements FS.
func (System) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Create implements FS.
func (System) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	return systemFile{f}, err
}

// Open implements FS.
func (System) Open(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	return systemFile{f}, err
}

// Rename implements FS.
func (System) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (System) Remove(path string) error { return os.Remove(path) }

// SyncDir implements FS.
func (System) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type systemFile struct{ *os.File }

// WriteAt implements File. Its error does not name the file, which may have
// got another name since it was opened.
func (f systemFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	var named *fs.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	return n, err
}

func (f systemFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
