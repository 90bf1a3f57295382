// Package wal is a segmented, append-only log whose records survive the death
// of the process and of the machine once they are committed.
//
//	l, found, err := wal.Open(dir, wal.Options{}, func(segment uint64, payload []byte) error {
//		return apply(payload) // everything that was committed, in order
//	})
//	c, err := l.Append(payload, nil)
//	err = c.Wait(ctx) // nil: the record is on the disk
//
// # What it promises
//
//   - A record whose [Commit] ended without an error is on stable storage, and
//     the next Open replays it; records are replayed in the order in which they
//     were appended. One whose Commit failed, or was never waited for, may be
//     replayed or not.
//   - All who wait share one fdatasync (group commit): while one is under way
//     records gather for the next.
//   - After a failed write or fdatasync nothing is confirmed any more: every
//     Append and every Commit under way returns [ErrFailed] until the log is
//     opened again. A second fdatasync that succeeds proves nothing, as the
//     kernel may have dropped the pages by then (PostgreSQL's "fsyncgate",
//     2018). For the same reason Open does not trust what it reads back from
//     the last segment: it writes it anew.
//   - Records that were being written when the process died or the power failed
//     are dropped, and listed in [Recovery.Torn]. What is damaged elsewhere, or can
//     not be read, is listed in [Recovery.Damage] with file and offset, and
//     everything that is still readable around it is replayed. A last segment that
//     is damaged is kept, and listed in [Recovery.Kept] until you remove it: that
//     tells of damage which an Open found that died before it could say so.
//   - [Log.Trim] removes nothing before everything that was appended until then is
//     on stable storage, and removes the oldest first. So what replaces a record
//     may be appended, and the record be forgotten, in one step.
//   - Append never waits. Callers who may have much under way wait in [Log.Room],
//     with a context, also where the disk does not answer at all.
//   - Where the disk is full nothing fails. Append returns [ErrNoSpace] until there
//     is room for a segment; [Log.AppendReserved] gets into a quarter of a segment
//     that is kept for what leads to room. Open needs no room that the log does not
//     have already. Only where more was under way at that moment than the reserve
//     takes does the log fail, and is to be opened again.
//   - A second process that opens the same folder gets [ErrLocked].
//
// # What it needs
//
// A file system on which fdatasync makes the content and size of a file durable,
// and fsync of a folder what was created, renamed and removed in that folder. Open
// syncs every folder that it makes, each before the next is made in it.
//
// No write is assumed to be atomic: a power failure may leave anything in the pages
// of 4 KiB that were being written to, torn or smashed, whatever was in them
// before. Pages that were synced and are not being written to must stay as they
// are.
//
// # Pages
//
// Therefore a group begins at the beginning of a page, and is filled up to a whole
// one with a record of its own: what was confirmed never shares a page with what
// is being written. A record that waits for its own fdatasync takes a page of the
// log; the disk would write that page anyway.
//
// # Room
//
// A log takes two segments at least: the one written to, and a spare file of the
// same size in which the next Open begins its segment. Close removes the spare one,
// unless the disk is full.
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
//	24  uint64 number from which on this segment replaces those before, or stands
//	    for those that were never made; 0 for none
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
// A group is what was written and synced together. It is begun only when the
// one before is on the disk; so where the last segment has a hole in its last
// group, that was never confirmed, and where it has one before, that was. This
// holds for a group that ends with the seal too.
//
// As both checks depend on the position, a record is valid only where it was
// written: neither a block that the disk put elsewhere nor a message that holds
// a copy of a log is taken for a record when the reader looks for the next one
// behind damage. CRC32C is that of RFC 3720, appendix B.4.
//
// The seal is the last record of a segment that was completed or closed; a
// segment that has a successor and no seal has lost its end.
package wal
