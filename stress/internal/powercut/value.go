package powercut

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Value is what operation number n writes: no two write the same, and what is
// whole can be told from what is not. It has size bytes, or a few more if that is
// very little.
func Value(n, size int) []byte {
	head := fmt.Sprintf("<%d:%d>", n, size)
	if size <= len(head)+2 {
		return []byte(head + "/>")
	}
	v := append(make([]byte, 0, size+16), head...)
	random := rand.NewPCG(uint64(n), uint64(size))
	for len(v) < size-2 {
		v = strconv.AppendUint(v, random.Uint64()|1<<63, 16)
	}
	return append(v[:size-2], "/>"...)
}

// ReadValue says whose value some bytes are: a number, or -1 and what is wrong with
// them.
func ReadValue(b []byte) (n int, wrong string) {
	var size int
	if _, err := fmt.Sscanf(string(b[:min(len(b), 40)]), "<%d:%d>", &n, &size); err == nil && size < 1<<24 {
		whole := Value(n, size)
		if bytes.Equal(b, whole) {
			return n, ""
		}
		if len(b) == len(whole) {
			return -1, fmt.Sprintf("what operation %d wrote with other bytes in it", n)
		}
		return -1, fmt.Sprintf("%d of the %d bytes that operation %d wrote, or others among them", len(b), len(whole), n)
	}
	if len(b) == 0 {
		return -1, "nothing at all"
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return -1, fmt.Sprintf("%d bytes that are all zero", len(b))
	}
	return -1, fmt.Sprintf("%d bytes that nobody wrote: %.32q", len(b), b)
}
