package found

import (
	"sync/atomic"
	"time"

	EventBus "github.com/asaskevich/EventBus"
	"github.com/bep/debounce"
	"github.com/cskr/pubsub/v2"
	"github.com/eapache/channels"
	"github.com/smallnest/chanx"

	"tensile/stress/explore"
)

var buses = []program{
	{module: "github.com/asaskevich/EventBus", name: "SubscribeOnce behind a transactional handler", run: busOnce,
		finds: "a handler for one event was called 2 times"},
	{module: "github.com/asaskevich/EventBus", name: "Subscribe and Unsubscribe beside Publish", run: busUse},
	{module: "github.com/cskr/pubsub/v2", name: "Unsub and Shutdown beside Pub", run: pubsubUse},
	{module: "github.com/eapache/channels", name: "ResizableChannel: Resize beside Close", run: channelsResize, left: true,
		finds: "send on closed channel"},
	{module: "github.com/eapache/channels", name: "InfiniteChannel: nothing is lost at Close", run: channelsInfinite},
	{module: "github.com/smallnest/chanx", name: "nothing is lost when In is closed", run: chanxClose},
	{module: "github.com/bep/debounce", name: "the last of several comes through", run: debounceLast},
}

// A handler that subscribes once is called once, whoever publishes beside.
func busOnce(e *explore.Run) {
	bus := EventBus.New()
	var calls atomic.Int32
	_ = bus.SubscribeAsync("topic", func() {}, true)
	_ = bus.SubscribeOnce("topic", func() { calls.Add(1) })
	each(e, func() { bus.Publish("topic") }, func() { bus.Publish("topic") })
	bus.WaitAsync()
	e.Check(calls.Load() == 1, "a handler for one event was called %d times", calls.Load())
}

func busUse(e *explore.Run) {
	bus := EventBus.New()
	var calls atomic.Int32
	handler := func() { calls.Add(1) }
	each(e, func() {
		_ = bus.Subscribe("topic", handler)
		bus.Publish("topic")
		_ = bus.Unsubscribe("topic", handler)
	}, func() {
		bus.Publish("topic")
		bus.HasCallback("topic")
	}, func() {
		_ = bus.SubscribeAsync("other", handler, true)
		bus.Publish("other")
	})
	bus.WaitAsync()
	e.Check(calls.Load() >= 2, "a handler was called %d times, must be at least 2", calls.Load())
}

func pubsubUse(e *explore.Run) {
	ps := pubsub.New[string, int](1)
	ch := ps.Sub("topic")
	each(e, func() {
		for range ch {
		}
	}, func() {
		ps.Pub(1, "topic")
		ps.TryPub(2, "topic")
		ps.Unsub(ch, "topic")
	}, func() {
		once := ps.SubOnce("other")
		ps.Pub(3, "other")
		e.Check(<-once == 3, "what was published is lost")
	})
	ps.Shutdown()
}

// Resize works, or does nothing, while what is left is read.
func channelsResize(e *explore.Run) {
	ch := channels.NewResizableChannel()
	each(e, func() { ch.Resize(2) }, ch.Close, func() {
		for range ch.Out() {
		}
	})
}

func channelsInfinite(e *explore.Run) {
	ch := channels.NewInfiniteChannel()
	n := 0
	each(e, func() {
		for i := range 3 {
			ch.In() <- i
		}
		ch.Close()
	}, func() {
		for v := range ch.Out() {
			e.Check(v == n, "%v came in place of %d", v, n)
			n++
		}
	}, func() { ch.Len() })
	e.Check(n == 3, "%d of 3 came", n)
}

func chanxClose(e *explore.Run) {
	ch := chanx.NewUnboundedChan[int](e.Context(), 1)
	n := 0
	each(e, func() {
		for i := range 5 {
			ch.In <- i
		}
		close(ch.In)
	}, func() {
		for v := range ch.Out {
			e.Check(v == n, "%d came in place of %d", v, n)
			n++
		}
	}, func() { ch.Len() })
	e.Check(n == 5, "%d of 5 came", n)
}

func debounceLast(e *explore.Run) {
	debounced := debounce.New(time.Millisecond)
	var calls atomic.Int32
	call := func() { debounced(func() { calls.Add(1) }) }
	each(e, call, call, call)
	time.Sleep(time.Second)
	n := calls.Load()
	e.Check(n >= 1 && n <= 3, "3 calls came through %d times", n)
}
