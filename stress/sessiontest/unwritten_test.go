package sessiontest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUnwritten(t *testing.T) {
	write := func(node, value, outcome string) recorded {
		return recorded{Node: node, Key: "k", Write: true, Value: value, Outcome: outcome}
	}
	read := func(node, value string) recorded {
		return recorded{Node: node, Key: "k", Value: value, Outcome: "done"}
	}
	assert.Empty(t, unwritten([]recorded{write("a", "1", "done"), write("a", "2", "unknown"),
		write("b", "3", "refused"), read("a", "1"), read("b", "2"), read("b", "")}))
	assert.Equal(t, `b refused to write "3" to k, and yet the write was done: a has it`,
		unwritten([]recorded{read("a", "3"), write("b", "3", "refused")}))
	assert.Equal(t, `k has a value at a that nobody wrote: "4"`, unwritten([]recorded{read("a", "4")}))
}
