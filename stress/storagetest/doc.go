// Package storagetest tests a log, a key-value store or a file that is replaced under
// power cuts. SIGKILL does not show what a power cut loses, because the kernel still has
// what was written. After a power cut, only what was synced is certain to survive.
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
// whose system calls on files are recorded. From the record, the package builds the states
// in which the disk may be if the power fails after any of these calls. What was not synced
// is there completely, in part, or not at all, in any order that the file system allows.
// For each distinct state, another process opens the subject, reads it, closes it, opens
// and reads it again, uses it, closes it, and opens it once more.
//
// Whenever the power fails, this must hold:
//
//   - The subject opens, does not panic, and does not hang.
//   - What was confirmed is there. An operation confirms what it did by returning nil.
//     Records are there once and in order. Keys have the last value that was
//     confirmed. What was deleted stays deleted.
//   - An operation that was called and not confirmed may have taken effect or not,
//     but never in part.
//   - Nothing is there that was not written.
//   - After the subject is opened again, it holds the same, and keeps what is
//     written from then on.
//
// For some states, the power is cut again while the subject opens. In some programs, calls on files
// fail: a write has no room or is short, a sync fails and the next succeeds, or a read fails. The
// operation may then fail, the process may end, and the subject may fail to open while calls fail.
// In other programs, the clock is an hour behind when the subject opens. The promises above must
// hold all the same.
//
// A failure is shrunk to few operations, and printed as a table of the calls, with what the
// disk has of each. The failing state is saved in a folder below out/powercut, or below
// powercut in STRESS_OUT. STRESS_CUT=folder checks that state again.
//
// # File systems
//
// A model of a file system defines which states it may leave: [Ext4], [Ext4Ordered], [XFS],
// and [POSIX], which promises only what the standard promises. By default, all four are
// tried on a store that was opened and closed once before, long ago. A store that begins in
// an empty folder is tried on the first three only, and only from the end of its first
// Open, because many stores leave the first files to whoever installs them.
// [Options.FromNothing] removes these two exceptions.
//
// # Requirements
//
// Linux 5.19 or later, on amd64 or arm64, without special rights. Elsewhere the tests are
// skipped and say so. Writes through a shared mapping are not seen: the report names the
// files concerned, and says nothing about their contents. Clocks are set back on amd64 only.
package storagetest
