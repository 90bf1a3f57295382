//go:build !unix

package disk

// LimitFileSize is not supported here.
func LimitFileSize(int64) error { return ErrUnsupported }
