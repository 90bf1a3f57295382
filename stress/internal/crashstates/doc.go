// Package crashstates knows what a power cut may leave of the files under a
// folder. It gets a [Record] of what a program did to them, call by call, and
// builds the states that a file system may be in when the power goes after any of
// these calls.
//
// # What may be lost
//
// Each call has effects: names in folders, the content of a file, its size. An
// effect is durable once the right sync has returned. The effects that are not may
// be on the disk or not, and a [Model] says which of them depend on each other. A
// [Space] is what one model leaves open at one cut: a list of choices, each with
// a number of values, of which 0 is always "as the program saw it". Any vector
// of values is a [State]; vectors that amount to the same disk give states with
// the same hash.
//
// # The models
//
//   - [POSIX] is what the standard promises, and what ALICE (Pillai et al., "All
//     File Systems Are Not Created Equal", OSDI 2014) assumes by default. A sync
//     of a file brings its content and size to the disk, and not its name; a sync
//     of a folder brings the names that are in it. Nothing else depends on
//     anything. A file may have its size before its content and then reads as
//     zeros. A rename within a folder is one step; across folders it is two.
//   - [Ext4Ordered] is ext4 with data=ordered and without delayed allocation.
//     Names, truncations and sizes get to the disk in their order, through one
//     journal that every sync of a file with a change in it brings to the disk
//     as a whole; content that makes a file longer is there before its size is.
//     What overwrites content, or fills up the last block, is not ordered at all.
//   - [Ext4] is ext4 as it comes: content that makes a file longer gets its blocks
//     later, so a file may be short or empty long after its name is there, but for
//     one that is renamed over another (auto_da_alloc).
//   - [XFS] is like Ext4, but a rename waits for no content, and a file that grows
//     within its last block does not have the size before the content.
//
// A sector (512 bytes) is written as a whole or not at all. What is longer may
// be torn at any multiple of 512 or 4,096.
//
// The models are simplifications made by reading the papers and the kernel's
// documentation, not the file systems themselves: content that reaches the disk
// without any sync, for example, is only distinguished by call and page. B3 (CrashMonkey,
// Mohan et al., OSDI 2018), which cuts real file systems at their syncs, bounds
// programs in the way that callers of this package do: short ones, few files, all
// cuts.
//
// Not modelled: junk in blocks that were never written, a disk that lies about
// its syncs, bits that flip. sync_file_range makes nothing durable here, as it
// does not empty the cache of the disk.
package crashstates
