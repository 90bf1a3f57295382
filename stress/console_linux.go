package stress

import (
	"fmt"
	"os"
	"strings"
)

// parentStderr opens the standard error of the parent if that is the go
// command. A plain file is left alone unless it is appended to: opened again it
// would have a position of its own, and be written over.
func parentStderr() *os.File {
	ppid := os.Getppid()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", ppid))
	if err != nil || strings.TrimSpace(string(name)) != "go" {
		return nil
	}
	path := fmt.Sprintf("/proc/%d/fd/2", ppid)
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	if info.Mode().IsRegular() && !appends(ppid) {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil
	}
	return file
}

// appends tells whether descriptor 2 of a process is in append mode, by the
// octal flags the kernel shows.
func appends(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/2", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var flags uint64
		if _, err := fmt.Sscanf(line, "flags: %o", &flags); err == nil {
			return flags&uint64(os.O_APPEND) != 0
		}
	}
	return false
}
