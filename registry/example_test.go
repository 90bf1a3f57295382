package registry_test

import (
	"errors"
	"fmt"
	"sync"

	"tensile/registry"
)

// Messages to a name are handled one after the other, in the order in which
// their sender sent them.
func Example() {
	r, err := registry.New[string](registry.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = r.Register("greeter", func(name string) { fmt.Println("hello", name) })
	_ = r.Send("greeter", "Ada")
	_ = r.Send("greeter", "Grace")
	_ = r.Close() // waits until everything accepted was handled
	// Output:
	// hello Ada
	// hello Grace
}

// A message is accepted or refused, never neither: the error says why, and
// carries the name.
func ExampleRegistry_Send_errors() {
	r, _ := registry.New[int](registry.Config{Mailbox: 1})
	hold := make(chan struct{})
	_ = r.Register("slow", func(int) { <-hold })

	fmt.Println(r.Send("slow", 1))
	err := r.Send("slow", 2)
	fmt.Println(errors.Is(err, registry.ErrFull), err)
	err = r.Send("nobody", 1)
	fmt.Println(errors.Is(err, registry.ErrUnknown), err)
	err = r.Register("slow", func(int) {})
	fmt.Println(errors.Is(err, registry.ErrTaken), err)

	close(hold)
	_ = r.Close()
	err = r.Send("slow", 3)
	fmt.Println(errors.Is(err, registry.ErrClosed), err)
	// Output:
	// <nil>
	// true registry: mailbox full: "slow"
	// true registry: unknown name: "nobody"
	// true registry: name taken: "slow"
	// true registry: registry closed: "slow"
}

// What was accepted before a name was taken out is still handed to its handler;
// the name itself is free at once.
func ExampleRegistry_Unregister() {
	r, _ := registry.New[string](registry.Config{})
	begun, hold := make(chan struct{}, 2), make(chan struct{})
	_ = r.Register("door", func(m string) {
		begun <- struct{}{}
		<-hold
		fmt.Println("old door:", m)
	})
	_ = r.Send("door", "first")
	_ = r.Send("door", "second")
	<-begun

	_ = r.Unregister("door")
	fmt.Println(r.Send("door", "too late"))
	close(hold)
	_ = r.Close()
	// Output:
	// registry: unknown name: "door"
	// old door: first
	// old door: second
}

// A handler that panics harms its own message only.
func ExampleConfig_onPanic() {
	r, _ := registry.New[int](registry.Config{
		OnPanic: func(name string, value any, stack []byte) { fmt.Println(name, "panicked:", value) },
	})
	_ = r.Register("divider", func(n int) { fmt.Println("12 /", n, "=", 12/n) })
	for _, n := range []int{3, 0, 4} {
		_ = r.Send("divider", n)
	}
	_ = r.Close()
	// Output:
	// 12 / 3 = 4
	// divider panicked: runtime error: integer divide by zero
	// 12 / 4 = 3
}

// Many senders need no lock of their own around what a handler does: it is
// called by one goroutine at a time.
func Example_counter() {
	r, _ := registry.New[int](registry.Config{})
	total := 0
	_ = r.Register("total", func(n int) { total += n })
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for n := range 10 {
				_ = r.Send("total", n)
			}
		})
	}
	senders.Wait()
	_ = r.Close()
	fmt.Println(total)
	// Output: 180
}
