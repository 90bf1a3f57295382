//go:build !linux

package measure

// RaiseDescriptorLimit returns how many open descriptors this process is
// allowed, or nil if not known; the Go runtime has raised that as far as it
// could. restore does nothing.
func RaiseDescriptorLimit(int) (limit *uint64, restore func()) {
	return descriptorLimit(), func() {}
}
