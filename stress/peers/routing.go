package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go"
	"github.com/puzpuzpuz/xsync/v4"

	"tensile/registry"
	"tensile/stress/measure"
)

// names is how many names there are in the routing scenario.
const names = 100_000

// letter is what is routed, as large as a message of the routing kit.
type letter struct{ id, sender uint64 }

// router is a registry of names at work.
type router struct {
	// send returns once the letter is taken; it waits where a mailbox is full.
	send func(to int, l letter) error
	// end stops everything, once all was handled.
	end func() error
}

func routing() []comparison {
	var list []comparison
	for _, senders := range []int{4, 64} {
		c := comparison{scenario: "routing", unit: "msgs/s", n: 1_000_000,
			work: fmt.Sprintf("messages to %d names from %d senders", names, senders)}
		for _, r := range routers {
			c.contestants = append(c.contestants, contestant{name: r.name, bound: r.bound, lacks: r.lacks, fewer: r.fewer,
				sample: func(n int) (float64, error) { return r.rate(senders, n) }})
		}
		list = append(list, c)
	}
	memory := comparison{scenario: "routing", work: "memory of an idle name", unit: "B/name", lower: true, n: names}
	goroutines := comparison{
		scenario: "routing", work: "goroutines of an idle name", unit: "goroutines/name", lower: true, n: names,
	}
	for _, r := range routers {
		if r.bound {
			continue // it has no names
		}
		memory.contestants = append(memory.contestants, contestant{name: r.name, sample: func(n int) (float64, error) {
			bytes, _, err := r.idle(n)
			return bytes, err
		}})
		goroutines.contestants = append(goroutines.contestants,
			contestant{name: r.name, sample: func(n int) (float64, error) {
				_, goroutines, err := r.idle(n)
				return goroutines, err
			}})
	}
	return append(list, memory, goroutines)
}

type routerPeer struct {
	name  string
	bound bool
	lacks string
	fewer int
	open  func(table []string, handle func(letter)) (router, error)
}

// rate has senders send n letters in all to all names in turn, and returns how
// many of them were handled in a second.
func (r routerPeer) rate(senders, n int) (float64, error) {
	var handled atomic.Int64
	all := make(chan struct{})
	r0, err := r.open(table(names), func(letter) {
		if handled.Add(1) == int64(n) {
			close(all)
		}
	})
	if err != nil {
		return 0, err
	}
	x, err := perSecond(n, func() error {
		// Each sender goes round all names from a place of its own.
		err := together(senders, n, func(sender, part int) error {
			return repeat(part, func(i int) error {
				id := sender*(n/senders) + i
				return r0.send(id*7919%names, letter{uint64(id), uint64(sender)})
			})
		})
		if err != nil {
			return err
		}
		select {
		case <-all:
			return nil
		case <-time.After(time.Minute):
			return fmt.Errorf("%d of %d messages were handled", handled.Load(), n)
		}
	})
	return x, errors.Join(err, r0.end())
}

// idle opens n names, waits until everything is at rest, and returns the bytes
// (heap and stacks) and the goroutines of each name. The names themselves are
// there before and not counted.
func (r routerPeer) idle(n int) (bytes, goroutines float64, err error) {
	list := table(n)
	before, count := atRest()
	r0, err := r.open(list, func(letter) {})
	if err != nil {
		return 0, 0, err
	}
	after, countAfter := atRest()
	runtime.KeepAlive(list)
	return float64(after-before) / float64(n), float64(countAfter-count) / float64(n), r0.end()
}

// atRest collects garbage until the memory in use has come to rest, and
// returns it with the number of goroutines.
func atRest() (bytes int64, goroutines int) {
	for last := int64(-1); ; last = bytes {
		runtime.GC()
		m := measure.ReadMemory()
		bytes = m.Heap + m.Stacks
		if diff := bytes - last; last >= 0 && diff < 1<<12 && diff > -1<<12 {
			return bytes, runtime.NumGoroutine()
		}
	}
}

func table(n int) []string {
	t := make([]string, n)
	for i := range t {
		t[i] = fmt.Sprintf("name-%d", i)
	}
	return t
}

// mailboxSize is how many messages a name holds where its mailbox
// is bounded: few, since a channel has room for all of them from the start.
const mailboxSize = 16

var routers = []routerPeer{
	{name: "tensile/registry", open: func(table []string, handle func(letter)) (router, error) {
		r, err := registry.New[letter](registry.Config{Mailbox: mailboxSize})
		if err != nil {
			return router{}, err
		}
		for _, name := range table {
			if err := r.Register(name, handle); err != nil {
				return router{}, err
			}
		}
		return router{func(to int, l letter) error {
			for {
				err := r.Send(table[to], l)
				if !errors.Is(err, registry.ErrFull) {
					return err
				}
				runtime.Gosched()
			}
		}, r.Close}, nil
	}},
	{name: "protoactor-go", lacks: "a bound of the mailbox",
		open: func(table []string, handle func(letter)) (router, error) {
			system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
				return slog.New(slog.DiscardHandler)
			}))
			props := actor.PropsFromFunc(func(c actor.Context) {
				if l, ok := c.Message().(letter); ok {
					handle(l)
				}
			})
			pids := make([]*actor.PID, len(table))
			for i, name := range table {
				pid, err := system.Root.SpawnNamed(props, name)
				if err != nil {
					return router{}, err
				}
				pids[i] = pid
			}
			return router{func(to int, l letter) error {
				system.Root.Send(pids[to], l) // the PID knows its mailbox: no name is looked up
				return nil
			}, func() error {
				for _, pid := range pids {
					if err := system.Root.StopFuture(pid).Wait(); err != nil {
						return err
					}
				}
				system.Shutdown()
				return nil
			}}, nil
		}},
	{name: "sync.Map, channel and goroutine", lacks: "isolated panics",
		open: func(table []string, handle func(letter)) (router, error) {
			var m sync.Map
			var all sync.WaitGroup
			for _, name := range table {
				box := make(chan letter, mailboxSize)
				m.Store(name, box)
				all.Go(func() { serve(box, handle) })
			}
			return router{func(to int, l letter) error {
				box, ok := m.Load(table[to])
				if !ok {
					return errUnknown
				}
				box.(chan letter) <- l
				return nil
			}, func() error {
				m.Range(func(_, box any) bool { close(box.(chan letter)); return true })
				all.Wait()
				return nil
			}}, nil
		}},
	{name: "xsync.Map, channel and goroutine", lacks: "isolated panics",
		open: func(table []string, handle func(letter)) (router, error) {
			m := xsync.NewMap[string, chan letter]()
			var all sync.WaitGroup
			for _, name := range table {
				box := make(chan letter, mailboxSize)
				m.Store(name, box)
				all.Go(func() { serve(box, handle) })
			}
			return router{func(to int, l letter) error {
				box, ok := m.Load(table[to])
				if !ok {
					return errUnknown
				}
				box <- l
				return nil
			}, func() error {
				m.Range(func(_ string, box chan letter) bool { close(box); return true })
				all.Wait()
				return nil
			}}, nil
		}},
	{name: "NATS core, in this process", fewer: 5, lacks: "errors for unknown names, a bound that the sender meets",
		open: func(table []string, handle func(letter)) (router, error) {
			nc, end, err := natsServer("", false)
			if err != nil {
				return router{}, err
			}
			for _, name := range table {
				if _, err := nc.Subscribe(name, func(m *nats.Msg) {
					handle(letter{binary.BigEndian.Uint64(m.Data), binary.BigEndian.Uint64(m.Data[8:])})
				}); err != nil {
					return router{}, errors.Join(err, end())
				}
			}
			return router{func(to int, l letter) error {
				data := binary.BigEndian.AppendUint64(make([]byte, 0, 16), l.id)
				return nc.Publish(table[to], binary.BigEndian.AppendUint64(data, l.sender))
			}, end}, nc.Flush()
		}},
	{name: "one channel", bound: true, lacks: "names", open: func(_ []string, handle func(letter)) (router, error) {
		box := make(chan letter, 1024)
		var all sync.WaitGroup
		all.Go(func() { serve(box, handle) })
		return router{func(_ int, l letter) error { box <- l; return nil },
			func() error { close(box); all.Wait(); return nil }}, nil
	}},
}

var errUnknown = errors.New("unknown name")

func serve(box <-chan letter, handle func(letter)) {
	for l := range box {
		handle(l)
	}
}
