// Package faultfs is a file system in memory that fails when told to, and that
// knows what a power failure leaves: what was synced, and of the rest anything.
//
// It is modelled on what Linux does: a datasync that fails leaves the pages
// concerned clean although the disk never took them, so that the next one
// succeeds and proves nothing.
package faultfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
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
	Write    Op = "write"
	Datasync Op = "datasync"
	Allocate Op = "allocate"
	Rename   Op = "rename"
	Remove   Op = "remove"
	SyncDir  Op = "syncdir"
)

// sector is what a disk writes wholly or not at all.
const sector = 512

// FS is a wal.FS in memory. Safe for concurrent use.
type FS struct {
	mu       sync.Mutex
	names    map[string]*node // as programs see them
	durable  map[string]*node // as they are after a power failure
	locks    map[string]*lock
	fault    func(op Op, path string) error
	capacity int64 // bytes that all files together may have; 0 for no limit
	syncs    int
}

type node struct {
	data    []byte
	synced  []byte
	unsaved map[int]bool // sectors written since the last datasync
}

type lock struct {
	fs   *FS
	path string
}

// New returns an empty file system.
func New() *FS {
	return &FS{names: make(map[string]*node), durable: make(map[string]*node), locks: make(map[string]*lock)}
}

// Fail has f asked before every call; where it returns an error, the call fails
// with it. A write that fails has written the first half.
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

// PowerFailure leaves what was synced, and of what was not any part, drawn by
// random.
func (f *FS) PowerFailure(random *rand.Rand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.locks)
	for _, path := range slices.Sorted(maps.Keys(f.names)) {
		if _, kept := f.durable[path]; !kept && random.IntN(2) == 0 {
			f.durable[path] = f.names[path]
		}
	}
	f.names = maps.Clone(f.durable)
	for _, path := range slices.Sorted(maps.Keys(f.names)) {
		n := f.names[path]
		for _, s := range slices.Sorted(maps.Keys(n.unsaved)) {
			if random.IntN(2) == 0 {
				n.save(s)
			}
		}
		n.unsaved = make(map[int]bool)
		n.data = slices.Clone(n.synced)
	}
}

// Clone returns a copy as it is now, with nothing locked or failing: what a
// process leaves that is killed now.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := New()
	copies := make(map[*node]*node)
	for from, to := range map[*map[string]*node]map[string]*node{&f.names: c.names, &f.durable: c.durable} {
		for path, n := range *from {
			if copies[n] == nil {
				copies[n] = &node{slices.Clone(n.data), slices.Clone(n.synced), maps.Clone(n.unsaved)}
			}
			to[path] = copies[n]
		}
	}
	return c
}

// Files returns the paths of the files, sorted.
func (f *FS) Files() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.names))
}

// Edit replaces the content of a file by what change makes of it.
func (f *FS) Edit(path string, change func(data []byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[path]
	n.data = change(n.data)
	n.synced = slices.Clone(n.data)
}

// save brings a sector to the disk.
func (n *node) save(s int) {
	from, to := s*sector, min((s+1)*sector, len(n.data))
	if len(n.synced) < to {
		n.synced = append(n.synced, make([]byte, to-len(n.synced))...)
	}
	copy(n.synced[from:to], n.data[from:to])
}

func (f *FS) ask(op Op, path string) error {
	if f.fault == nil {
		return nil
	}
	return f.fault(op, path)
}

func (f *FS) used() (total int64) {
	for _, n := range f.names {
		total += int64(len(n.data))
	}
	return total
}

// grow makes a file at least size bytes long.
func (f *FS) grow(n *node, size int64) error {
	if more := size - int64(len(n.data)); more <= 0 {
		return nil
	} else if f.capacity > 0 && f.used()+more > f.capacity {
		return syscall.ENOSPC
	}
	n.data = append(n.data, make([]byte, size-int64(len(n.data)))...)
	return nil
}

// MkdirAll implements wal.FS: folders need not be made here.
func (f *FS) MkdirAll(string) error { return nil }

// List implements wal.FS.
func (f *FS) List(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for path := range f.names {
		if filepath.Dir(path) == filepath.Clean(dir) {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create implements wal.FS.
func (f *FS) Create(path string) (wal.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask(Create, path); err != nil {
		return nil, err
	}
	n := &node{unsaved: make(map[int]bool)}
	f.names[path] = n
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
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask(Rename, from); err != nil {
		return err
	}
	n, ok := f.names[from]
	if !ok {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	delete(f.names, from)
	f.names[to] = n
	return nil
}

// Remove implements wal.FS.
func (f *FS) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask(Remove, path); err != nil {
		return err
	}
	if _, ok := f.names[path]; !ok {
		return fmt.Errorf("remove %s: %w", path, fs.ErrNotExist)
	}
	delete(f.names, path)
	return nil
}

// SyncDir implements wal.FS.
func (f *FS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask(SyncDir, dir); err != nil {
		return err
	}
	f.durable = maps.Clone(f.names)
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

type file struct {
	fs   *FS
	path string
	node *node
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
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
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	fault := f.fs.ask(Write, f.path)
	if fault != nil {
		p = p[:len(p)/2]
	}
	if err := f.fs.grow(f.node, at+int64(len(p))); err != nil {
		return 0, err
	}
	n := copy(f.node.data[at:], p)
	for s := int(at) / sector; n > 0 && s <= (int(at)+n-1)/sector; s++ {
		f.node.unsaved[s] = true
	}
	return n, fault
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *file) Allocate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.ask(Allocate, f.path); err != nil {
		return err
	}
	return f.fs.grow(f.node, size)
}

func (f *file) Datasync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.ask(Datasync, f.path)
	n := f.node
	if err == nil {
		f.fs.syncs++
		for s := range n.unsaved {
			n.save(s)
		}
		if grown := len(n.data) - len(n.synced); grown > 0 {
			n.synced = append(n.synced, make([]byte, grown)...)
		}
	}
	clear(n.unsaved) // clean either way: see the package comment
	return err
}

func (f *file) Close() error { return nil }
