// Package wal is a segmented, append-only log. Once a record is committed, it survives
// the death of the process and of the machine.
//
//	l, found, err := wal.Open(dir, wal.Options{}, func(segment uint64, payload []byte) error {
//		return apply(payload) // everything that was committed, in order
//	})
//	c, err := l.Append(payload, nil)
//	err = c.Wait(ctx) // nil: the record is on the disk
//
// # Promises
//
//   - A record whose [Commit] ended without an error is on stable storage, and the next Open
//     replays it. Records are replayed in the order in which they were appended. A record
//     whose Commit failed, or was never waited for, may or may not be replayed.
//   - All callers that wait share one fdatasync (group commit): while one is in progress,
//     records gather for the next.
//   - After a failed write or fdatasync, nothing is confirmed any more: every Append, and
//     every Commit in progress, returns [ErrFailed] until the log is opened again. A second
//     fdatasync that succeeds proves nothing, because the kernel may have dropped the pages by
//     then (PostgreSQL's "fsyncgate", 2018). For the same reason, Open does not trust what it
//     reads from the last segment, and writes it again.
//   - Records that were being written when the process died or the power failed are dropped,
//     and listed in [Recovery.Torn]. Other parts that are damaged or cannot be read are listed
//     in [Recovery.Damage] with file and offset, and everything that is still readable around
//     them is replayed. A last segment that is damaged is kept, and listed in [Recovery.Kept]
//     until you remove it. That reports damage found by an Open that died before it could
//     report it.
//   - [Log.Trim] removes nothing until everything that was appended before it is on stable
//     storage, and removes the oldest segment first. A record can therefore be replaced by
//     appending its replacement and forgetting the record in one step.
//   - Append never waits. A caller that may have many records in progress waits in [Log.Room],
//     with a context, even if the disk does not respond at all.
//   - On a full disk nothing fails. Append returns [ErrNoSpace] until there is room for a
//     segment. [Log.AppendReserved] writes to a quarter of a segment that is reserved for
//     records that lead to room. Open needs no room beyond what the log already has. The log
//     fails, and must be opened again, only if more was in progress at that moment than the
//     reserve holds.
//   - A second process that opens the same folder gets [ErrLocked].
//
// # Requirements
//
// The file system must make the content and size of a file durable on fdatasync, and what was
// created, renamed and removed in a folder on fsync of that folder. Open syncs every folder that
// it creates before it creates the next one inside it.
//
// No write is assumed to be atomic. A power failure may leave anything in the 4 KiB pages that
// were being written, whatever was in them before. Pages that were synced and are not being
// written must stay as they are.
//
// # Pages
//
// A group therefore begins at the beginning of a page, and a record of its own pads it to a whole
// page: confirmed records never share a page with records that are being written. A record that
// waits for its own fdatasync takes a page of the log; the disk would write that page anyway.
//
// # Room
//
// A log takes at least two segments: the one being written, and a spare file of the same size in
// which the next Open begins its segment. Close removes the spare file, unless the disk is full.
//
// # Format, version 1
//
// A segment is a file named by its number in sixteen hexadecimal digits and
// ".wal". All numbers are little endian. It begins with a header of 64 bytes:
//
//	 0  magic "tnslwal" and a zero byte
//	 8  uint32 version
//	12  uint32 CRC32C of the other 60 bytes
//	16  uint64 number of the segment
//	24  uint64 number of the first segment that this one replaces, or stands in for
//	    if it was never made; 0 for none
//	32  uint64 bytes allocated for the file
//	40  zeros
//
// Records follow, each aligned to four bytes:
//
//	 0  uint32 CRC32C of the payload, continued from the check of the header
//	 4  uint32 length of the payload
//	 8  uint32 distance back to the first record of the group
//	12  uint8 kind: 1 data, 2 seal, 3 preface, 4 padding
//	13  uint24 check of the header: CRC32C of the segment's number, the offset,
//	    and the header from the length to the kind
//	16  payload
//
// A group is what was written and synced together. It is begun only once the group before it is
// on the disk. If the last group of the last segment has a hole, that group was never confirmed; if
// an earlier group has one, that group was. The same holds for a group that ends with the seal.
//
// Both checks depend on the position, so a record is valid only where it was written. When the
// reader looks for the next record after damage, it therefore accepts neither a block that the disk
// put elsewhere nor a message that contains a copy of a log. CRC32C is that of RFC 3720, appendix
// B.4.
//
// The seal is the last record of a segment that was completed or closed. A segment that has a
// successor and no seal has lost its end.
package wal
