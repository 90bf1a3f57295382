// Package faultfs is an in-memory file system that fails when told to, and that simulates
// a power failure: what was synced remains, and any part of the rest.
//
// It models only what Linux promises, not what it also happens to do:
//
//   - What is created, renamed and removed in a folder is durable once that folder itself
//     is synced. Until then, any part of it may be on the disk, in any order. A file is
//     lost with its folder.
//   - A sector that was written since the last datasync may hold any of the writes to it,
//     or a part of one. The page around it may hold anything, even if it was synced
//     before.
//   - A datasync that fails leaves the pages clean although the disk never received them,
//     so the next datasync succeeds and proves nothing.
package faultfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"tensile/queue/wal"
)

// Op is a call that may be made to fail.
type Op string

// The calls.
const (
	Create   Op = "create"
	Read     Op = "read"
	Write    Op = "write"
	Datasync Op = "datasync"
	Allocate Op = "allocate"
	Rename   Op = "rename"
	Remove   Op = "remove"
	SyncDir  Op = "syncdir"
)

// FS is a wal.FS in memory. Safe for concurrent use.
type FS struct {
	asking sync.Mutex // held while the fault is asked

	mu       sync.Mutex
	names    map[string]*node // as programs see them
	durable  map[string]*node // as they are after a power failure
	moves    []move           // from durable to names
	locks    map[string]*lock
	fault    func(op Op, path string) error
	capacity int64 // bytes that all files together may have; 0 for no limit
	syncs    int
}

// node is a file, or a folder.
type node struct {
	folder bool
	data   []byte
	synced []byte
	writes []write // since the last datasync
}

type write struct {
	at   int
	data []byte
}

// move is a change of a folder: a node is created where from is "", and removed
// where to is.
type move struct {
	folder   string
	from, to string
	node     *node
}

func (m move) apply(names map[string]*node) {
	if names[m.from] == m.node {
		delete(names, m.from)
	}
	if m.to != "" {
		names[m.to] = m.node
	}
}

type lock struct {
	fs   *FS
	path string
}

// New returns an empty file system: it has the folders "/" and ".".
func New() *FS {
	return &FS{names: make(map[string]*node), durable: make(map[string]*node), locks: make(map[string]*lock)}
}

// Fail has f asked before every call; where it returns an error, the call fails
// with it. A write that fails has written the first half. Calls of f do not
// overlap, and may call Clone: the power fails where that is left to
// PowerFailure.
func (f *FS) Fail(fault func(op Op, path string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Limit bounds the size of all files together, in bytes; beyond it calls fail
// with ENOSPC. 0 is no limit.
func (f *FS) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = bytes
}

// Used is the size of all files together, in bytes.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used()
}

// Syncs is the number of datasyncs that succeeded.
func (f *FS) Syncs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs
}

// Kill ends what has files open, as SIGKILL does: nothing written is lost, and
// locks are free.
func (f *FS) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.locks)
}

// Clone returns a copy as it is now, with nothing locked or failing: what a
// process leaves that is killed now.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := New()
	copies := map[*node]*node{nil: nil}
	clone := func(n *node) *node {
		if copies[n] == nil && n != nil {
			// What was written is never changed.
			copies[n] = &node{n.folder, slices.Clone(n.data), slices.Clone(n.synced), slices.Clone(n.writes)}
		}
		return copies[n]
	}
	for path, n := range f.names {
		c.names[path] = clone(n)
	}
	for path, n := range f.durable {
		c.durable[path] = clone(n)
	}
	for _, m := range f.moves {
		m.node = clone(m.node)
		c.moves = append(c.moves, m)
	}
	return c
}

// Files returns the paths of the files, sorted.
func (f *FS) Files() (files []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, n := range f.names {
		if !n.folder {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	return files
}

// Edit replaces the content of a file by what change makes of it.
func (f *FS) Edit(path string, change func(data []byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[path]
	n.data = change(n.data)
	n.synced, n.writes = slices.Clone(n.data), nil
}

func (f *FS) ask(op Op, path string) error {
	f.asking.Lock()
	defer f.asking.Unlock()
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(op, path)
}

func (f *FS) used() (total int64) {
	for _, n := range f.names {
		total += int64(len(n.data))
	}
	return total
}

// grow makes a file at least size bytes long.
func (f *FS) grow(n *node, size int64) error {
	more := size - int64(len(n.data))
	if more <= 0 {
		return nil
	} else if f.capacity > 0 && f.used()+more > f.capacity {
		return syscall.ENOSPC
	}
	n.data = append(n.data, make([]byte, more)...)
	return nil
}

// isFolder tells whether there is a folder. The lock is held.
func (f *FS) isFolder(path string) bool {
	n := f.names[path]
	return path == filepath.Dir(path) || n != nil && n.folder
}

func (f *FS) move(m move) {
	m.apply(f.names)
	f.moves = append(f.moves, m)
}

// MkdirAll implements wal.FS.
func (f *FS) MkdirAll(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var missing []string
	for dir = filepath.Clean(dir); !f.isFolder(dir); dir = filepath.Dir(dir) {
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		f.move(move{filepath.Dir(dir), "", dir, &node{folder: true}})
	}
	return nil
}

// List implements wal.FS.
func (f *FS) List(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = filepath.Clean(dir)
	if !f.isFolder(dir) {
		return nil, fmt.Errorf("list %s: %w", dir, fs.ErrNotExist)
	}
	var names []string
	for path := range f.names {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create implements wal.FS.
func (f *FS) Create(path string) (wal.File, error) {
	if err := f.ask(Create, path); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isFolder(filepath.Dir(path)) {
		return nil, fmt.Errorf("create %s: %w", path, fs.ErrNotExist)
	}
	n := f.names[path]
	if n == nil {
		n = new(node)
		f.move(move{filepath.Dir(path), "", path, n})
	}
	*n = node{} // also where it has another name
	return &file{f, path, n}, nil
}

// Open implements wal.FS.
func (f *FS) Open(path string) (wal.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.names[path]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", path, fs.ErrNotExist)
	}
	return &file{f, path, n}, nil
}

// Rename implements wal.FS.
func (f *FS) Rename(from, to string) error {
	if err := f.ask(Rename, from); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.names[from]
	if !ok {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	f.move(move{filepath.Dir(to), from, to, n})
	return nil
}

// Remove implements wal.FS.
func (f *FS) Remove(path string) error {
	if err := f.ask(Remove, path); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.names[path]
	if !ok {
		return fmt.Errorf("remove %s: %w", path, fs.ErrNotExist)
	}
	f.move(move{filepath.Dir(path), path, "", n})
	return nil
}

// SyncDir implements wal.FS.
func (f *FS) SyncDir(dir string) error {
	if err := f.ask(SyncDir, dir); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = filepath.Clean(dir)
	if !f.isFolder(dir) {
		return fmt.Errorf("sync %s: %w", dir, fs.ErrNotExist)
	}
	f.moves = slices.DeleteFunc(f.moves, func(m move) bool {
		if m.folder != dir {
			return false
		}
		m.apply(f.durable)
		return true
	})
	return nil
}

// Lock implements wal.FS.
func (f *FS) Lock(path string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locks[path] != nil {
		return nil, fmt.Errorf("%w: %s", wal.ErrLocked, path)
	}
	l := &lock{f, path}
	f.locks[path] = l
	return l, nil
}

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.fs.locks[l.path] == l {
		delete(l.fs.locks, l.path)
	}
	return nil
}

// paths are those of a map, sorted: what is drawn must not depend on its order.
func paths(names map[string]*node) []string { return slices.Sorted(maps.Keys(names)) }
