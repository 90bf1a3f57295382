package queue_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"tensile/queue"
)

func Example() {
	b, err := queue.Open(queue.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	dead, err := b.Declare("orders-dead", queue.Config{})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := b.Declare("orders", queue.Config{MaxAttempts: 2, DeadLetter: dead.Name()})
	if err != nil {
		log.Fatal(err)
	}
	for _, body := range []string{"tea", "poison", "milk"} {
		if _, err := orders.Publish(ctx, []byte(body)); err != nil {
			log.Fatal(err)
		}
	}
	for range 4 {
		d, err := orders.Receive(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, attempt %d\n", d.Body, d.Attempt)
		if string(d.Body) == "poison" {
			err = d.Nack(0)
		} else {
			err = d.Ack(ctx)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	d, err := dead.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("dead: %s\n", d.Body)
	fmt.Println(b.Close())
	// Output:
	// tea, attempt 1
	// poison, attempt 1
	// poison, attempt 2
	// milk, attempt 1
	// dead: poison
	// queue: messages discarded: 1
}

// A queue that outlives its process.
func ExampleOptions_durable() {
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	for range 2 {
		b, err := queue.Open(queue.Options{Dir: dir})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("found:", b.Recovery().Queues["orders"])
		orders, err := b.Declare("orders", queue.Config{})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := orders.Publish(ctx, []byte("tea")); err != nil { // on the disk
			log.Fatal(err)
		}
		if err := b.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// found: 0
	// found: 1
}
