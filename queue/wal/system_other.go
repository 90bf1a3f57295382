//go:build !linux

package wal

// Allocate implements File. What is not written yet takes no room on the disk
// here.
func (f systemFile) Allocate(size int64) error { return f.Truncate(size) }

// Datasync implements File.
func (f systemFile) Datasync() error { return f.Sync() }
