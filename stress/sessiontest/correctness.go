package sessiontest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// few is what a store does with a few sessions and no fault.
func (k *kit) few(ctx context.Context, _ *testing.T) {
	if !k.formed(ctx) {
		return
	}
	values := [][]byte{[]byte("v"), {}, bytes.Repeat([]byte{0, 0xff}, 2000), []byte("\x00")}
	keys := make([]string, len(values))
	for i := range values {
		keys[i] = fmt.Sprintf("few-%d-\x00-ü", i)
	}
	k.deleted = append(k.deleted, keys...)
	k.together(len(values), func(i int) bool { k.one(ctx, i, keys[i], values[i]); return true })
}

// one takes one session through its life, at node after node from the i-th on, and
// reads it at all of them after each step.
func (k *kit) one(ctx context.Context, i int, key string, value []byte) {
	everywhere := func(want []byte, when string) {
		k.together(len(k.nodes), func(at int) bool {
			n := k.nodes[at]
			r := n.get(ctx, opTime, key)
			switch {
			case r.err != nil:
				k.Fault("Get of %q at %s %s returned %v", key, n.name, when, r.err)
			case want == nil && r.outcome != opAbsent:
				k.Violate("deleted", "%q has %q at %s %s", key, r.value, n.name, when)
			case want != nil && r.outcome == opAbsent:
				k.Violate("latest", "%q is not there at %s %s", key, n.name, when)
			case want != nil && !bytes.Equal(r.value, want) &&
				!k.unheardOf(n, key, r.value, string(want), "second", string(value)):
				k.Violate("latest", "%q has an earlier value at %s %s: %d bytes, %.40q, where %d bytes, %.40q, were written",
					key, n.name, when, len(r.value), r.value, len(want), want)
			}
			return true
		})
	}
	everywhere(nil, "before anything was written")
	for step, do := range []struct {
		op   operation
		want []byte
		when string
	}{
		{operation{kind: opPut, key: key, value: value}, value, "after a write"},
		{operation{kind: opPut, key: key, value: []byte("second")}, []byte("second"), "after a second write"},
		{operation{kind: opDelete, key: key}, nil, "after it was deleted"},
		{operation{kind: opDelete, key: key}, nil, "after it was deleted twice"},
		{operation{kind: opPut, key: key, value: value}, value, "after it was written again"},
		{operation{kind: opDelete, key: key}, nil, "after it was deleted again"},
	} {
		n := k.nodes[(i+step)%len(k.nodes)]
		if r := n.do(ctx, opTime, do.op); r.outcome != opDone {
			k.Fault("without any fault an operation on %q at %s returned %v", key, n.name, r.err)
			return
		}
		everywhere(do.want, do.when)
	}
}

// unheardOf tells whether a value is none of those that were written.
func (k *kit) unheardOf(n *member, key string, value []byte, written ...string) bool {
	if slices.Contains(written, string(value)) {
		return false
	}
	k.Violate("phantom", "%q has a value at %s that nobody wrote: %.80q", key, n.name, value)
	return true
}

// bury writes sessions and deletes them.
func (k *kit) bury(ctx context.Context, prefix string, n int) bool {
	keys := keysNamed(prefix, n)
	k.deleted = append(k.deleted, keys...)
	return k.writeAll(ctx, k.nodes, keys, "buried") && k.together(n, func(i int) bool {
		r := k.eventually(ctx, k.nodes[i%len(k.nodes)], operation{kind: opDelete, key: keys[i]})
		if r.outcome != opDone {
			k.Fault("%s cannot be deleted: %v", keys[i], r.err)
		}
		return r.outcome == opDone
	})
}

// stayDeleted checks what was deleted some time ago.
func (k *kit) stayDeleted(ctx context.Context) {
	for i, key := range k.deleted {
		n := k.nodes[i%len(k.nodes)]
		if r := k.eventually(ctx, n, operation{kind: opGet, key: key}); r.outcome != opAbsent {
			k.Violate("deleted", "%q was deleted, and has come back at %s: %q %v", key, n.name, r.value, r.err)
		}
	}
}

// How long sessions live at first, and how late one may be gone: what clocks and
// nodes under load may differ by.
const (
	timeToLive  = 300 * time.Millisecond
	longestLife = 8 * timeToLive
	expiryGrace = 250 * time.Millisecond
)

// expiring is a session that is to expire, or not to.
type expiring struct {
	key          string
	expires      bool
	began, ended time.Time // of its last write
	seen         bool      // or missed, in the last third of its life
}

// expiry has sessions live and expire. One that expires early is only found out
// by a read that comes in time: where everything is too slow for that, it is tried
// with longer lives.
func (k *kit) expiry(ctx context.Context) {
	for ttl := timeToLive; !k.lifetime(ctx, ttl) && ctx.Err() == nil && !k.Failed(); ttl *= 2 {
		if ttl >= longestLife {
			k.Violate("expiry", "no read of a session with a time to live of %v came in the last third of it", ttl)
			return
		}
	}
	k.stayDeleted(ctx)
}

// lifetime writes sessions that live for a while, and sessions that do not any
// more or live on, and reads them until all must be gone. It tells whether some
// of each were read at the end of their lives.
func (k *kit) lifetime(ctx context.Context, ttl time.Duration) bool {
	const each = 8
	var all []*expiring
	for i := range 4 * each {
		kind := i % 4
		all = append(all, &expiring{key: fmt.Sprintf("expiring-%v-%d", ttl, i), expires: kind == 0 || kind == 1})
	}
	written := k.together(len(all), func(i int) bool {
		m, ttls := all[i], [][]time.Duration{{ttl}, {0, ttl}, {ttl, 0}, {0}}[i%4]
		for _, ttl := range ttls {
			m.began = time.Now()
			r := k.nodes[i%len(k.nodes)].do(ctx, opTime, operation{kind: opPut, key: m.key, value: []byte(m.key), ttl: ttl})
			if m.ended = time.Now(); r.outcome != opDone {
				k.Fault("without any fault Put with a time to live of %v returned %v", ttl, r.err)
				return false
			}
		}
		return true
	})
	if !written {
		return false
	}
	for round, over := 0, false; ctx.Err() == nil && !k.Failed() && !over; round++ {
		over = true
		for _, m := range all {
			over = over && time.Since(m.ended) > ttl+expiryGrace
		}
		k.together(len(all), func(i int) bool {
			m, n := all[i], k.nodes[(i/4+round)%len(k.nodes)]
			from := time.Now()
			r := n.get(ctx, opTime, m.key)
			to := time.Now()
			m.seen = m.seen || from.After(m.began.Add(ttl*2/3)) && to.Before(m.began.Add(ttl))
			switch {
			case r.err != nil:
				k.Fault("without any fault Get returned %v", r.err)
			case r.outcome == opAbsent && !m.expires:
				k.Violate("expiry", "%s is gone at %s, and has no time to live", m.key, n.name)
			case r.outcome == opAbsent && to.Before(m.began.Add(ttl)):
				k.Violate("expiry", "%s is gone at %s after %v, must live for %v", m.key, n.name, to.Sub(m.began), ttl)
			case r.outcome == opDone && m.expires && from.After(m.ended.Add(ttl+expiryGrace)):
				k.Violate("expiry", "%s is there at %s after %v, must live for %v", m.key, n.name, from.Sub(m.ended), ttl)
			}
			return true
		})
		time.Sleep(20 * time.Millisecond)
	}
	var seen [4]bool
	for i, m := range all {
		seen[i%4] = seen[i%4] || m.seen
	}
	return seen[0] && seen[1]
}

// together calls do for each number below n at the same time, and tells whether
// all have returned true.
func (k *kit) together(n int, do func(i int) bool) bool {
	all := true
	var mu sync.Mutex
	k.share(n, n, func(i int) bool {
		ok := do(i)
		mu.Lock()
		defer mu.Unlock()
		all = all && ok
		return true
	})
	return all
}

// cutOffTime bounds an operation that is to be refused.
const cutOffTime = 250 * time.Millisecond

// writeAll writes value to keys at nodes in turn, trying until each is
// acknowledged.
func (k *kit) writeAll(ctx context.Context, at []*member, keys []string, value string) bool {
	return k.together(len(keys), func(i int) bool {
		n := at[i%len(at)]
		r := k.eventually(ctx, n, operation{kind: opPut, key: keys[i], value: []byte(value)})
		if r.outcome != opDone {
			k.Fault("%s does not take a write within %v: %v", n.name, tries, r.err)
		}
		return r.outcome == opDone
	})
}

// keysNamed are n keys.
func keysNamed(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return keys
}

// cutOff cuts one node off from the others, whatever that means to the subject.
func (k *kit) cutOff(ctx context.Context) {
	if k.abilities().Shares {
		k.unlinked(ctx)
	} else {
		k.minority(ctx)
	}
}

// minority cuts nodes off, each in its turn, as one of them may lead the others;
// where there is little time, one.
func (k *kit) minority(ctx context.Context) {
	for i := range uint64(nodeCount) {
		if i > 0 && (k.brief() || k.Failed() || ctx.Err() != nil) {
			return
		}
		k.inMinority(ctx, k.nodes[(k.Seed+i)%nodeCount])
	}
}

// inMinority cuts one node off. It must take no write, and serve nothing that the
// others have overwritten; and what it has refused must not turn up later.
func (k *kit) inMinority(ctx context.Context, lone *member) {
	keys := keysNamed("cut-off-"+lone.name, 40)
	if !k.writeAll(ctx, k.nodes, keys, "before") || !k.bury(ctx, "buried-"+lone.name, 12) {
		return
	}
	others := k.others(lone)
	k.isolate(ctx, lone, true)
	outcomes := make([]outcome, len(keys))
	k.together(len(keys), func(i int) bool {
		r := lone.put(ctx, cutOffTime, keys[i], []byte("minority"))
		if outcomes[i] = r.outcome; r.outcome == opDone {
			k.Violate("minority", "%s acknowledged a write of %s while it was cut off from all others", lone.name, keys[i])
		}
		return true
	})
	ok := k.writeAll(ctx, others, keys, "majority")
	k.together(len(keys), func(i int) bool {
		if r := lone.get(ctx, cutOffTime, keys[i]); r.err == nil && string(r.value) == "before" {
			k.Violate("minority", "%s, cut off from all others, says that %s has what they have overwritten", lone.name, keys[i])
		}
		return true
	})
	k.must(k.heal(ctx))
	if !ok {
		return
	}
	k.together(len(keys), func(i int) bool {
		n := k.nodes[i%len(k.nodes)]
		r := k.eventually(ctx, n, operation{kind: opGet, key: keys[i]})
		switch value := string(r.value); {
		case r.err != nil:
			k.Violate("latest", "%s cannot be read at %s after a partition was healed: %v", keys[i], n.name, r.err)
		case value == "minority" && outcomes[i] == opRefused:
			k.Violate("minority", "%s has the value at %s that the minority had refused", keys[i], n.name)
		case r.outcome == opDone && k.unheardOf(n, keys[i], r.value, "before", "minority", "majority"):
		case value != "majority" && !(value == "minority" && outcomes[i] == opFailed):
			k.Violate("latest", "%s has %q at %s after a partition, where the majority had acknowledged %q",
				keys[i], value, n.name, "majority")
		}
		return true
	})
	k.stayDeleted(ctx)
	k.settle(ctx)
}

// settle waits for full replication, so that the next phase begins as this one
// did.
func (k *kit) settle(ctx context.Context) {
	if err := k.replicated(ctx, k.nodes, k.fullReplication()); err != nil && !k.Failed() {
		k.Violate("replication", "sessions are not fully replicated %v after all faults were undone: %v",
			k.fullReplication(), err)
	}
}

// amnesia takes away the memory of one node that has just acknowledged writes
// which another has not heard of, and shows those two only to each other and to
// a third: one that votes without its memory makes a majority with the one that
// has not heard, and together they know nothing.
func (k *kit) amnesia(ctx context.Context) {
	keys := keysNamed("amnesia", 64)
	at := func(i uint64) *member { return k.nodes[(k.Seed+i)%nodeCount] }
	forgets, deaf, other, witness := at(0), at(1), at(2), at(3)
	if !k.writeAll(ctx, k.nodes, keys, "first") {
		return
	}
	k.isolate(ctx, deaf, true)
	if !k.writeAll(ctx, []*member{forgets, other, witness}, keys, "second") {
		return
	}
	forgets.kill()
	// How long it takes to give up a seed that does not answer is not the matter here.
	forgets.seeds = []string{forgets.peers[witness.name], forgets.peers[other.name]}
	if !k.must(k.restart(ctx, forgets)) {
		return
	}
	k.isolate(ctx, other, true)
	k.pair(ctx, deaf, forgets, false)
	k.pair(ctx, deaf, witness, false)
	k.together(3*len(keys), func(i int) bool {
		key, n := keys[i/3], []*member{forgets, deaf, witness}[i%3]
		r := n.get(ctx, cutOffTime, key)
		if r.outcome == opDone && k.unheardOf(n, key, r.value, "first", "second") {
			return true
		}
		if r.err == nil && string(r.value) != "second" {
			k.Violate("stale", "%s was restarted without its memory, and %s says that %s has %q, where %q had been acknowledged",
				forgets.name, n.name, key, r.value, "second")
		}
		return true
	})
	k.must(k.heal(ctx))
	k.together(len(keys), func(i int) bool {
		n := k.nodes[i%len(k.nodes)]
		r := k.eventually(ctx, n, operation{kind: opGet, key: keys[i]})
		if r.outcome == opDone && k.unheardOf(n, keys[i], r.value, "first", "second") {
			return true
		}
		if string(r.value) != "second" {
			k.Violate("stale", "after a restart without memory %s has %q at %s, where %q had been acknowledged (%v)",
				keys[i], r.value, n.name, "second", r.err)
		}
		return true
	})
	k.settle(ctx)
}
