package run

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// parentStderr is the standard error of the parent if that is the go command.
// The descriptor itself is taken over where the kernel allows that: a file that
// was opened again would have a position of its own, and be written over.
func parentStderr() *os.File {
	ppid := os.Getppid()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", ppid))
	if err != nil || strings.TrimSpace(string(name)) != "go" {
		return nil
	}
	if file := descriptorOf(ppid, 2); file != nil {
		return file
	}
	path := fmt.Sprintf("/proc/%d/fd/2", ppid)
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil
	}
	return file
}

// descriptorOf duplicates a descriptor of another process; see pidfd_getfd(2).
func descriptorOf(pid, fd int) *os.File {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(process) }() // it was only looked through
	mine, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(mine), "standard error of the go command")
}

// columnsOf is the width of a terminal, or 80.
func columnsOf(terminal *os.File) int {
	size, err := unix.IoctlGetWinsize(int(terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}
