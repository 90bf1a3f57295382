package payload

import "encoding/binary"

// Message is an ID and its checksum: what a router passes on, and what the
// body of a broker's message holds.
type Message struct{ ID, Sum uint64 }

func NewMessage(id uint64) Message { return Message{ID: id, Sum: id*Golden + 1} }

// Intact tells whether neither part was damaged.
func (m Message) Intact() bool { return m == NewMessage(m.ID) }

// Body is the body of a broker's message.
func Body(id uint64) []byte { return AppendBody(make([]byte, 0, 16), id) }

// AppendBody appends the body of a broker's message to buf.
func AppendBody(buf []byte, id uint64) []byte {
	m := NewMessage(id)
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(buf, m.ID), m.Sum)
}

// ReadBody returns the message that a body is, and whether it is intact.
func ReadBody(body []byte) (m Message, intact bool) {
	if len(body) < 16 {
		return m, false
	}
	m = Message{ID: binary.LittleEndian.Uint64(body), Sum: binary.LittleEndian.Uint64(body[8:])}
	return m, m.Intact()
}
