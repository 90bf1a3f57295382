package session

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// idle is a store that votes in its first view, and has no goroutine.
func idle(t testing.TB) *Store {
	s, err := New(Config{Name: "a", Nodes: []string{"a", "b", "c"}})
	require.NoError(t, err)
	s.net = silent{}
	s.adopt(chain{{epoch: 1, members: []member{{"a", s.instance}, {"b", 2}, {"c", 3}}}}, ballot{})
	return s
}

// silent is a network on which nobody is heard.
type silent struct{}

func (silent) Alive(string) bool                               { return false }
func (silent) Go(_ string, _ []byte, done func([]byte, error)) { done(nil, errLost) }

func sealed(key string, r record) []byte { return sealRecord(key, &r) }

// requests is one good request of each kind.
func requests(t testing.TB) [][]byte {
	stored := sealed("key", record{version: Version{1, 2}, expires: 3, value: []byte("value")})
	operations := []byte{msgOperations, opVersion, 1}
	operations = appendKey(operations, "key")
	operations = append(appendToken(append(operations, opStore, 1), token{1, 0}), stored...)
	operations = appendKey(append(operations, opRead, 1), "key")
	sync := binary.AppendUvarint([]byte{msgSync}, 1)
	sync = binary.LittleEndian.AppendUint64(binary.AppendUvarint(sync, uint64(partitionOf("key"))), 1)
	sync = appendKey(sync, "")
	other, lost := idle(t), parts{3: 5}
	other.suspects = []string{"c"}
	views := chain{{epoch: 2, after: 1, founded: lost, members: []member{{"a", 1}, {"b", 2}, {"c", 3}}}}
	step := func(kind byte) []byte {
		b := binary.AppendUvarint([]byte{kind, 1}, uint64(partitionOf("key")))
		return appendVersion(appendKey(append(b, 1, 1), "key"), Version{1, 2})
	}
	b := ballot{3, 4}
	found := binary.LittleEndian.AppendUint64(appendBallot([]byte{msgFound, 1}, b), other.list)
	accept := appendBallot(binary.AppendUvarint([]byte{msgAccept}, 1), b)
	return [][]byte{
		operations, sync, step(msgHold), step(msgMark), step(msgForget),
		other.appendReport([]byte{msgBeat}),
		appendChain(appendBallot([]byte{msgTell}, b), views),
		appendBallot(binary.AppendUvarint([]byte{msgPromise}, 1), b),
		appendContent(accept, views[0]),
		appendParts(appendParts(found, lost), lost),
		append(appendKey([]byte{msgRelay, 1}, "c"), sync...),
		{msgRelayed, 1, 0},
		appendParts(appendParts(binary.LittleEndian.AppendUint64([]byte{msgWitness, 1}, other.list), lost), lost),
	}
}

func TestEveryRequestIsAnswered(t *testing.T) {
	for _, request := range requests(t) {
		s := idle(t)
		_, err := s.Handle("b", request)
		assert.NoError(t, err, "kind %d", request[0])
		batched := slices.Contains([]byte{
			msgOperations, msgSync, msgHold, msgMark, msgForget, msgRelay, msgRelayed,
		}, request[0])
		for n := range request {
			// Cut short or with more behind it, it is garbled; but a batch may end
			// after any of its parts.
			reply, err := idle(t).Handle("b", request[:n])
			if !batched {
				assert.ErrorIs(t, err, errGarbled, "kind %d, %d bytes, reply %q", request[0], n, reply)
			}
		}
		if !batched {
			_, err = s.Handle("b", append(request, 0))
			assert.ErrorIs(t, err, errGarbled, "kind %d", request[0])
		}
	}
}

func TestRecordOnTheWire(t *testing.T) {
	for _, r := range []record{
		{version: Version{1, 1}},
		{version: Version{1 << 63, 1}, expires: 1 << 62, value: []byte("v")},
		{version: Version{1, 1 << 63}, expires: 5, deleted: true},
		{version: Version{1, 1}, value: bytes.Repeat([]byte{7}, MaxValue)},
	} {
		wire := sealed("key", r)
		assert.LessOrEqual(t, len(wire), len("key")+len(r.value)+recordOverhead)
		d := &decoder{rest: wire}
		key, got := d.record()
		require.NoError(t, d.end())
		assert.Equal(t, "key", string(key))
		assert.True(t, intact("key", &got))
		assert.False(t, intact("kez", &got))
		assert.Equal(t, wire, appendRecord(nil, "key", &got))
		for i := range wire[:min(len(wire), 100)] {
			damaged := bytes.Clone(wire)
			damaged[i] ^= 0x10
			d := &decoder{rest: damaged}
			if d.record(); d.end() == nil {
				t.Errorf("byte %d was changed, and nobody noticed", i)
			}
		}
	}
}

// FuzzHandle sends anything to a store. It must neither panic nor answer with
// more than MaxMessage, and what it takes must read as it was written.
func FuzzHandle(f *testing.F) {
	for _, request := range requests(f) {
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		if len(request) > MaxMessage {
			return
		}
		s := idle(t)
		reply, err := s.Handle("b", request)
		if err != nil {
			assert.ErrorIs(t, err, errGarbled)
		}
		assert.LessOrEqual(t, len(reply), MaxMessage)
		for i := range s.parts {
			for key, r := range s.parts[i].records {
				assert.Equal(t, i, partitionOf(key))
				assert.True(t, intact(key, &r))
			}
		}
	})
}

// FuzzReplies answers a store with anything.
func FuzzReplies(f *testing.F) {
	for _, request := range requests(f) {
		s := idle(f)
		reply, err := s.Handle("b", request)
		require.NoError(f, err)
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		s := idle(t)
		c := &call{done: make(chan struct{})}
		s.answered(s.peer("b"), []waiter{{c, opVersion, 0}, {c, opStore, 0}, {c, opRead, 0}}, reply, nil)
		oks, over := c.outcome()
		assert.True(t, over, "every operation has its answer, or has none: %d", oks)

		st := s.state.Load()
		about := pending{part: partitionOf("key")}
		s.parts[about.part].ask(nil, &about)
		s.parts[about.part].take(&decoder{rest: reply}, st, "b", &about, s.moment())
		for key, r := range s.parts[about.part].records {
			assert.True(t, intact(key, &r))
		}
		for _, read := range []func(*decoder){
			func(d *decoder) { d.standing(); d.opinion(); d.rumours(); d.chain() },
			func(d *decoder) { d.ballot(); d.content() },
			func(d *decoder) { d.testimony() },
		} {
			d := &decoder{rest: reply}
			read(d)
			if d.end() == nil {
				assert.Empty(t, d.rest)
			}
		}
	})
}
