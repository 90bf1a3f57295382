package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
)

// Errors of a log, to be tested with errors.Is.
var (
	// ErrFailed says that a write or fdatasync has failed, now or earlier.
	// Whether the record concerned survives is not known; nothing is confirmed
	// until the log is opened again. The cause is wrapped too.
	ErrFailed = errors.New("wal: log failed, open it again")
	// ErrNoSpace says that there is no room for another segment. Nothing has
	// failed: what leads to room is taken, and the rest again once there is
	// room. The cause is wrapped too.
	ErrNoSpace = errors.New("wal: no room for another segment")
	// ErrClosed says that the log was closed.
	ErrClosed = errors.New("wal: log closed")
	// ErrLocked says that another process, or another Log of this one, has the
	// folder open.
	ErrLocked = errors.New("wal: log is open elsewhere")
	// ErrVersion says that a segment has a format this package does not know.
	ErrVersion = errors.New("wal: unknown format version")
	// ErrRecord says that a record is empty or longer than MaxRecord.
	ErrRecord = errors.New("wal: bad record")
	// ErrConfig is wrapped by errors about Options.
	ErrConfig = errors.New("wal: bad configuration")
)

// MaxRecord is the length of the longest payload, in bytes.
const MaxRecord = 16 << 20

// DefaultSegmentSize is used where Options.SegmentSize is 0.
const DefaultSegmentSize = 16 << 20

// MinSegmentSize is the smallest segment accepted, in bytes.
const MinSegmentSize = 16 << 10

// Options shape a log. The zero value is usable.
type Options struct {
	// SegmentSize is the number of bytes allocated for a segment, or more where
	// its preface is long. The group of records that reaches three quarters of
	// that is the last of its segment; the rest is kept for AppendReserved. 0
	// means DefaultSegmentSize.
	SegmentSize int64
	// FS is where the files are; nil means the operating system.
	FS FS
	// Preface returns payloads that every new segment begins with: what must
	// not be lost when the segments before are removed. It is called on a
	// goroutine of the log and must not wait for an Append.
	Preface func() [][]byte
}

func (o *Options) validate() error {
	if o.SegmentSize != 0 && o.SegmentSize < MinSegmentSize {
		return fmt.Errorf("%w: SegmentSize is %d, must be 0 for %d, or %d and more",
			ErrConfig, o.SegmentSize, DefaultSegmentSize, MinSegmentSize)
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.FS == nil {
		o.FS = System{}
	}
	if o.Preface == nil {
		o.Preface = func() [][]byte { return nil }
	}
	return nil
}

// makeFolders makes a folder and those above it, and has them survive a power
// failure. Each is durable before the next is made in it. So where one is there
// already, those above it are durable too, whoever has died on the way.
func makeFolders(files FS, dir string) error {
	missing := []string{dir}
	for {
		top := missing[len(missing)-1]
		if _, err := files.List(top); err == nil || top == filepath.Dir(top) {
			break
		}
		missing = append(missing, filepath.Dir(top))
	}
	for _, folder := range slices.Backward(missing) {
		if err := files.MkdirAll(folder); err != nil {
			return err
		}
		// Where the folder above may not be read, it is not we who made this one.
		if err := files.SyncDir(filepath.Dir(folder)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// FS is what a log asks of a file system. It is an interface so that tests can
// have it fail.
type FS interface {
	// MkdirAll makes a folder and those above it.
	MkdirAll(dir string) error
	// List returns the names of the files in a folder.
	List(dir string) ([]string, error)
	// Create makes an empty file, or empties the one there is.
	Create(path string) (File, error)
	// Open opens a file for reading and writing.
	Open(path string) (File, error)
	// Rename gives a file another name, in place of the file that has it.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(path string) error
	// SyncDir makes what was created, renamed and removed in a folder durable.
	SyncDir(dir string) error
	// Lock takes the exclusive lock that a file stands for until it is closed,
	// or the process ends. It returns an error that wraps ErrLocked where
	// another has it.
	Lock(path string) (io.Closer, error)
}

// File is a file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the length in bytes.
	Size() (int64, error)
	// Allocate reserves size bytes on the disk; the file reads as zeros there.
	Allocate(size int64) error
	// Datasync makes what was written durable, and the size with it.
	Datasync() error
}
