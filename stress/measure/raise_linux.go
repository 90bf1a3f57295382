package measure

import "syscall"

// RaiseDescriptorLimit has this process and its children be allowed n open
// descriptors, if the system lets it, and returns how many they are, or nil
// where not known. restore puts the limit back.
func RaiseDescriptorLimit(n int) (limit *uint64, restore func()) {
	var before syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before) != nil {
		return nil, func() {}
	}
	if want := uint64(n); before.Cur < want {
		raised := syscall.Rlimit{Cur: want, Max: max(before.Max, want)}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			return &want, func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) } // lowering is always allowed
		}
	}
	return &before.Cur, func() {}
}
