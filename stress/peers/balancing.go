package main

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/dgryski/go-rendezvous"
	"github.com/serialx/hashring"
	"stathat.com/c/consistent"

	"tensile/cluster/balance"
)

// hashers give the same node for the same key. Each is opened with its nodes
// and gives the way to pick one, and the way to add one.
var hashers = []struct {
	name  string
	bound bool
	lacks string
	open  func(nodes []string) (pick func(key string) (string, error), join func(node string) error, err error)
}{
	{name: "tensile/cluster/balance, rendezvous",
		open: func(nodes []string) (func(string) (string, error), func(string) error, error) {
			b, err := openBalance(balance.Rendezvous, nodes)
			return func(key string) (string, error) {
				p, err := b.Pick(balance.Key(key))
				if err != nil {
					return "", err
				}
				p.Done()
				return p.Node(), nil
			}, func(node string) error { return b.Join(balance.Node{Name: node}) }, err
		}},
	{name: "tensile/cluster/balance, bounded load",
		open: func(nodes []string) (func(string) (string, error), func(string) error, error) {
			b, err := openBalance(balance.BoundedLoad, nodes)
			return func(key string) (string, error) {
				p, err := b.Pick(balance.Key(key))
				if err != nil {
					return "", err
				}
				p.Done()
				return p.Node(), nil
			}, func(node string) error { return b.Join(balance.Node{Name: node}) }, err
		}},
	{name: "dgryski/go-rendezvous", lacks: "weights, use by several goroutines while nodes change",
		open: func(nodes []string) (func(string) (string, error), func(string) error, error) {
			r := rendezvous.New(nodes, xxhash.Sum64String)
			return func(key string) (string, error) { return r.Lookup(key), nil },
				func(node string) error { r.Add(node); return nil }, nil
		}},
	{name: "stathat/consistent", lacks: "weights",
		open: func(nodes []string) (func(string) (string, error), func(string) error, error) {
			c := consistent.New()
			c.Set(nodes)
			return c.Get, func(node string) error { c.Add(node); return nil }, nil
		}},
	{name: "serialx/hashring", open: func(nodes []string) (func(string) (string, error), func(string) error, error) {
		r := hashring.New(nodes)
		return func(key string) (string, error) {
				node, ok := r.GetNode(key)
				if !ok {
					return "", errors.New("no node")
				}
				return node, nil
			}, func(node string) error {
				r = r.AddNode(node)
				return nil
			}, nil
	}},
	{name: "hash modulo nodes", bound: true, lacks: "consistency: nearly all keys move when a node joins",
		open: func(nodes []string) (func(string) (string, error), func(string) error, error) {
			seed := maphash.MakeSeed()
			return func(key string) (string, error) { return nodes[maphash.String(seed, key)%uint64(len(nodes))], nil },
				func(node string) error { nodes = append(nodes[:len(nodes):len(nodes)], node); return nil }, nil
		}},
}

func openBalance(s balance.Strategy, nodes []string) (*balance.Balancer, error) {
	cfg := balance.Config{Strategy: s}
	for _, node := range nodes {
		cfg.Nodes = append(cfg.Nodes, balance.Node{Name: node})
	}
	return balance.New(cfg)
}

func balancing() []comparison {
	var list []comparison
	for _, size := range []int{4, 64} {
		c := comparison{scenario: "balancing", unit: "ns/op", lower: true, n: 500_000,
			work: fmt.Sprintf("the node of a key, of %d nodes", size),
			why: "A profile of rendezvous over 4 nodes shows that two fifths of the time hash the key, a byte at a time, with " +
				"a function that " +
				"will never change; go-rendezvous gets xxhash. A third computes the score of each node with all of MurmurHash3's " +
				"finaliser; " +
				"go-rendezvous shifts and multiplies once. A tenth returns the pick. With 64 nodes, hashing the key no longer " +
				"matters."}
		for _, h := range hashers {
			c.contestants = append(c.contestants, contestant{name: h.name, bound: h.bound, lacks: h.lacks,
				sample: func(n int) (float64, error) {
					pick, _, err := h.open(nodeNames(size))
					if err != nil {
						return 0, err
					}
					keys := keyNames(1 << 16)
					return perOp(n, func() error {
						return repeat(n, func(i int) error {
							_, err := pick(keys[i%len(keys)])
							return err
						})
					})
				}})
		}
		list = append(list, c)
	}
	spread := comparison{
		scenario: "balancing", unit: "% above its share", lower: true, n: 100_000, work: "the fullest of 4 nodes",
	}
	moved := comparison{
		scenario: "balancing", unit: "% of all keys", lower: true, n: 100_000,
		work: "keys that moved without need when a fifth node joined",
	}
	for _, h := range hashers {
		spread.contestants = append(spread.contestants,
			contestant{name: h.name, bound: h.bound, lacks: h.lacks, sample: func(n int) (float64, error) {
				nodes := nodeNames(4)
				pick, _, err := h.open(nodes)
				if err != nil {
					return 0, err
				}
				count := make(map[string]int)
				for _, key := range keyNames(n) {
					node, err := pick(key)
					if err != nil {
						return 0, err
					}
					count[node]++
				}
				most := 0
				for _, c := range count {
					most = max(most, c)
				}
				return 100 * (float64(most*len(nodes))/float64(n) - 1), nil
			}})
		moved.contestants = append(moved.contestants,
			contestant{name: h.name, bound: h.bound, lacks: h.lacks, sample: func(n int) (float64, error) {
				nodes := nodeNames(5)
				pick, join, err := h.open(nodes[:4:4])
				if err != nil {
					return 0, err
				}
				keys := keyNames(n)
				before := make([]string, n)
				for i, key := range keys {
					if before[i], err = pick(key); err != nil {
						return 0, err
					}
				}
				if err := join(nodes[4]); err != nil {
					return 0, err
				}
				needless := 0
				for i, key := range keys {
					after, err := pick(key)
					if err != nil {
						return 0, err
					}
					if after != before[i] && after != nodes[4] {
						needless++
					}
				}
				return 100 * float64(needless) / float64(n), nil
			}})
	}
	return append(list, spread, moved)
}

func nodeNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		// Addresses, as they are used for names: they differ in a digit.
		names[i] = fmt.Sprintf("10.0.0.%d:7000", i+1)
	}
	return names
}

// keyNames makes n keys that no sample had before: else spreads would be the
// same in all of them.
func keyNames(n int) []string {
	sample := keySamples.Add(1)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("user-%d-%d", sample, i)
	}
	return keys
}

var keySamples atomic.Int64
