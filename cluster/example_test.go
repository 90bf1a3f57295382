package cluster_test

import (
	"context"
	"fmt"
	"time"

	"tensile/cluster"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	secret := cluster.NewSecret() // kept where all nodes find it

	first, err := cluster.Start(ctx, cluster.Config{
		Name: "first", Bind: "127.0.0.1:0", Secret: secret,
		Handler: func(r cluster.Request) { _ = r.Reply([]byte("hello " + r.From)) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	second, err := cluster.Start(ctx, cluster.Config{
		Name: "second", Bind: "127.0.0.1:0", Secret: secret, Seeds: []string{first.Addr()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	alive := make(chan string, 1)
	second.Watch(func(e cluster.Event) { alive <- fmt.Sprintf("%s is %v", e.Name, e.State) })
	fmt.Println(<-alive)

	reply, err := second.Call(ctx, "first", []byte("anybody there?"))
	fmt.Println(string(reply), err)
	fmt.Println(second.Leave(ctx))
	// Output:
	// first is alive
	// hello second <nil>
	// <nil>
}
