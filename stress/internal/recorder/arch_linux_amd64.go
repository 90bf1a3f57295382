package recorder

import "golang.org/x/sys/unix"

// openCall is open, where there is one.
const openCall = unix.SYS_OPEN

// onlyHere are calls that newer architectures do without.
var onlyHere = []uint32{
	unix.SYS_CREAT, unix.SYS_RENAME, unix.SYS_LINK, unix.SYS_SYMLINK, unix.SYS_UNLINK, unix.SYS_RMDIR, unix.SYS_MKDIR,
}

// modern translates such a call to the one that replaces it.
func modern(c *call) {
	const here = uint64(1<<64 + unix.AT_FDCWD)
	a := c.args
	switch c.number {
	case unix.SYS_OPEN:
		c.number, c.args = unix.SYS_OPENAT, [6]uint64{here, a[0], a[1], a[2]}
	case unix.SYS_CREAT:
		c.number, c.args = unix.SYS_OPENAT, [6]uint64{here, a[0], unix.O_CREAT | unix.O_TRUNC | unix.O_WRONLY, a[1]}
	case unix.SYS_RENAME:
		c.number, c.args = unix.SYS_RENAMEAT, [6]uint64{here, a[0], here, a[1]}
	case unix.SYS_LINK:
		c.number, c.args = unix.SYS_LINKAT, [6]uint64{here, a[0], here, a[1]}
	case unix.SYS_SYMLINK:
		c.number, c.args = unix.SYS_SYMLINKAT, [6]uint64{a[0], here, a[1]}
	case unix.SYS_UNLINK:
		c.number, c.args = unix.SYS_UNLINKAT, [6]uint64{here, a[0]}
	case unix.SYS_RMDIR:
		c.number, c.args = unix.SYS_UNLINKAT, [6]uint64{here, a[0], unix.AT_REMOVEDIR}
	case unix.SYS_MKDIR:
		c.number, c.args = unix.SYS_MKDIRAT, [6]uint64{here, a[0], a[1]}
	}
}
