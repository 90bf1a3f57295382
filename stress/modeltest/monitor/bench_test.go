package monitor

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkMillion judges histories of 1,000,000 operations on 64 goroutines.
func BenchmarkMillion(b *testing.B) {
	for _, s := range subjects {
		b.Run(s.name, func(b *testing.B) {
			history := s.long(1_000_000, 64)
			for b.Loop() {
				if err := s.judge(history); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// long makes a linearizable history of n operations, of which about as many
// overlap as there are goroutines.
func (s subject) long(n, goroutines int) []Op[int] {
	r := rand.New(rand.NewPCG(5, 6))
	history := make([]Op[int], 0, n)
	var order []int // of a queue or a stack: what is in it
	present := map[int]bool{}
	current := 0
	for i := range n {
		op := Op[int]{Kind: s.kinds[r.IntN(len(s.kinds))], Value: i + 1, OK: true}
		switch {
		case s.name == "set":
			op.Value = r.IntN(n / 10)
			op.OK = present[op.Value] == (op.Kind != Insert)
			if op.Kind != Read {
				present[op.Value] = op.Kind == Insert
			}
		case s.name == "register" && op.Kind == Insert:
			current = op.Value
		case s.name == "register":
			op.Value = current
		case op.Kind == Insert:
			order = append(order, op.Value)
		case len(order) == 0:
			op.OK, op.Value = false, 0
		case s.name == "queue":
			op.Value, order = order[0], order[1:]
		default:
			op.Value, order = order[len(order)-1], order[:len(order)-1]
		}
		op.Call, op.Return = int64(10*i-r.IntN(5*goroutines)), int64(10*i+r.IntN(5*goroutines))
		history = append(history, op)
	}
	return history
}
