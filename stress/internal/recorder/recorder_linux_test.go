//go:build amd64 || arm64

package recorder_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/recorder"
)

// record has a child do something in a folder that holds a file "before", and
// returns what was recorded.
func record(t *testing.T, o recorder.Options, do func(dir string) error) *crashstates.Record {
	t.Helper()
	site := proc.At(t, "recorded")
	if site.Child() {
		site.Serve(func(l *proc.Link) error {
			var dir string
			if err := l.Config(&dir); err != nil {
				return err
			}
			return proc.Serve(l, func(what string) (any, error) {
				if what == "enter" {
					return recorder.Enter(true, 3, 4)
				}
				return nil, do(dir)
			})
		})
		return nil
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "before"), []byte("was here"), 0o644))
	p, err := site.Start(dir, proc.Options{})
	require.NoError(t, err)
	var fd int
	if err := p.Ask(t.Context(), "enter", &fd); err != nil {
		p.Kill()
		t.Skip(err)
	}
	r, err := recorder.Start(p.Pid(), fd, dir, o)
	require.NoError(t, err)
	assert.NoError(t, p.Ask(t.Context(), "do", nil))
	assert.NoError(t, p.Close())
	got, err := r.Wait()
	require.NoError(t, err)
	return got
}

func described(r *crashstates.Record) (all []string) {
	for i := range r.Events {
		all = append(all, r.Describe(i))
	}
	return all
}

func TestCallsAreRecorded(t *testing.T) {
	got := record(t, recorder.Options{}, func(dir string) error {
		in := func(name string) string { return filepath.Join(dir, name) }
		f, err := os.OpenFile(in("log"), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		if _, err := f.Write([]byte("hello")); err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte("world"), 100); err != nil {
			return err
		}
		recorder.Say("a mark")
		if n, err := unix.Writev(int(f.Fd()), [][]byte{[]byte("ab"), []byte("cd")}); n != 4 || err != nil {
			return fmt.Errorf("writev: %d, %w", n, err)
		}
		ends := []error{
			f.Sync(), unix.Fdatasync(int(f.Fd())), f.Truncate(50), unix.Fallocate(int(f.Fd()), 0, 0, 200),
			unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 2, 2),
			os.Mkdir(in("sub"), 0o755), os.Rename(in("log"), in("sub/log")), os.Link(in("sub/log"), in("again")),
			os.WriteFile(in("before"), nil, 0o644), os.Remove(in("before")), os.Truncate(in("again"), 7),
		}
		appended, err := os.OpenFile(in("again"), os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0)
		if err != nil {
			return err
		}
		_, err = appended.Write([]byte("tail"))
		folder, openErr := os.Open(dir)
		if openErr != nil {
			return openErr
		}
		data, readErr := os.ReadFile(in("sub/log"))
		if want := "he\x00\x00oabtail"; string(data) != want {
			return fmt.Errorf("the file holds %q, and should hold %q", data, want)
		}
		outside, outErr := os.CreateTemp("", "")
		if outErr != nil {
			return outErr
		}
		_, outErr = outside.WriteString("not ours")
		return errors.Join(append(ends, err, openErr, readErr, folder.Sync(), folder.Close(), f.Close(), appended.Close(),
			outErr, outside.Close(), os.Remove(outside.Name()))...)
	})
	assert.Equal(t, []string{
		"create log",
		"write log at 0, 5 bytes", "write log at 100, 5 bytes", "a mark", "write log at 5, 4 bytes",
		"fsync log", "fdatasync log", "truncate log to 50", "allocate log at 0, 200 bytes", "zero log at 2, 2 bytes",
		"mkdir sub", "rename log to sub/log", "link again to sub/log",
		"truncate before to 0", "unlink before",
	}, described(got)[:15])
	assert.Len(t, got.Events, 18)
	last := got.Events[15:]
	assert.Equal(t, crashstates.Event{Kind: crashstates.Truncate, Thread: last[0].Thread, Node: 2, Size: 7}, last[0])
	assert.Equal(t, crashstates.Event{Kind: crashstates.Write, Thread: last[1].Thread, Node: 2, Offset: 7,
		Data: []byte("tail"), Synced: true}, last[1])
	assert.Equal(t, crashstates.Sync, last[2].Kind)
	assert.Equal(t, []byte("was here"), got.Base[1].Data)
}

// The record is in the order of what was done, whoever does it: what the program
// saw is what the record gives with nothing lost.
func TestRecordGivesWhatTheProgramSaw(t *testing.T) {
	const writers, writes = 4, 50
	var dir string
	got := record(t, recorder.Options{Linger: 200 * time.Microsecond}, func(d string) error {
		f, err := os.OpenFile(filepath.Join(d, "log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		var all sync.WaitGroup
		errs := make([]error, writers)
		for w := range writers {
			all.Go(func() {
				for i := range writes {
					_, err := fmt.Fprintf(f, "%d:%02d ", w, i)
					if i%10 == 0 {
						err = errors.Join(err, f.Sync())
					}
					errs[w] = errors.Join(errs[w], err)
				}
			})
		}
		all.Wait()
		content, err := os.ReadFile(f.Name())
		recorder.Say(string(content))
		return errors.Join(append(errs, err, f.Close())...)
	})
	if proc.IsChild() {
		return
	}
	space := got.Under(crashstates.POSIX).At(len(got.Events))
	dir = t.TempDir()
	require.NoError(t, space.State(make([]int, len(space.Choices()))).Write(dir))
	data, err := os.ReadFile(filepath.Join(dir, "log"))
	require.NoError(t, err)
	assert.Len(t, data, writers*writes*5)
	var said string
	for _, e := range got.Events {
		if e.Kind == crashstates.Mark {
			said = e.Text
		}
	}
	assert.Equal(t, said, string(data))
}

func TestFaults(t *testing.T) {
	var syncs, writes, reads int
	o := recorder.Options{Fault: func(e *crashstates.Event) recorder.Fault {
		switch e.Kind {
		case crashstates.Sync:
			if syncs++; syncs == 1 {
				return recorder.Fault{Errno: int(syscall.EIO)}
			}
		case crashstates.Write:
			switch writes++; writes {
			case 2:
				return recorder.Fault{Errno: int(syscall.ENOSPC)}
			case 3:
				return recorder.Fault{Short: 2}
			}
		case crashstates.Create:
			if e.Name == "refused" {
				return recorder.Fault{Errno: int(syscall.EMFILE)}
			}
		case crashstates.Read:
			if reads++; reads == 2 {
				return recorder.Fault{Errno: int(syscall.EIO)}
			}
		}
		return recorder.Fault{}
	}}
	got := record(t, o, func(dir string) error {
		fd, err := unix.Open(filepath.Join(dir, "file"), unix.O_CREAT|unix.O_RDWR, 0o644)
		if err != nil {
			return err
		}
		if err := unix.Fsync(fd); !errors.Is(err, unix.EIO) {
			return fmt.Errorf("the first sync should fail and gave %v", err)
		}
		if err := unix.Fsync(fd); err != nil {
			return err
		}
		for i, want := range []int{4, -1, 2, 4} {
			n, err := unix.Write(fd, []byte("data"))
			if n != want || (want < 0) != errors.Is(err, unix.ENOSPC) {
				return fmt.Errorf("write %d gave %d, %w", i, n, err)
			}
		}
		if _, err := os.Create(filepath.Join(dir, "refused")); !errors.Is(err, syscall.EMFILE) {
			return fmt.Errorf("create should fail and gave %v", err)
		}
		b := make([]byte, 4)
		for i, want := range []int{4, -1, 4} {
			n, err := unix.Pread(fd, b, 0)
			if n != want || (want < 0) != errors.Is(err, unix.EIO) || string(b) != "data" {
				return fmt.Errorf("read %d gave %d, %q, %w", i, n, b, err)
			}
		}
		return nil
	})
	if got == nil {
		return
	}
	assert.Equal(t, []string{"create file", "fsync file, which fails", "fsync file",
		"write file at 0, 4 bytes", "write file at 4, 4 bytes: no space left on device",
		"write file at 4, 4 bytes: not all of it", "write file at 4, 2 bytes", "write file at 6, 4 bytes",
		"create refused: too many open files", "read file, 4 bytes: input/output error"}, described(got))
}

// TestOneChildSeveralRecords: each record is of its own folder.
func TestOneChildSeveralRecords(t *testing.T) {
	site := proc.At(t, "recorded again")
	if site.Child() {
		site.Serve(func(l *proc.Link) error {
			return proc.Serve(l, func(dir string) (any, error) {
				if dir == "" {
					return recorder.Enter(false, 3, 4)
				}
				return nil, os.WriteFile(filepath.Join(dir, filepath.Base(dir)), []byte("content"), 0o644)
			})
		})
		return
	}
	p, err := site.Start(nil, proc.Options{})
	require.NoError(t, err)
	var fd int
	if err := p.Ask(t.Context(), "", &fd); err != nil {
		p.Kill()
		t.Skip(err)
	}
	in := t.TempDir()
	var r *recorder.Recorder
	for n, name := range []string{"a", "b", "c"} {
		dir := filepath.Join(in, name)
		require.NoError(t, os.Mkdir(dir, 0o755))
		if n == 0 {
			r, err = recorder.Start(p.Pid(), fd, dir, recorder.Options{})
			require.NoError(t, err)
		} else {
			require.NoError(t, r.Again(dir, recorder.Options{}))
		}
		require.NoError(t, p.Ask(t.Context(), dir, nil))
		got, err := r.Stop()
		require.NoError(t, err)
		assert.Equal(t, []string{"create " + name, "write " + name + " at 0, 7 bytes"}, described(got))
	}
	require.NoError(t, p.Close())
	_, err = r.Wait()
	require.NoError(t, err)
}

func TestSharedMappingIsNoted(t *testing.T) {
	got := record(t, recorder.Options{}, func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, "before"), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		m, err := unix.Mmap(int(f.Fd()), 0, 4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		m[0] = 'W'
		return errors.Join(unix.Munmap(m), f.Close())
	})
	if got == nil {
		return
	}
	assert.Equal(t, []string{"writes through a mapping of before are not recorded"}, described(got))
}

func TestSyncsThatDoNothing(t *testing.T) {
	site := proc.At(t, "careless")
	if site.Child() {
		site.Serve(func(l *proc.Link) error {
			return proc.Serve(l, func(json.RawMessage) (any, error) {
				if err := recorder.WithoutSyncs(); err != nil {
					return nil, err
				}
				return unix.Fsync(-1) == nil, nil // which would be EBADF
			})
		})
		return
	}
	p, err := site.Start(nil, proc.Options{})
	require.NoError(t, err)
	var nothing bool
	assert.NoError(t, p.Ask(t.Context(), nil, &nothing))
	assert.True(t, nothing)
	assert.NoError(t, p.Close())
}

// TestSignalsDoNotSpoilOpens: the Go runtime interrupts its own threads with signals, also the one that
// answers an open with a descriptor.
func TestSignalsDoNotSpoilOpens(t *testing.T) {
	const opens = 2000
	ended := make(chan struct{})
	var signals sync.WaitGroup
	defer signals.Wait()
	defer close(ended)
	signals.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				tasks, _ := os.ReadDir("/proc/self/task")
				for _, task := range tasks {
					if id, err := strconv.Atoi(task.Name()); err == nil {
						_ = unix.Tgkill(os.Getpid(), id, unix.SIGURG)
					}
				}
			}
		}
	})
	record(t, recorder.Options{}, func(dir string) error {
		for i := range opens {
			f, err := os.Create(filepath.Join(dir, "file"))
			if err != nil {
				return err
			}
			if fd := f.Fd(); fd < 3 {
				return fmt.Errorf("open %d of %d: the descriptor is %d", i, opens, fd)
			}
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}
