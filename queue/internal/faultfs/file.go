package faultfs

import (
	"io"
	"slices"
)

type file struct {
	fs   *FS
	path string
	node *node
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	if err := f.fs.ask(Read, f.path); err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if at >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	fault := f.fs.ask(Write, f.path)
	if fault != nil {
		p = p[:len(p)/2]
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.grow(f.node, at+int64(len(p))); err != nil {
		return 0, err
	}
	copy(f.node.data[at:], p)
	f.node.writes = append(f.node.writes, write{int(at), slices.Clone(p)})
	return len(p), fault
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *file) Allocate(size int64) error {
	if err := f.fs.ask(Allocate, f.path); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.grow(f.node, size)
}

func (f *file) Datasync() error {
	err := f.fs.ask(Datasync, f.path)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n := f.node
	if err == nil {
		f.fs.syncs++
		if grown := len(n.data) - len(n.synced); grown > 0 {
			n.synced = append(n.synced, make([]byte, grown)...)
		}
		for _, w := range n.writes {
			copy(n.synced[w.at:], w.data)
		}
	}
	n.writes = nil // clean either way: see the package comment
	return err
}

func (f *file) Close() error { return nil }
