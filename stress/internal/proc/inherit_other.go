//go:build !unix

package proc

// keepFromChildren has nothing to do here: only what is handed on is inherited.
func keepFromChildren(...int) {}
