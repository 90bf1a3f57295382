package stress_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/node"
)

// TestPlantedSlowTransports: nodes with no other fault than that calls take their time.
func TestPlantedSlowTransports(t *testing.T) {
	unhurried(t)
	for _, c := range []struct{ fault, criterion string }{
		{"12 times", "throughput"},
		{"3 times", "throughput"},
		{"stalls", "p99"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			mustBeFoundSlow(t, "TestFaultyTransport$/^(throughput|steady|close)$", slowPlant+c.fault, c.criterion)
		})
	}
}

// slowNode makes several calls for each, one after the other. A call that stalls holds up no
// other, so it takes more than one in a hundred to show in the p99.
type slowNode struct{ node.Node }

// extraCall is the request of a call that the kit has not made.
var extraCall = bytes.Repeat([]byte("extra"), 12)

func startSlowNode(tb testing.TB, cfg node.Config) (node.Node, error) {
	handle := cfg.Handle
	var handled atomic.Int64
	cfg.Handle = func(from string, request []byte, reply func([]byte)) {
		switch {
		case bytes.Equal(request, extraCall):
			reply(request)
		case planted == slowPlant+"stalls" && reply != nil && handled.Add(1)%(stallEvery/2) == 0:
			handle(from, request, func(answer []byte) {
				answer = bytes.Clone(answer)
				time.AfterFunc(stallTime, func() { reply(answer) })
			})
		default:
			handle(from, request, reply)
		}
	}
	n, err := startNode(tb, cfg)
	if err != nil {
		return nil, err
	}
	return slowNode{n}, nil
}

func (n slowNode) Call(to string, request []byte, done func([]byte, error)) {
	if slowFactor() == 1 {
		n.Node.Call(to, request, done)
		return
	}
	n.after(slowFactor()-1, to, bytes.Clone(request), done)
}

// after makes a call after so many others.
func (n slowNode) after(left int, to string, request []byte, done func([]byte, error)) {
	if left == 0 {
		n.Node.Call(to, request, done)
		return
	}
	n.Node.Call(to, extraCall, func([]byte, error) { n.after(left-1, to, request, done) })
}
