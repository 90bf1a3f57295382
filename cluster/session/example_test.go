package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tensile/cluster"
	"tensile/cluster/session"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	names := []string{"a", "b", "c"}
	secret := cluster.NewSecret()
	var seeds []string
	stores := make(map[string]*session.Store)
	for _, name := range names {
		store, err := session.New(session.Config{Name: name, Nodes: names, Timeout: 20 * time.Second})
		if err != nil {
			fmt.Println(err)
			return
		}
		node, err := cluster.Start(ctx, cluster.Config{
			Name: name, Bind: "127.0.0.1:0", Seeds: seeds, Secret: secret, Handler: store.Serve,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer node.Close()
		defer store.Close()
		store.Start(session.Over(node))
		stores[name], seeds = store, []string{node.Addr()}
	}

	if _, err := stores["a"].Put(ctx, "user-7", []byte("three apples"), time.Hour); err != nil {
		fmt.Println(err)
	}
	found, err := stores["b"].Get(ctx, "user-7")
	fmt.Printf("%s, %v\n", found.Value, err)
	if _, err := stores["c"].Delete(ctx, "user-7"); err != nil {
		fmt.Println(err)
	}
	_, err = stores["a"].Get(ctx, "user-7")
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output:
	// three apples, <nil>
	// true
}
