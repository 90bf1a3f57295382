package queue

import (
	"errors"
	"testing"
)

// FuzzRecord replays anything as a record of the log: it is taken in or refused
// with ErrFormat, and needs no more memory than it has bytes.
func FuzzRecord(f *testing.F) {
	q := newQueue(&Broker{}, "orders")
	q.last.Store(9)
	f.Add(append(appendID(appendID(appendName([]byte{recordPublish}, "orders"), 3), 0), "body"...))
	f.Add(appendID(appendID(appendName([]byte{recordDeliver}, "orders"), 3), 1))
	f.Add(appendID(appendID(appendName([]byte{recordAck}, "orders"), 3), 4))
	f.Add(appendID(appendName(appendID(appendName([]byte{recordBury}, "orders"), 3), "dead"), 1))
	f.Add(lastRecord(q))
	f.Add([]byte{})
	f.Add([]byte{recordPublish, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		state := make(replay)
		if err := state.apply(1, payload); err != nil && !errors.Is(err, ErrFormat) {
			t.Fatalf("error of another kind: %v", err)
		}
		if len(state) > 2 {
			t.Fatalf("one record names %d queues", len(state))
		}
		for name, q := range state {
			if len(name) == 0 || len(name) > MaxName {
				t.Fatalf("a name of %d bytes", len(name))
			}
			for id, m := range q.messages {
				if id == 0 || id > q.last || m.id != id || m.attempts < 0 || len(m.body) > len(payload) {
					t.Fatalf("message %d of %d: %+v", id, q.last, m)
				}
			}
		}
	})
}
