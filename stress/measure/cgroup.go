package measure

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// system is the file system in which the kernel shows its accounts.
var system = os.DirFS("/")

// cgroupUse is what the control group of this process uses of memory, files
// included, in bytes; nil if that is not known.
func cgroupUse(root fs.FS) *int64 {
	folders, names := cgroupFolders(root)
	for _, folder := range folders { // the own one first
		if n := number(root, path.Join(folder, names.use)); n != nil {
			return n
		}
	}
	return nil
}

// cgroupLimit is the lowest limit of memory on the control group of this
// process and on those above it, in bytes; nil if there is none. "max", as
// version 2 writes for none, is no number; version 1 writes one that exceeds
// every memory.
func cgroupLimit(root fs.FS) (least *int64) {
	folders, names := cgroupFolders(root)
	for _, folder := range folders {
		if n := number(root, path.Join(folder, names.limit)); n != nil && (least == nil || *n < *least) {
			least = n
		}
	}
	return least
}

type cgroupFiles struct{ use, limit string }

// cgroupFolders returns where the memory of this process is accounted for: the
// folder of its control group, and those above it. In a container the names
// that the kernel gives may lead nowhere; then what is above them is the
// container's own. See cgroups(7).
func cgroupFolders(root fs.FS) ([]string, cgroupFiles) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil, cgroupFiles{}
	}
	mount, group, names := "", "", cgroupFiles{}
	for line := range strings.Lines(string(text)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, at, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			if controller == "memory" { // version 1; it wins where both are mounted
				mount, group = "sys/fs/cgroup/memory", at
				names = cgroupFiles{"memory.usage_in_bytes", "memory.limit_in_bytes"}
			}
		}
		if id == "0" && controllers == "" && mount == "" {
			mount, group = "sys/fs/cgroup", at
			names = cgroupFiles{"memory.current", "memory.max"}
		}
	}
	if mount == "" {
		return nil, names
	}
	var folders []string
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		folders = append(folders, path.Join(mount, at))
		if at == "/" {
			return folders, names
		}
	}
}

// number reads a file that holds one whole number.
func number(root fs.FS, name string) *int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 {
		return nil
	}
	return &n
}
