package session

import (
	"bytes"
	"math/bits"
	"sync"
)

// partition is what this node holds of a part of the keys, and its right to
// speak for it.
type partition struct {
	mu sync.Mutex
	// epoch is that of the view the partition is in. Nothing is answered in
	// any other: so a majority that has moved on is the end of an epoch.
	epoch uint64
	rank  int   // place among the replicas in this view; -1 for none
	votes bool  // this node is a replica and knows what it must to answer
	voted bool  // so it was in the epoch before
	heard uint8 // replicas of the epoch before whose state was taken over, by rank
	// barred says that this node has sworn not to vote before the next epoch.
	barred bool

	records map[string]record
	damaged map[string]bool // keys whose record is not as it was written
	// digest is the same in two replicas if they hold the same versions of the
	// same keys, and only then, but for one case in 2^64: the sum of imprints. It
	// leaves out what all replicas are known to hold, since they are about to
	// forget it.
	digest uint64
	// floor is the highest counter in the version of a record that was forgotten.
	// What is written to a key of which nothing is left gets a higher one: so
	// versions rise across that, too.
	floor uint64
	// mark is the number of the latest round of forgetting, in this epoch, of which
	// this replica has taken part; seen is the highest that a peer was found at.
	mark, seen uint64
	// fence is the token that a record of a key of which nothing is left must have
	// been fetched with at the least. It may be older than what was forgotten
	// otherwise.
	fence token
}

// everyone is the set of all ranks.
const everyone = 1<<replicas - 1

// enter moves the partition on to a view that follows the one it was in; where
// views were missed, follows is false. rank is the node's own in it.
//
// In the very first epoch there is nothing to know, and every replica votes.
// Later on a replica votes if it did in the epoch before, and otherwise only
// once it has taken over the state of a majority of the replicas that did. A
// partition that is founded, since what it held is lost, begins as in the first.
func (p *partition) enter(epoch uint64, follows bool, rank int, founded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.voted = follows && p.votes
	p.votes = rank >= 0 && (p.voted || epoch == 1)
	p.epoch, p.rank, p.heard, p.barred = epoch, rank, 0, false
	p.mark, p.seen = 0, 0
	if founded {
		p.refound()
	}
	if rank >= 0 && !p.votes {
		// What may have been here since an earlier epoch can be older than
		// tombstones that were forgotten meanwhile.
		p.clear()
	}
	for key, r := range p.records {
		if r.known != 0 {
			r.known = 0
			p.records[key] = r
			p.digest += imprint(key, r.version)
		}
	}
}

// versionsPerEpoch is more than the versions that are given in an epoch.
const versionsPerEpoch = 1 << 32

// refound has the partition begin anew. Versions rise even so: what was lost had
// lower ones. The lock is held.
func (p *partition) refound() {
	p.floor = max(p.floor, p.epoch*versionsPerEpoch)
	for _, r := range p.records {
		p.floor = max(p.floor, r.version.Counter)
	}
	p.clear()
	p.raise(token{p.epoch, 0}) // nothing that was fetched before is stored here
	p.voted, p.votes = false, p.rank >= 0
}

// forgetAll has the partition be as in a node that was just started.
func (p *partition) forgetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.votes, p.voted = false, false
	p.clear()
}

// testify tells whether the partition votes, whether it did in the epoch before,
// and whether it will not do so any more in this one. It will not where that is
// asked and it does not now, or is to surrender its vote.
func (p *partition) testify(bar, surrender bool) (votes, voted, barred bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bar && p.rank >= 0 && (surrender || !p.votes) {
		p.votes, p.barred = false, true
	}
	return p.votes, p.voted, p.barred
}

// lacks tells whether the partition is this node's in the epoch, and it has not
// caught up.
func (p *partition) lacks(epoch uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch == epoch && p.rank >= 0 && !p.votes
}

func (p *partition) clear() { p.records, p.damaged, p.digest = nil, nil, 0 }

// imprint stands for a version of a key in a digest.
func imprint[T string | []byte](key T, v Version) uint64 {
	return mix(hash(key) ^ mix(v.Counter^bits.RotateLeft64(v.Writer, 32)))
}

// put keeps a record if it is newer than what is there, and its value as a copy.
// from is the token that the record was fetched with.
func (p *partition) put(key []byte, r record, from token, now moment) (status byte) {
	have, ok := p.records[string(key)]
	switch {
	case !ok && from.before(p.fence):
		return statusStale
	case ok && !intact(key, &have):
		p.damage(string(key))
		return statusDamaged
	case ok && have.version.Compare(r.version) >= 0:
		return statusDone
	case ok:
		p.drop(string(key), have)
	}
	if p.records == nil {
		p.records = make(map[string]record)
	}
	r.value = bytes.Clone(r.value)
	r.known, r.due = 0, r.dueFrom(now)
	p.records[string(key)] = r
	p.digest += imprint(key, r.version)
	return statusDone
}

// drop takes a record out.
func (p *partition) drop(key string, r record) {
	delete(p.records, key)
	if r.known != everyone {
		p.digest -= imprint(key, r.version)
	}
}

// Kinds of operations on a replica.
const (
	opVersion byte = iota + 1 // what version is there
	opRead                    // what record is there
	opStore                   // keep a record unless there is a newer one
)

// Outcomes of operations.
const (
	statusDone    byte = iota + 1
	statusRefused      // the replica is in another epoch, or does not vote
	statusBusy         // the reply would be too long
	statusStale        // the record may be older than what was forgotten
	statusDamaged      // the replica's own record is damaged
)

// answer is what a replica says to an operation.
type answer struct {
	status byte
	epoch  uint64 // of the replica
	found  record
	mark   uint64 // of the replica, in the epoch
	fence  uint64 // of the replica, if it is of the epoch
}

// perform carries out an operation on this replica. from is the token of a
// record to be stored.
func (p *partition) perform(kind byte, epoch uint64, key []byte, r record, from token, now moment) answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch || !p.votes {
		return answer{status: statusRefused, epoch: p.epoch}
	}
	if kind == opStore {
		return answer{status: p.put(key, r, from, now), epoch: epoch}
	}
	a := answer{status: statusDone, epoch: epoch, mark: p.mark}
	if p.fence.epoch == epoch {
		a.fence = p.fence.number
	}
	found, ok := p.records[string(key)]
	switch {
	case ok && !intact(key, &found):
		p.damage(string(key))
		return answer{status: statusDamaged, epoch: epoch}
	case !ok && kind == opVersion:
		found.version.Counter = p.floor
	}
	a.found = found
	return a
}

// release drops what belongs to others by now.
func (p *partition) release(epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch == epoch && p.rank < 0 && len(p.records) > 0 {
		p.clear()
	}
}

// hear counts a replica of the view before whose records have been taken over;
// with a majority of them the partition votes.
func (p *partition) hear(before *view, name string, part int) {
	if before == nil {
		return
	}
	if rank := before.rankOf(part, name); rank >= 0 {
		p.heard |= 1 << rank
	}
	p.votes = bits.OnesCount8(p.heard) >= majority && !p.barred
}
