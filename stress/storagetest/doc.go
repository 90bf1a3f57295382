// Package storagetest tests a log, a key-value store or a file that is replaced under
// power cuts. SIGKILL does not show what a power cut loses, because the kernel still has
// what was written. Here nothing is certain to survive that was not synced.
//
//	func TestMyLog(t *testing.T) {
//		storagetest.TestLog(t, func(dir string) (storagetest.Log, error) {
//			return mylog.Open(dir)
//		}, storagetest.Options{})
//	}
//
// # How it works
//
// Small programs are drawn from a seed. They have a few operations, on one goroutine or
// several, sometimes with a Close and an Open in between. Each runs in a child process
// whose system calls on files are recorded. From the record come the states that the disk
// may be in if the power fails after any of these calls: what was not synced is there
// completely, in part, or not at all, in any order that the file system allows. Every state
// that differs from all others is opened in another process, read, closed, opened and read
// again, used, closed, and opened once more.
//
// Whenever the power fails, this must hold:
//
//   - It opens, does not panic, and does not hang.
//   - What was confirmed is there. An operation confirms what it did by returning nil.
//     Records are there once, in their order; keys have the last value that was
//     confirmed; what was deleted stays deleted.
//   - What was called and not confirmed may be there or not, but never in part.
//   - There is nothing that nobody wrote.
//   - After it is opened again, it holds the same, and keeps what is written then.
//
// Some states are opened while the power is cut once more. In some programs a call fails: a
// write, for want of room or in part, a sync that succeeds the next time, a read. The operation may
// fail then, the process may end, and what was left may not open for as long. In some the clock is an
// hour back when what was left is opened. What must hold stays the same.
//
// A failure is shrunk to few operations and printed as a table of the calls and what became of
// each. It is saved in the folder out/powercut, or that of STRESS_OUT. STRESS_CUT=folder
// repeats it.
//
// # File systems
//
// A model of a file system defines which states it may leave: [Ext4], [Ext4Ordered], [XFS],
// and [POSIX], which promises only what the standard does. By default, all four are tried
// on a store that was opened and closed once before, long ago. A store that begins in an
// empty folder is tried on the first three only, and only from the end of its first Open,
// because many stores leave the first files to whoever installs them. [Options.FromNothing]
// removes these two exceptions.
//
// # Requirements
//
// Linux 5.19 or later, on amd64 or arm64, without special rights. Elsewhere the tests are
// skipped and say so. Writes through a shared mapping are not seen: the report names the
// files concerned, and says nothing about their contents. A clock is put back on amd64 only.
package storagetest
