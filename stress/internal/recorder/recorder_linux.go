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
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/seccomp"
)

// Recorder makes the calls of a child and writes them down.
type Recorder struct {
	l       seccomp.Listener
	pid     int
	process int // a descriptor of the child
	o       Options
	record  *crashstates.Record
	nodes   map[inode]int
	pins    []int        // descriptors that keep inodes from being used again
	threads map[int]bool // of the child, as opposed to its children's
	held    []sync
	noted   map[string]bool
	done    chan struct{}
	err     error
}

// inode is what the kernel tells files apart by.
type inode struct{ dev, ino uint64 }

// sync is a sync that has not returned yet.
type sync struct {
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
	r := &Recorder{l: l, pid: pid, process: process, o: o, record: new(crashstates.Record), nodes: make(map[inode]int),
		threads: make(map[int]bool), noted: make(map[string]bool), done: make(chan struct{})}
	if err := r.snapshot(dir); err != nil {
		return nil, errors.Join(err, r.close())
	}
	go r.run()
	return r, nil
}

// Wait returns the record once the child has ended.
func (r *Recorder) Wait() (*crashstates.Record, error) {
	<-r.done
	return r.record, errors.Join(r.err, r.close())
}

func (r *Recorder) close() error {
	err := errors.Join(r.l.Close(), unix.Close(r.process))
	for _, fd := range r.pins {
		err = errors.Join(err, unix.Close(fd))
	}
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
		switch err := r.l.Wait(wait); {
		case errors.Is(err, seccomp.ErrTimeout):
			r.release()
			continue
		case errors.Is(err, seccomp.ErrEnded):
			return
		case err != nil:
			r.err = err
			return
		}
		var n seccomp.Notification
		if err := r.l.Receive(&n); err != nil {
			r.err = err
			return
		}
		c := call{n.ID, int(n.PID), n.Data.Number, n.Data.Args}
		modern(&c)
		r.handle(&c)
		r.release()
	}
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

// fault asks what is to become of an event.
func (r *Recorder) fault(e *crashstates.Event) Fault {
	if r.o.Fault == nil {
		return Fault{}
	}
	return r.o.Fault(e)
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
