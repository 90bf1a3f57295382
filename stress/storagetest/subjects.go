package storagetest

// Log keeps records in the order in which they were appended. Append may be called
// concurrently; what is confirmed before another call begins comes before it.
type Log interface {
	// Append adds a record. With a nil error it is durable; with any other it may
	// be there or not.
	Append(record []byte) error
	// Records returns all records, in order.
	Records() ([][]byte, error)
	Close() error
}

// Store maps keys to values. Its methods may be called concurrently.
type Store interface {
	// Put sets the value of a key. With a nil error that is durable; with any other
	// it may have happened or not.
	Put(key string, value []byte) error
	// Delete removes a key, which need not be there. It is durable as Put is.
	Delete(key string) error
	// Get returns the value of a key, and whether it has one.
	Get(key string) (value []byte, ok bool, err error)
	Close() error
}

// Batcher is a Store that changes several keys at once or not at all.
type Batcher interface {
	Store
	PutAll(values map[string][]byte) error
}

// Syncer is a Store whose changes are durable when Sync has returned nil, and not
// before.
type Syncer interface {
	Store
	Sync() error
}

// Keyer is a Store that lists its keys: none may be there that nobody has put.
type Keyer interface {
	Store
	Keys() ([]string, error)
}

// File is one value that is replaced as a whole.
type File interface {
	// Save replaces the content. With a nil error that is durable; with any other
	// it may have happened or not.
	Save(content []byte) error
	// Load returns the content, or nil before the first Save.
	Load() ([]byte, error)
	Close() error
}

// FileSystem is a model of what a file system leaves after a power cut.
type FileSystem string

// The models: see the package comment of tensile/stress/internal/crashstates.
const (
	// Ext4 is ext4 as it comes, with delayed allocation.
	Ext4 FileSystem = "ext4"
	// Ext4Ordered is ext4 with data=ordered and without delayed allocation.
	Ext4Ordered FileSystem = "ext4-ordered"
	// XFS is xfs.
	XFS FileSystem = "xfs"
	// POSIX is any file system that keeps to the standard: names are durable when
	// their folder was synced, and nothing is ordered.
	POSIX FileSystem = "posix"
)
