package conntest

import "syscall"

// openPoller opens a descriptor by which to wait for others.
func openPoller() { _, _ = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC) }
