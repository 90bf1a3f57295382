package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	many  = 100_000
	chunk = 2000 * many / 100_000 // accepted deviation from a share
)

// nodes returns nodes a, b, c and so on of the weights.
func nodes(weights ...int) []Node {
	all := make([]Node, len(weights))
	for i, w := range weights {
		all[i] = Node{string(rune('a' + i)), w}
	}
	return all
}

func open(t testing.TB, s Strategy, weights ...int) *Balancer {
	t.Helper()
	b, err := New(Config{Strategy: s, Nodes: nodes(weights...)})
	require.NoError(t, err)
	return b
}

// each runs a test for every strategy.
func each(t *testing.T, test func(t *testing.T, s Strategy)) {
	for _, s := range Strategies() {
		t.Run(s.String(), func(t *testing.T) { test(t, s) })
	}
}

// take picks n times with different keys and counts by node.
func take(t testing.TB, b *Balancer, n int) (counts map[string]int, picks []Pick) {
	t.Helper()
	counts = make(map[string]int)
	for key := range n {
		p, err := b.Pick(uint64(key))
		require.NoError(t, err)
		counts[p.Node()]++
		picks = append(picks, p)
	}
	return counts, picks
}

func done(picks []Pick) {
	for _, p := range picks {
		p.Done()
	}
}

// assertShares compares counts with weights.
func assertShares(t *testing.T, counts map[string]int, weights map[string]int, within float64) {
	t.Helper()
	n, weight := 0, 0
	for _, c := range counts {
		n += c
	}
	for _, w := range weights {
		weight += w
	}
	assert.Len(t, counts, len(weights))
	for name, w := range weights {
		assert.InDelta(t, float64(n*w)/float64(weight), counts[name], within, "node %s of %v", name, counts)
	}
}

func TestSpread(t *testing.T) {
	each(t, func(t *testing.T, s Strategy) {
		b := open(t, s, 1, 1, 1, 1)
		counts, picks := take(t, b, many)
		assertShares(t, counts, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}, chunk)
		done(picks)
		for _, n := range b.Nodes() {
			assert.Zero(t, n.Held, n.Name)
		}
	})
}

// TestShortPicks holds nothing: ties must not prefer anybody.
func TestShortPicks(t *testing.T) {
	each(t, func(t *testing.T, s Strategy) {
		b := open(t, s, 3, 1)
		counts := make(map[string]int)
		for key := range uint64(many) {
			p, err := b.Pick(key)
			require.NoError(t, err)
			counts[p.Node()]++
			p.Done()
		}
		assertShares(t, counts, map[string]int{"a": 3, "b": 1}, chunk)
	})
}

func TestWeights(t *testing.T) {
	each(t, func(t *testing.T, s Strategy) {
		b := open(t, s, 1, 2, 3, 4)
		counts, _ := take(t, b, many)
		assertShares(t, counts, map[string]int{"a": 1, "b": 2, "c": 3, "d": 4}, chunk)
	})
}

func TestDefaultIsExact(t *testing.T) {
	b := open(t, RoundRobin, 1, 1, 1, 1)
	within := func(what string, nodes int) {
		counts, _ := take(t, b, many)
		require.Len(t, counts, nodes, what)
		for name, n := range counts {
			assert.InDelta(t, many/nodes, n, 1, "%s: node %s", what, name)
		}
	}
	within("four nodes", 4)
	require.NoError(t, b.Join(Node{Name: "e"}))
	within("after a join", 5)
	require.NoError(t, b.Down("b"))
	within("after a failure", 4)
	require.NoError(t, b.Up("b"))
	within("after its return", 5)
	require.NoError(t, b.Leave("a"))
	within("after a departure", 4)
}

// TestStride checks what stride scheduling promises: any two nodes are at every
// instant within one turn of the proportion of their weights.
func TestStride(t *testing.T) {
	for _, weights := range [][]int{{1, 1}, {5, 1, 1}, {1, 2, 3, 4}, {7, 7, 3}, {MaxWeight, 1}, {100, 200, 300}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			b := open(t, RoundRobin, weights...)
			round := b.up.Load().schedule
			counts := make([]int, len(weights))
			for _, i := range round {
				counts[i]++
				for j := range counts {
					wi, wj := float64(weights[i]), float64(weights[j])
					exact := float64(counts[i]+counts[j]) * wi / (wi + wj)
					require.InDelta(t, exact, counts[i], 1, "nodes %d and %d", i, j)
				}
			}
		})
	}
	assert.Len(t, open(t, RoundRobin, 100, 200, 300).up.Load().schedule, 6, "common divisors are no turns")
}

// placement is where each key goes while nothing is held.
func placement(t *testing.T, b *Balancer, n int) []string {
	t.Helper()
	where := make([]string, n)
	for key := range where {
		p, err := b.Pick(uint64(key))
		require.NoError(t, err)
		where[key] = p.Node()
		p.Done()
	}
	return where
}

func TestKeysMoveOnlyWhenTheyMust(t *testing.T) {
	for _, s := range []Strategy{Rendezvous, BoundedLoad} {
		for _, weights := range [][]int{{1, 1, 1, 1}, {1, 2, 3, 4}} {
			t.Run(fmt.Sprint(s, weights), func(t *testing.T) {
				b := open(t, s, weights...)
				before := placement(t, b, many)
				assert.Equal(t, before, placement(t, b, many), "the same nodes give the same placement")

				require.NoError(t, b.Join(Node{Name: "e", Weight: 2}))
				after := placement(t, b, many)
				moved := 0
				for key := range before {
					if before[key] != after[key] {
						require.Equal(t, "e", after[key], "key %d moved between two nodes that were there", key)
						moved++
					}
				}
				total := 2
				for _, w := range weights {
					total += w
				}
				assert.InDelta(t, many*2/total, moved, chunk, "the joiner's share")

				require.NoError(t, b.Down("c"))
				for key, at := range placement(t, b, many) {
					if after[key] != "c" {
						require.Equal(t, after[key], at, "key %d moved although its node is up", key)
					}
				}
				require.NoError(t, b.Up("c"))
				require.NoError(t, b.Leave("e"))
				assert.Equal(t, before, placement(t, b, many), "everything is back")
			})
		}
	}
}

// TestJoinOrder shows that placement does not depend on the order of joining, so
// that two processes agree.
func TestJoinOrder(t *testing.T) {
	for _, s := range []Strategy{Rendezvous, BoundedLoad} {
		one := open(t, s, 1, 2, 3)
		other, err := New(Config{Strategy: s})
		require.NoError(t, err)
		for _, n := range []Node{{"c", 3}, {"a", 1}, {"b", 2}} {
			require.NoError(t, other.Join(n))
		}
		assert.Equal(t, placement(t, one, 1000), placement(t, other, 1000), s)
	}
}

// TestPlacementIsFixed pins the hash: processes of different versions must
// agree on where a key is.
func TestPlacementIsFixed(t *testing.T) {
	assert.Equal(t, uint64(0xefd01f60ba992926), Key(""))
	b := open(t, Rendezvous, 1, 1, 1, 1)
	var where strings.Builder
	for key := range 24 {
		p, err := b.Pick(Key(fmt.Sprint("user ", key)))
		require.NoError(t, err)
		where.WriteString(p.Node())
	}
	assert.Equal(t, "addbbcaacaacbacbbbcdcaab", where.String())
}

func TestJoinerFillsUp(t *testing.T) {
	for _, s := range []Strategy{LeastConnections, PowerOfTwo} {
		b := open(t, s, 1, 1, 1, 1)
		take(t, b, many)
		require.NoError(t, b.Join(Node{Name: "e"}))
		take(t, b, many)
		held := make(map[string]int)
		for _, n := range b.Nodes() {
			held[n.Name] = int(n.Held)
		}
		assertShares(t, held, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, 2*chunk)
	}
}

func TestFailure(t *testing.T) {
	each(t, func(t *testing.T, s Strategy) {
		b := open(t, s, 1, 1, 1, 1)
		counts, picks := take(t, b, many)
		require.NoError(t, b.Down("b"))
		lost := counts["b"]
		delete(counts, "b")
		for key, p := range picks {
			if p.Node() == "b" {
				p.Done()
				again, err := b.Pick(uint64(key))
				require.NoError(t, err)
				require.NotEqual(t, "b", again.Node())
				counts[again.Node()]++
			}
		}
		assert.InDelta(t, many/4, lost, chunk)
		assertShares(t, counts, map[string]int{"a": 1, "c": 1, "d": 1}, chunk*4/3)
	})
}

// TestBound fills up with skewed keys, from several goroutines, and checks the
// bound after each pick.
func TestBound(t *testing.T) {
	const load, pickers = 1.25, 4
	weights := []int{1, 2, 3, 4}
	b, err := New(Config{Strategy: BoundedLoad, Nodes: nodes(weights...), Load: load})
	require.NoError(t, err)
	held := make([]atomic.Int64, len(weights))
	var started atomic.Int64
	var all sync.WaitGroup
	for g := range pickers {
		all.Go(func() {
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, uint64(g))), 1.5, 1, 1000)
			for range many / pickers {
				started.Add(1)
				p, err := b.Pick(zipf.Uint64())
				if !assert.NoError(t, err) {
					return
				}
				i := p.Node()[0] - 'a'
				n, bound := held[i].Add(1), math.Ceil(load*float64(started.Load())*float64(weights[i])/10)
				if !assert.LessOrEqual(t, float64(n), bound, "node %s", p.Node()) {
					return
				}
			}
		})
	}
	all.Wait()
	counts := make(map[string]int)
	for _, n := range b.Nodes() {
		counts[n.Name] = int(n.Held)
	}
	t.Log(counts)

	skewed := open(t, Rendezvous, weights...)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 0)), 1.5, 1, 1000)
	over := make(map[string]int)
	for range many {
		p, err := skewed.Pick(zipf.Uint64())
		require.NoError(t, err)
		over[p.Node()]++
	}
	worst := 0.0
	for i, w := range weights {
		worst = max(worst, float64(over[nodes(weights...)[i].Name])*10/float64(many*w))
	}
	assert.Greater(t, worst, load, "the keys are not skewed enough to show anything")
}

// TestLargeLoadIsRendezvous: a bound beyond all numbers is none, and no pick looks
// for room forever.
func TestLargeLoadIsRendezvous(t *testing.T) {
	for _, share := range []float64{math.MaxInt64, math.Nextafter(math.MaxInt64, math.Inf(1)), 1e19, 1e300, math.Inf(1)} {
		require.Equal(t, int64(math.MaxInt64), bound(share), "%g", share)
	}
	assert.Equal(t, int64(3), bound(2.1))
	plain, err := New(Config{Strategy: Rendezvous, Nodes: nodes(1, 2, 3)})
	require.NoError(t, err)
	for _, load := range []float64{1e9, 1e18, 1e19, 1e300, math.MaxFloat64} {
		b, err := New(Config{Strategy: BoundedLoad, Load: load, Nodes: nodes(1, 2, 3)})
		require.NoError(t, err)
		assert.Equal(t, placement(t, plain, 1000), placement(t, b, 1000), "Load %g", load)
	}
}

func TestNoNodes(t *testing.T) {
	each(t, func(t *testing.T, s Strategy) {
		b, err := New(Config{Strategy: s})
		require.NoError(t, err)
		_, err = b.Pick(1)
		assert.ErrorIs(t, err, ErrNoNodes)
		require.NoError(t, b.Join(Node{Name: "a"}))
		for key := range uint64(10) {
			p, err := b.Pick(key)
			require.NoError(t, err)
			assert.Equal(t, "a", p.Node())
		}
		require.NoError(t, b.Down("a"))
		_, err = b.Pick(1)
		assert.ErrorIs(t, err, ErrNoNodes)
		require.NoError(t, b.Up("a"))
		require.NoError(t, b.Leave("a"))
		_, err = b.Pick(1)
		assert.ErrorIs(t, err, ErrNoNodes)
	})
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		is   error
		says []string
	}{
		{Config{Strategy: 5}, ErrConfig, []string{"Strategy(5)", "round robin to bounded load"}},
		{Config{Strategy: -1}, ErrConfig, []string{"Strategy(-1)"}},
		{Config{Load: 1}, ErrConfig, []string{"Load is 1", "above 1"}},
		{Config{Load: math.NaN()}, ErrConfig, []string{"NaN"}},
		{Config{Load: math.Inf(1)}, ErrConfig, []string{"+Inf"}},
		{Config{Nodes: []Node{{Name: ""}}}, ErrConfig, []string{`Name is ""`}},
		{Config{Nodes: []Node{{"a", -1}}}, ErrConfig, []string{`"a"`, "-1", "1 to 1000"}},
		{Config{Nodes: []Node{{"a", MaxWeight + 1}}}, ErrConfig, []string{"1001"}},
		{Config{Nodes: []Node{{"a", 1}, {"a", 2}}}, ErrTaken, []string{`"a"`}},
	} {
		_, err := New(c.cfg)
		require.ErrorIs(t, err, c.is, "%+v", c.cfg)
		for _, s := range c.says {
			assert.ErrorContains(t, err, s)
		}
	}
	b := open(t, RoundRobin, 1)
	assert.ErrorIs(t, b.Join(Node{Name: "a"}), ErrTaken)
	for _, change := range []func(string) error{b.Leave, b.Down, b.Up} {
		err := change("z")
		assert.ErrorIs(t, err, ErrUnknown)
		assert.ErrorContains(t, err, `"z"`)
	}
	assert.Len(t, b.Nodes(), 1, "an error changes nothing")
}

func TestDoneTwicePanics(t *testing.T) {
	p, err := open(t, LeastConnections, 1).Pick(0)
	require.NoError(t, err)
	p.Done()
	assert.PanicsWithValue(t, `balance: Done of node "a" without a Pick`, p.Done)
}

// TestRejoin gives back picks of a node that has left and come back.
func TestRejoin(t *testing.T) {
	b := open(t, LeastConnections, 1)
	_, picks := take(t, b, 10)
	require.NoError(t, b.Leave("a"))
	require.NoError(t, b.Join(Node{Name: "a"}))
	done(picks)
	assert.Zero(t, b.Nodes()[0].Held)
}

// TestConcurrent has nodes come and go under picks: none goes to a node whose
// Down had returned before, and nothing is miscounted.
func TestConcurrent(t *testing.T) {
	each(t, func(t *testing.T, s Strategy) {
		const pickers, rounds = 4, 200
		b := open(t, s, 1, 2, 3, 4)
		var downSince, picked atomic.Int64 // downSince is odd while node b is down for certain
		stop := make(chan struct{})
		var all sync.WaitGroup
		for g := range pickers {
			all.Go(func() {
				for key := uint64(g); ; key += pickers {
					select {
					case <-stop:
						return
					default:
					}
					before := downSince.Load()
					p, err := b.Pick(key)
					if !assert.NoError(t, err) {
						return
					}
					if before%2 == 1 && downSince.Load() == before && !assert.NotEqual(t, "b", p.Node(), "picked while down") {
						return
					}
					p.Done()
					picked.Add(1)
				}
			})
		}
		for i := range rounds {
			assert.NoError(t, b.Down("b"))
			downSince.Add(1)
			assert.NoError(t, b.Join(Node{Name: fmt.Sprint("guest ", i)}))
			for target := picked.Load() + 100; picked.Load() < target && !t.Failed(); {
				assert.NoError(t, b.Leave(fmt.Sprint("guest ", i)))
				assert.NoError(t, b.Join(Node{Name: fmt.Sprint("guest ", i)}))
			}
			downSince.Add(1)
			assert.NoError(t, b.Up("b"))
			assert.NoError(t, b.Leave(fmt.Sprint("guest ", i)))
		}
		close(stop)
		all.Wait()
		for _, n := range b.Nodes() {
			assert.Zero(t, n.Held, "node %s", n.Name)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	each(t, func(t *testing.T, s Strategy) {
		for _, weights := range [][]int{{1, 1, 1, 1}, {1, 2, 3, 4}} {
			b := open(t, s, weights...)
			key := uint64(0)
			assert.Zero(t, testing.AllocsPerRun(1000, func() {
				p, err := b.Pick(key)
				if err != nil {
					panic(err)
				}
				p.Done()
				key++
			}), weights)
		}
	})
}

func BenchmarkPick(b *testing.B) {
	for _, s := range Strategies() {
		for _, weights := range [][]int{{1, 1, 1, 1}, {1, 2, 3, 4}} {
			balancer := open(b, s, weights...)
			name := strings.ReplaceAll(s.String(), " ", "_") + "/weights=" + fmt.Sprint(weights[len(weights)-1])
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for key := uint64(0); b.Loop(); key++ {
					p, err := balancer.Pick(key)
					if err != nil {
						b.Fatal(err)
					}
					p.Done()
				}
			})
		}
	}
}

func BenchmarkPickParallel(b *testing.B) {
	for _, s := range Strategies() {
		balancer := open(b, s, 1, 1, 1, 1)
		b.Run(strings.ReplaceAll(s.String(), " ", "_"), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for key := uint64(0); pb.Next(); key++ {
					p, err := balancer.Pick(key)
					if err != nil {
						panic(err)
					}
					p.Done()
				}
			})
		})
	}
}
