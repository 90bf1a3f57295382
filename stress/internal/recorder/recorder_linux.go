//go:build amd64 || arm64

package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/seccomp"
)

// Recorder makes the calls of a child and writes them down. Its methods must not be
// called concurrently.
type Recorder struct {
	l       seccomp.Listener
	pid     int
	process int // a descriptor of the child

	mu      sync.Mutex // held while a call is made
	o       Options
	record  *crashstates.Record
	nodes   map[inode]int
	pins    []int        // descriptors that keep inodes from being used again
	threads map[int]bool // of the child, as opposed to its children's
	held    []pending
	noted   map[string]bool
	done    chan struct{}
	err     error
}

// inode is what the kernel tells files apart by.
type inode struct{ dev, ino uint64 }

// pending is a sync that has not returned yet.
type pending struct {
	id    uint64
	until time.Time
	calls int // of others, after which it returns
}

// call is a call of the child as it came in.
type call struct {
	id     uint64
	thread int
	number uint32
	args   [6]uint64
}

// Start takes over a child that has called Enter. What is in the folder now is
// what was durable before. The recorder ends with the child.
func Start(pid, descriptor int, dir string, o Options) (*Recorder, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: pidfd_open: %w", ErrUnsupported, err)
	}
	l, err := seccomp.Adopt(pid, descriptor)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnsupported, err), unix.Close(process))
	}
	r := &Recorder{l: l, pid: pid, process: process, threads: make(map[int]bool), done: make(chan struct{})}
	if err := r.begin(dir, o); err != nil {
		return nil, errors.Join(err, r.close())
	}
	go r.run()
	return r, nil
}

// Stop returns the record so far. What the child does from now on is not recorded, until
// Again.
func (r *Recorder) Stop() (*crashstates.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	record, err := r.record, r.err
	r.o, r.record, r.nodes, r.err = Options{}, new(crashstates.Record), nil, nil
	return record, errors.Join(err, r.unpin())
}

// Again begins another record, of another folder, after Stop.
func (r *Recorder) Again(dir string, o Options) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begin(dir, o)
}

// begin begins a record of a folder.
func (r *Recorder) begin(dir string, o Options) error {
	r.o, r.record, r.nodes, r.noted, r.err = o, new(crashstates.Record), make(map[inode]int), make(map[string]bool), nil
	return r.snapshot(dir)
}

// Wait returns the record once the child has ended.
func (r *Recorder) Wait() (*crashstates.Record, error) {
	<-r.done
	return r.record, errors.Join(r.err, r.close())
}

func (r *Recorder) close() error { return errors.Join(r.l.Close(), unix.Close(r.process), r.unpin()) }

func (r *Recorder) unpin() (err error) {
	for _, fd := range r.pins {
		err = errors.Join(err, unix.Close(fd))
	}
	r.pins = nil
	return err
}

// snapshot reads the folder as it is.
func (r *Recorder) snapshot(dir string) error {
	ids := make(map[string]int)
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() && !entry.Type().IsRegular() {
			return nil // a socket or the like: nothing that lasts
		}
		node := crashstates.Node{Folder: entry.IsDir()}
		if node.Folder {
			node.Names = make(map[string]int)
		} else {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			node.Size = int64(len(data))
			node.Data = slices.Clone(bytes.TrimRight(data, "\x00")) // files may be allocated well ahead
		}
		id, known, err := r.enter(path)
		if err != nil {
			return err
		}
		if !known {
			r.record.Base = append(r.record.Base, node)
		}
		if path != dir {
			r.record.Base[ids[filepath.Dir(path)]].Names[entry.Name()] = id
		}
		ids[path] = id
		return nil
	})
}

// enter gives a number to a file that has none, and keeps its inode.
func (r *Recorder) enter(path string) (id int, known bool, err error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, false, errors.Join(err, unix.Close(fd))
	}
	key := inode{st.Dev, st.Ino}
	if id, known = r.nodes[key]; known {
		return id, true, unix.Close(fd)
	}
	id = len(r.nodes)
	r.nodes[key] = id
	r.pins = append(r.pins, fd)
	return id, false, nil
}

// longestWait is how long the recorder waits before it looks at the time again.
const longestWait = time.Second

func (r *Recorder) run() {
	defer close(r.done)
	for {
		wait := longestWait
		for _, s := range r.held {
			wait = min(wait, max(time.Until(s.until), 0))
		}
		err := r.l.Wait(wait)
		if errors.Is(err, seccomp.ErrEnded) {
			return
		}
		r.mu.Lock()
		if err == nil {
			err = r.next()
		}
		if err != nil && !errors.Is(err, seccomp.ErrTimeout) {
			r.err = errors.Join(r.err, err)
			r.mu.Unlock()
			return
		}
		r.release()
		r.mu.Unlock()
	}
}

// next makes one call.
func (r *Recorder) next() error {
	var n seccomp.Notification
	if err := r.l.Receive(&n); err != nil {
		return err
	}
	c := call{n.ID, int(n.PID), n.Data.Number, n.Data.Args}
	modern(&c)
	r.handle(&c)
	return nil
}

// release has syncs return whose time has come.
func (r *Recorder) release() {
	left := r.held[:0]
	for _, s := range r.held {
		if s.calls <= 0 || !time.Now().Before(s.until) {
			r.l.Return(s.id, 0, 0)
		} else {
			left = append(left, s)
		}
	}
	r.held = left
}

// append writes an event down.
func (r *Recorder) append(c *call, e crashstates.Event) {
	e.Thread = c.thread
	r.record.Events = append(r.record.Events, e)
	for i := range r.held {
		r.held[i].calls--
	}
}

// note says once what the record does not hold.
func (r *Recorder) note(c *call, text string) {
	if !r.noted[text] {
		r.noted[text] = true
		r.append(c, crashstates.Event{Kind: crashstates.Note, Text: text})
	}
}

// fault asks what is to become of an event, and writes down a call that fails.
func (r *Recorder) fault(c *call, e *crashstates.Event) (f Fault) {
	if r.o.Fault == nil {
		return f
	}
	f = r.o.Fault(e)
	switch {
	case e.Kind == crashstates.Sync || e.Kind == crashstates.Datasync: // written down as such
	case f.Errno != 0:
		r.append(c, crashstates.Event{Kind: crashstates.Fail, Text: fmt.Sprintf("%s: %v", r.record.Would(e),
			unix.Errno(f.Errno))})
	case f.Short > 0 && len(e.Data) > 1:
		r.append(c, crashstates.Event{Kind: crashstates.Fail, Text: r.record.Would(e) + ": not all of it"})
	}
	return f
}

// ours tells whether a thread is one of the child's own.
func (r *Recorder) ours(thread int) bool {
	own, known := r.threads[thread]
	if !known {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", r.pid, thread))
		own = err == nil
		r.threads[thread] = own
	}
	return own
}

// memory reads the child's.
func (r *Recorder) memory(address uint64, size int) ([]byte, error) {
	b := make([]byte, size)
	for read := 0; read < size; {
		local := unix.Iovec{Base: &b[read]}
		local.SetLen(size - read)
		remote := unix.RemoteIovec{Base: uintptr(address) + uintptr(read), Len: size - read}
		n, err := unix.ProcessVMReadv(r.pid, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, unix.EFAULT
		}
		read += n
	}
	return b, nil
}

// text reads a string that ends with a zero.
func (r *Recorder) text(address uint64) (string, error) {
	var all []byte
	for len(all) < unix.PathMax {
		size := 256 - int(address%256) // a page may end there
		b, err := r.memory(address, size)
		if err != nil {
			return "", err
		}
		if end := bytes.IndexByte(b, 0); end >= 0 {
			return string(append(all, b[:end]...)), nil
		}
		all = append(all, b...)
		address += uint64(size)
	}
	return "", unix.ENAMETOOLONG
}

// vector reads what an array of struct iovec refers to.
func (r *Recorder) vector(address uint64, count int) ([]byte, error) {
	const size = int(unsafe.Sizeof(unix.Iovec{}))
	if count < 0 || count > 1024 {
		return nil, unix.EINVAL
	}
	raw, err := r.memory(address, count*size)
	if err != nil {
		return nil, err
	}
	var all []byte
	for i := range count {
		v := (*[2]uint64)(unsafe.Pointer(&raw[i*size]))
		b, err := r.memory(v[0], int(v[1]))
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}
