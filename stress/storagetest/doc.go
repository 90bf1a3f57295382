// Package storagetest takes what keeps bytes under a folder through every power
// cut: a log, a key-value store, a file that is replaced. SIGKILL does not show what
// a power cut loses, as the kernel still has what was written; here nothing
// survives that was not synced, unless it happens to.
//
//	func TestMyLog(t *testing.T) {
//		storagetest.TestLog(t, func(dir string) (storagetest.Log, error) {
//			return mylog.Open(dir)
//		}, storagetest.Options{})
//	}
//
// # What it does
//
// Small programs are drawn from a seed: a few operations, by one goroutine or by
// several, at times with a Close and an Open in between. Each runs in a child
// process whose system calls on files are recorded. From the record come the states
// that the disk may be in if the power goes after any of these calls: what was
// not synced is there, or not, or in part, in any order that the file system
// admits. Every state that differs from all others is opened in another process, read,
// closed, opened and read again, used, closed, and opened once more.
//
// What must hold, whenever the power goes:
//
//   - It opens, does not panic, and does not hang.
//   - What was confirmed is there: an operation confirms what it did by returning
//     nil. Records are there once, in their order; keys have the last value that
//     was confirmed; what was deleted stays away.
//   - What was called and not confirmed may be there or not, and never in part.
//   - Nothing is there that nobody wrote.
//   - Opened again it holds the same, and what is written then is kept.
//
// What fails is shrunk to few operations, printed as a table of calls and of what
// had become of each, and saved in the folder out/powercut, or that of
// STRESS_OUT. STRESS_CUT=folder repeats it.
//
// # File systems
//
// Which states a file system leaves is a matter of its model: [Ext4], [Ext4Ordered],
// [XFS], and [POSIX], which promises nothing that the standard does not. By default
// all four are tried on a store that was opened and closed once before, long
// ago. One that begins in an empty folder is tried on the first three alone, and once
// it is open, as many leave it to whoever installs them to see to the first files.
// [Options.FromNothing] asks for all of that too.
//
// # What it takes
//
// Linux 5.19 and later, amd64 or arm64, no special rights. Elsewhere the tests are
// skipped and say so. Writes through a shared mapping are not seen: the report
// names the files concerned, and says nothing of what is in them.
package storagetest
