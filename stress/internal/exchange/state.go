package exchange

import "encoding/binary"

// Size is the length of a request and of its reply, in bytes.
const Size = 64

// Frame is a request or a reply: eight words. The words of a request are the
// number of its connection, its own number on it, from 1, and six that follow
// from those. A reply has the first five inverted, and then what the state of
// the connection says: number of the connection, requests answered, and a digest
// of the last two requests.
type Frame [Size]byte

const words = Size / 8

func (f *Frame) word(i int) uint64       { return binary.LittleEndian.Uint64(f[8*i:]) }
func (f *Frame) setWord(i int, x uint64) { binary.LittleEndian.PutUint64(f[8*i:], x) }

// Request fills f with request number n of a connection.
func (f *Frame) Request(connection, n uint64) {
	f.setWord(0, connection)
	f.setWord(1, n)
	for i := 2; i < words; i++ {
		f.setWord(i, filling(connection, n, i))
	}
}

// filling mixes its arguments (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", 2014: the finalizer of SplitMix64).
func filling(connection, n uint64, i int) uint64 {
	x := connection<<32 + n<<3 + uint64(i)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// digest is that of a request and the one before it.
func digest(last, now *Frame) uint64 {
	sum := uint64(0xcbf29ce484222325)
	for _, f := range []*Frame{last, now} {
		for i := range words {
			sum = (sum ^ f.word(i)) * 0x100000001b3 // FNV-1a, by words
		}
	}
	return sum
}

// State is what a server keeps of one connection: 80 bytes that every reply
// depends on. The zero value is that of a new connection. It is not safe for
// concurrent use.
type State struct {
	connection uint64
	answered   uint64
	last       Frame
}

// Answer turns the request in f into its reply.
func (s *State) Answer(f *Frame) {
	if s.answered == 0 {
		s.connection = f.word(0)
	}
	s.answered++
	sum := digest(&s.last, f)
	s.last = *f
	for i := range 5 {
		f.setWord(i, ^f.word(i))
	}
	f.setWord(5, s.connection)
	f.setWord(6, s.answered)
	f.setWord(7, sum)
}

// Verdict is what a reply is to a request.
type Verdict int

// The verdicts, from good to bad.
const (
	Right      Verdict = iota
	Duplicated         // the reply to an earlier request of the connection
	Misrouted          // the reply to a request of another connection
	Stale              // the right request, answered from another state than that after it
	Corrupted          // no reply to anything
)

// Check says what a reply is to request number n of a connection.
func Check(reply *Frame, connection, n uint64) Verdict {
	c, m := ^reply.word(0), ^reply.word(1)
	for i := 2; i < 5; i++ {
		if ^reply.word(i) != filling(c, m, i) {
			return Corrupted
		}
	}
	switch {
	case c != connection:
		return Misrouted
	case m > n || m == 0:
		return Corrupted // that was not asked yet
	case m < n:
		return Duplicated
	}
	var last, now Frame
	if n > 1 {
		last.Request(connection, n-1)
	}
	now.Request(connection, n)
	if reply.word(5) != connection || reply.word(6) != n || reply.word(7) != digest(&last, &now) {
		return Stale
	}
	return Right
}

// Source is what a reply says of where it comes from: the request that it
// answers, and the state it was answered from.
func Source(reply *Frame) (connection, n, state, answered uint64) {
	return ^reply.word(0), ^reply.word(1), reply.word(5), reply.word(6)
}
