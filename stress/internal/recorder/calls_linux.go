//go:build amd64 || arm64

package recorder

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tensile/stress/internal/crashstates"
)

// handle carries out one call and answers it, or leaves it to the kernel.
func (r *Recorder) handle(c *call) {
	if c.number == unix.SYS_WRITE && c.args[0] == markFD {
		text, err := r.memory(c.args[1], int(c.args[2]))
		if err == nil {
			r.append(c, crashstates.Event{Kind: crashstates.Mark, Text: string(text)})
		}
		r.answer(c, len(text), err)
		return
	}
	if !r.ours(c.thread) {
		r.note(c, "a process that the subject has started is not recorded")
		r.l.Continue(c.id)
		return
	}
	switch c.number {
	case unix.SYS_OPENAT:
		r.open(c)
	case unix.SYS_MKDIRAT:
		r.mkdir(c)
	case unix.SYS_UNLINKAT:
		r.unlink(c)
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		r.rename(c)
	case unix.SYS_LINKAT:
		r.link(c)
	case unix.SYS_SYMLINKAT:
		r.symlink(c)
	case unix.SYS_TRUNCATE:
		r.truncate(c)
	case unix.SYS_SYNC:
		r.append(c, crashstates.Event{Kind: crashstates.SyncAll})
		r.answer(c, 0, nil)
	default:
		r.onDescriptor(c)
	}
}

// answer ends a call.
func (r *Recorder) answer(c *call, value int, err error) {
	var errno unix.Errno
	if err != nil && !errors.As(err, &errno) {
		errno = unix.EIO
	}
	r.l.Return(c.id, int64(value), errno)
}

// open file of the child, as the parent holds it during a call.
type descriptor struct {
	fd    int
	st    unix.Stat_t
	node  int
	flags int
}

// descriptor gets a file of the child that is under the folder.
func (r *Recorder) descriptor(number uint64) (d descriptor, ok bool) {
	fd, err := unix.PidfdGetfd(r.process, int(int32(number)), 0)
	if err != nil {
		return d, false
	}
	d.fd = fd
	if unix.Fstat(fd, &d.st) == nil {
		if d.node, ok = r.nodes[inode{d.st.Dev, d.st.Ino}]; ok {
			d.flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			ok = err == nil
		}
	}
	if !ok {
		_ = unix.Close(fd)
	}
	return d, ok
}

// onDescriptor carries out the calls whose first argument is a descriptor, except
// mmap.
func (r *Recorder) onDescriptor(c *call) {
	if c.number == unix.SYS_MMAP {
		if d, ok := r.descriptor(c.args[4]); ok {
			r.note(c, fmt.Sprintf("writes through a mapping of %s are not recorded", r.record.PathNow(d.node)))
			_ = unix.Close(d.fd)
		}
		r.l.Continue(c.id)
		return
	}
	d, ok := r.descriptor(c.args[0])
	if !ok {
		r.l.Continue(c.id)
		return
	}
	defer func() { _ = unix.Close(d.fd) }()
	e := crashstates.Event{Node: d.node}
	switch c.number {
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		e.Kind = crashstates.Sync
		if c.number == unix.SYS_FDATASYNC {
			e.Kind = crashstates.Datasync
		}
		r.sync(c, e)
		return
	case unix.SYS_SYNCFS:
		r.append(c, crashstates.Event{Kind: crashstates.SyncAll})
		r.answer(c, 0, nil)
		return
	case unix.SYS_SYNC_FILE_RANGE:
		e.Kind, e.Offset, e.Size = crashstates.SyncRange, int64(c.args[1]), int64(c.args[2])
		r.append(c, e)
		r.answer(c, 0, nil)
		return
	case unix.SYS_FTRUNCATE:
		e.Kind, e.Size = crashstates.Truncate, int64(c.args[1])
		r.make(c, e, func() error { return unix.Ftruncate(d.fd, e.Size) })
		return
	case unix.SYS_FALLOCATE:
		r.allocate(c, d, e)
		return
	case unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_READV, unix.SYS_PREADV, unix.SYS_PREADV2:
		e.Kind, e.Size = crashstates.Read, int64(c.args[2])
		if f := r.fault(c, &e); f.Errno != 0 {
			r.answer(c, 0, unix.Errno(f.Errno))
		} else {
			r.l.Continue(c.id)
		}
		return
	}
	n, err := r.write(c, d)
	r.answer(c, n, err)
}

// make carries out a call that returns 0 and records it, unless it must fail.
func (r *Recorder) make(c *call, e crashstates.Event, do func() error) {
	err := error(nil)
	if f := r.fault(c, &e); f.Errno != 0 {
		err = unix.Errno(f.Errno)
	} else if err = do(); err == nil {
		r.append(c, e)
	}
	r.answer(c, 0, err)
}

func (r *Recorder) sync(c *call, e crashstates.Event) {
	if f := r.fault(c, &e); f.Errno != 0 {
		e.Failed = true
		r.append(c, e)
		r.answer(c, 0, unix.Errno(f.Errno))
		return
	}
	r.append(c, e)
	if r.o.Linger == 0 {
		r.answer(c, 0, nil)
		return
	}
	r.held = append(r.held, pending{c.id, time.Now().Add(r.o.Linger), 1 + len(r.record.Events)%4})
}

func (r *Recorder) allocate(c *call, d descriptor, e crashstates.Event) {
	mode := uint32(c.args[1])
	e.Kind, e.Offset, e.Size = crashstates.Allocate, int64(c.args[2]), int64(c.args[3])
	switch mode {
	case 0:
	case unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE:
		e.Kind = crashstates.Zero
	case unix.FALLOC_FL_KEEP_SIZE:
		r.answer(c, 0, nil) // it only reserves room
		return
	default:
		r.answer(c, 0, unix.EOPNOTSUPP)
		return
	}
	r.make(c, e, func() error { return unix.Fallocate(d.fd, mode, e.Offset, e.Size) })
}

// write carries out a call that writes.
func (r *Recorder) write(c *call, d descriptor) (int, error) {
	const most = 0x7ffff000 // the most that Linux writes in one call
	var data []byte
	var err error
	placed := false // the call says where
	e := crashstates.Event{Kind: crashstates.Write, Node: d.node, Synced: d.flags&unix.O_DSYNC != 0}
	switch c.number {
	case unix.SYS_WRITE, unix.SYS_PWRITE64:
		data, err = r.memory(c.args[1], int(min(c.args[2], most)))
		placed = c.number == unix.SYS_PWRITE64
	default:
		data, err = r.vector(c.args[1], int(int32(c.args[2])))
		placed = c.number == unix.SYS_PWRITEV || c.number == unix.SYS_PWRITEV2 && int64(c.args[3]) != -1
		if c.number == unix.SYS_PWRITEV2 {
			e.Synced = e.Synced || c.args[5]&(unix.RWF_SYNC|unix.RWF_DSYNC) != 0
		}
	}
	if err != nil {
		return 0, err
	}
	if d.flags&unix.O_ACCMODE == unix.O_RDONLY {
		return 0, unix.EBADF
	}
	if d.flags&unix.O_DIRECT != 0 {
		r.note(c, fmt.Sprintf("%s is written with O_DIRECT, which may be refused here", r.record.PathNow(d.node)))
	}
	switch {
	case d.flags&unix.O_APPEND != 0:
		e.Offset = d.st.Size
	case placed:
		e.Offset = int64(c.args[3])
	default:
		if e.Offset, err = unix.Seek(d.fd, 0, io.SeekCurrent); err != nil {
			return 0, err
		}
	}
	e.Data = data
	f := r.fault(c, &e)
	if f.Errno != 0 {
		return 0, unix.Errno(f.Errno)
	}
	if f.Short > 0 && len(data) > 1 {
		data = data[:max(len(data)-f.Short, 1)]
	}
	var n int
	if placed {
		n, err = unix.Pwrite(d.fd, data, e.Offset)
	} else {
		n, err = unix.Write(d.fd, data) // which moves the offset that the child shares
	}
	if n > 0 {
		e.Data = data[:n]
		r.append(c, e)
		return n, nil
	}
	return 0, err
}

// place is a name in a folder under the folder.
type place struct {
	fd   int // of the folder
	dir  int
	name string
}

func (p place) close() { _ = unix.Close(p.fd) }

// place determines where a path of the child leads, and whether that is under the
// folder. An error means that the child's memory could not be read.
func (r *Recorder) place(dirfd, address uint64) (p place, ok bool, err error) {
	text, err := r.text(address)
	if err != nil {
		return p, false, err
	}
	text = strings.TrimRight(text, "/")
	if !strings.HasPrefix(text, "/") {
		from := fmt.Sprintf("/proc/%d/cwd", r.pid)
		if fd := int32(dirfd); fd != unix.AT_FDCWD {
			from = fmt.Sprintf("/proc/%d/fd/%d", r.pid, fd)
		}
		text = from + "/" + text
	}
	dir, name := path.Split(text)
	if name == "" || name == "." || name == ".." {
		return p, false, nil
	}
	p.name = name
	if p.fd, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return p, false, nil // the kernel will say why
	}
	var st unix.Stat_t
	if unix.Fstat(p.fd, &st) == nil {
		p.dir, ok = r.nodes[inode{st.Dev, st.Ino}]
	}
	if !ok {
		p.close()
	}
	return p, ok, nil
}

// look returns the node of a name, if it has one.
func (r *Recorder) look(p place) (st unix.Stat_t, node int, ok bool) {
	if unix.Fstatat(p.fd, p.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return st, 0, false
	}
	node, ok = r.nodes[inode{st.Dev, st.Ino}]
	return st, node, ok
}

// within calls do for a path, if it is under the folder.
func (r *Recorder) within(c *call, dirfd, address uint64, do func(p place)) {
	p, ok, err := r.place(dirfd, address)
	switch {
	case err != nil:
		r.answer(c, 0, err)
	case !ok:
		r.l.Continue(c.id)
	default:
		defer p.close()
		do(p)
	}
}

// made assigns a number to a new file or folder.
func (r *Recorder) made(p place) (int, error) {
	id, _, err := r.enter(fmt.Sprintf("/proc/self/fd/%d/%s", p.fd, p.name))
	return id, err
}

func (r *Recorder) open(c *call) {
	r.within(c, c.args[0], c.args[1], func(p place) {
		flags, mode := int(int32(c.args[2])), uint32(c.args[3])
		if flags&unix.O_TMPFILE == unix.O_TMPFILE {
			r.answer(c, 0, unix.EOPNOTSUPP)
			return
		}
		st, node, there := r.look(p)
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			r.note(c, fmt.Sprintf("%s is a symbolic link: what it leads to is not recorded", p.name))
			r.l.Continue(c.id)
			return
		}
		e := crashstates.Event{Kind: crashstates.Create, Dir: p.dir, Name: p.name}
		if there {
			e = crashstates.Event{Kind: crashstates.Truncate, Node: node}
		}
		changes := !there && flags&unix.O_CREAT != 0 || there && flags&unix.O_TRUNC != 0 && flags&unix.O_EXCL == 0 &&
			st.Size > 0
		if changes {
			if f := r.fault(c, &e); f.Errno != 0 {
				r.answer(c, 0, unix.Errno(f.Errno))
				return
			}
		}
		fd, err := unix.Openat(p.fd, p.name, flags|unix.O_CLOEXEC, mode)
		if err != nil {
			r.answer(c, 0, err)
			return
		}
		defer func() { _ = unix.Close(fd) }()
		if changes {
			if !there {
				if e.Node, err = r.made(p); err != nil {
					r.err = errors.Join(r.err, err)
				}
			}
			r.append(c, e)
		}
		if err := r.l.ReturnFile(c.id, fd, flags&unix.O_CLOEXEC != 0); err != nil {
			r.answer(c, 0, err)
		}
	})
}

func (r *Recorder) mkdir(c *call) {
	r.within(c, c.args[0], c.args[1], func(p place) {
		e := crashstates.Event{Kind: crashstates.Mkdir, Dir: p.dir, Name: p.name}
		if f := r.fault(c, &e); f.Errno != 0 {
			r.answer(c, 0, unix.Errno(f.Errno))
			return
		}
		err := unix.Mkdirat(p.fd, p.name, uint32(c.args[2]))
		if err == nil {
			if e.Node, err = r.made(p); err == nil {
				r.append(c, e)
			}
		}
		r.answer(c, 0, err)
	})
}

func (r *Recorder) unlink(c *call) {
	r.within(c, c.args[0], c.args[1], func(p place) {
		_, node, there := r.look(p)
		e := crashstates.Event{Kind: crashstates.Unlink, Dir: p.dir, Name: p.name, Node: node}
		do := func() error { return unix.Unlinkat(p.fd, p.name, int(int32(c.args[2]))) }
		if !there {
			r.answer(c, 0, do())
			return
		}
		r.make(c, e, do)
	})
}

func (r *Recorder) rename(c *call) {
	r.both(c, func(from, to place) {
		flags := uint(0)
		if c.number == unix.SYS_RENAMEAT2 {
			flags = uint(c.args[4])
		}
		if flags&^unix.RENAME_NOREPLACE != 0 {
			r.answer(c, 0, unix.EINVAL)
			return
		}
		_, node, there := r.look(from)
		_, over, replaces := r.look(to)
		do := func() error { return unix.Renameat2(from.fd, from.name, to.fd, to.name, flags) }
		if !there || replaces && over == node { // two names of one file: nothing happens
			r.answer(c, 0, do())
			return
		}
		r.make(c, crashstates.Event{Kind: crashstates.Rename, Dir: from.dir, Name: from.name,
			ToDir: to.dir, ToName: to.name, Node: node}, do)
	})
}

func (r *Recorder) link(c *call) {
	r.both(c, func(from, to place) {
		_, node, there := r.look(from)
		do := func() error { return unix.Linkat(from.fd, from.name, to.fd, to.name, int(int32(c.args[4]))) }
		if !there {
			r.answer(c, 0, do())
			return
		}
		r.make(c, crashstates.Event{Kind: crashstates.Link, Dir: to.dir, Name: to.name, Node: node}, do)
	})
}

// both calls do for two paths, if both are under the folder.
func (r *Recorder) both(c *call, do func(from, to place)) {
	from, fromOK, err := r.place(c.args[0], c.args[1])
	if err != nil {
		r.answer(c, 0, err)
		return
	}
	to, toOK, err := r.place(c.args[2], c.args[3])
	if fromOK {
		defer from.close()
	}
	if toOK {
		defer to.close()
	}
	switch {
	case err != nil:
		r.answer(c, 0, err)
	case fromOK && toOK:
		do(from, to)
	default:
		if fromOK != toOK {
			r.note(c, "a file that is moved into the folder, or out of it, is not recorded")
		}
		r.l.Continue(c.id)
	}
}

func (r *Recorder) symlink(c *call) {
	r.within(c, c.args[1], c.args[2], func(p place) {
		r.note(c, fmt.Sprintf("%s is a symbolic link: it is not recorded", p.name))
		r.l.Continue(c.id)
	})
}

func (r *Recorder) truncate(c *call) {
	r.within(c, uint64(1<<64+unix.AT_FDCWD), c.args[0], func(p place) {
		_, node, there := r.look(p)
		if !there {
			r.l.Continue(c.id)
			return
		}
		e := crashstates.Event{Kind: crashstates.Truncate, Node: node, Size: int64(c.args[1])}
		r.make(c, e, func() error { return unix.Truncate(fmt.Sprintf("/proc/self/fd/%d/%s", p.fd, p.name), e.Size) })
	})
}
