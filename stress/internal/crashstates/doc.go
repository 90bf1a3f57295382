// Package crashstates computes what a power cut may leave of the files under a
// folder. From a [Record] of what a program did to them, call by call, it builds the
// states that a file system may be in if the power fails after any of these calls.
//
// # What may be lost
//
// Each call has effects: names in folders, the content of a file, its size. An
// effect is durable once the right sync has returned. Other effects may or may not be
// on the disk, and a [Model] says which of them depend on each other. A [Space] is what
// one model leaves open at one cut: a list of choices, each with a number of values, of
// which 0 is always "as the program saw it". Any vector of values is a [State]. Vectors
// that lead to the same disk give states with the same hash.
//
// # The models
//
//   - [POSIX] is what the standard promises, and what ALICE (Pillai et al., "All
//     File Systems Are Not Created Equal", OSDI 2014) assumes by default. A sync
//     of a file writes its content and size to the disk, but not its name; a sync of
//     a folder writes the names in it. There are no other dependencies. A file may
//     have its size before its content, and then reads as zeros. A rename within a
//     folder is one step; across folders it is two.
//   - ext4-ordered is ext4 with data=ordered and without delayed allocation.
//     Names, truncations and sizes reach the disk in order, through one journal.
//     Every sync of a file with a change in the journal writes all of it. When a file
//     grows, its content is there before its size. Writes that overwrite content, or
//     fill up the last block, are not ordered at all.
//   - ext4 has its defaults: content that makes a file longer gets its blocks
//     later, so a file may be short or empty long after its name is there, unless it
//     was renamed over another (auto_da_alloc).
//   - xfs is like ext4, but a rename waits for no content, and a file that grows
//     within its last block does not have the size before the content.
//
// A sector (512 bytes) is written as a whole or not at all. A longer write may be
// torn at any multiple of 512 or 4,096.
//
// The models are simplifications, made by reading the papers and the kernel's
// documentation. They are not the file systems themselves: content that reaches the disk
// without any sync, for example, is distinguished only by call and page. B3 (CrashMonkey,
// Mohan et al., OSDI 2018), which cuts real file systems at their syncs, bounds programs
// as callers of this package do: short programs, few files, all cuts.
//
// Not modelled: junk in blocks that were never written, a disk that lies about its
// syncs, flipped bits. sync_file_range makes nothing durable here, because it does not
// flush the cache of the disk.
package crashstates
