package balance_test

import (
	"fmt"

	"tensile/cluster/balance"
)

func Example() {
	b, err := balance.New(balance.Config{Nodes: []balance.Node{{Name: "a"}, {Name: "b", Weight: 2}}})
	if err != nil {
		panic(err)
	}
	for range 6 {
		p, err := b.Pick(0) // round robin has no use for a key
		if err != nil {
			panic(err)
		}
		fmt.Print(p.Node(), " ")
		p.Done()
	}
	// Output: a b b a b b
}

func ExampleBalancer_Down() {
	b, err := balance.New(balance.Config{
		Strategy: balance.Rendezvous,
		Nodes:    []balance.Node{{Name: "a"}, {Name: "b"}, {Name: "c"}},
	})
	if err != nil {
		panic(err)
	}
	where := func(user string) string {
		p, err := b.Pick(balance.Key(user))
		if err != nil {
			panic(err)
		}
		defer p.Done()
		return p.Node()
	}
	fmt.Println(where("ann"), where("bob"), where("eve"))
	if err := b.Down("a"); err != nil {
		panic(err)
	}
	fmt.Println(where("ann"), where("bob"), where("eve"))
	// Output:
	// a b a
	// b b c
}
