package storagetest

// Log keeps records in the order in which they were appended. Append may be called
// concurrently. A record that is confirmed before another call begins comes before the
// record of that call.
type Log interface {
	// Append adds a record. If it returns nil, the record is durable. If it returns an
	// error, the record may or may not be there.
	Append(record []byte) error
	// Records returns all records, in order.
	Records() ([][]byte, error)
	Close() error
}

// Store maps keys to values. Its methods may be called concurrently.
type Store interface {
	// Put sets the value of a key. If it returns nil, that is durable. If it returns an
	// error, the value may or may not have been set.
	Put(key string, value []byte) error
	// Delete removes a key, which need not exist. It is as durable as Put.
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

// Syncer is a Store whose changes are durable only once Sync has returned nil.
type Syncer interface {
	Store
	Sync() error
}

// Keyer is a Store that lists its keys. It must not list a key that was never put.
type Keyer interface {
	Store
	Keys() ([]string, error)
}

// File is one value that is replaced as a whole.
type File interface {
	// Save replaces the content. If it returns nil, that is durable. If it returns an
	// error, the content may or may not have been replaced.
	Save(content []byte) error
	// Load returns the content, or nil before the first Save.
	Load() ([]byte, error)
	Close() error
}

// FileSystem is a model of what a file system leaves after a power cut.
type FileSystem string

// The models: see the package comment of tensile/stress/internal/crashstates.
const (
	// Ext4 is ext4 with its defaults, which include delayed allocation.
	Ext4 FileSystem = "ext4"
	// Ext4Ordered is ext4 with data=ordered and without delayed allocation.
	Ext4Ordered FileSystem = "ext4-ordered"
	// XFS is xfs.
	XFS FileSystem = "xfs"
	// POSIX is any file system that promises only what the standard does: names are
	// durable once their folder was synced, and nothing is ordered.
	POSIX FileSystem = "posix"
)
