package queuetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// brokerLives are the lives of a durable broker in child processes over one
// folder, and the ledger that goes through all of them.
type brokerLives struct {
	*kit
	name   string // of the phase
	cfg    Config
	queues []*durableQueue // whose ledgers begin anew with a life
	random *rand.Rand
	life   int
	p      *proc.Process
}

const (
	workMost   = 8   // messages of a request in a life
	checkMost  = 256 // and of one that checks
	ackInWork  = 0.7 // the part that is acknowledged
	ackInCheck = 0.5
	killWithin = 3 * time.Millisecond // of the message that triggers it
)

func (k *kit) newLives(name, dir string, queues int, lost string) *brokerLives {
	return &brokerLives{kit: k, name: name, queues: k.newDurableQueues(queues, lost),
		cfg:    Config{Queues: queues, Visibility: durableVisibility, Dir: dir},
		random: rand.New(rand.NewPCG(k.Seed, uint64(queues)))}
}

// errBroker says that the child did not do what every broker must.
var errBroker = errors.New("broker")

// open starts a child and waits until its broker is open.
func (l *brokerLives) open(ctx context.Context) (took time.Duration, err error) {
	for _, q := range l.queues {
		q.begin(l.life)
	}
	ready := make(chan brokerReady, 1)
	began := time.Now()
	log := l.LogFile(brokerRole)
	p, err := l.site.Start(l.cfg, proc.Options{
		Output: log,
		OnEvent: func(body json.RawMessage) {
			var r brokerReady
			if json.Unmarshal(body, &r) == nil {
				ready <- r
			}
		},
	})
	if err != nil {
		return 0, err
	}
	l.p = p
	l.OnInterrupt(p.Kill)
	bound, cancel := context.WithTimeout(ctx, scenario.Stall)
	defer cancel()
	select {
	case r := <-ready:
		if l.life > 0 && len(r.Damaged) > 0 {
			l.Violate("torn",
				"%s: after restart %d the broker reports damage at offset %d of %s, and the process had only been killed",
				l.name, l.life, r.Damaged[0].Offset, r.Damaged[0].File)
		}
		return time.Since(began), nil
	case <-p.Ended():
		return 0, fmt.Errorf("%w: it did not open after restart %d: %w%s", errBroker, l.life, p.Close(), said(log))
	case <-bound.Done():
		p.Kill()
		return 0, fmt.Errorf("%w: it did not open after restart %d within %v", errBroker, l.life, scenario.Stall)
	}
}

// kill ends the child with SIGKILL. One that has ended by itself is an error.
func (l *brokerLives) kill() error {
	l.p.Kill()
	l.life++
	if status := l.p.Close(); status == nil || !strings.Contains(status.Error(), "killed") {
		return fmt.Errorf("%w: its process ended by itself: %v%s", errBroker, status, said(l.LogFile(brokerRole)))
	}
	return nil
}

// leave has the child close its broker and end.
func (l *brokerLives) leave() error {
	if err := l.p.Close(); err != nil {
		return fmt.Errorf("%w: Close: %w%s", errBroker, err, said(l.LogFile(brokerRole)))
	}
	return nil
}

// abandon ends the child whatever it does.
func (l *brokerLives) abandon() {
	if l.p != nil {
		l.p.Kill()
	}
}

// said is the end of what a child has printed.
func said(log *os.File) string {
	if log == nil {
		return ""
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		return ""
	}
	const most = 600
	text = bytes.TrimSpace(text)
	return ": " + string(text[max(len(text)-most, 0):])
}

// request asks the child.
func (l *brokerLives) request(ctx context.Context, r brokerRequest) (brokerReply, error) {
	var out brokerReply
	err := l.p.Ask(ctx, r, &out)
	return out, err
}

// publish publishes n messages to a queue, in order, and says how many were
// confirmed. err is for the child, why for the broker.
func (l *brokerLives) publish(ctx context.Context, q *durableQueue, n, pad int) (confirmed int, why string, err error) {
	ids := q.send(n)
	out, err := l.request(ctx, brokerRequest{Op: askPublish, Queue: q.index, IDs: ids, Pad: pad})
	if err != nil {
		return 0, "", err
	}
	q.confirm(ids[:out.Done])
	return out.Done, out.Why, nil
}

// receive receives up to n messages of a queue.
func (l *brokerLives) receive(ctx context.Context, q *durableQueue, r brokerRequest) ([]wireMessage, error) {
	asked := time.Now()
	r.Op, r.Queue = askReceive, q.index
	out, err := l.request(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, w := range out.Messages {
		q.arrive(w, asked)
	}
	if out.Why != "" && r.Patience == 0 {
		return out.Messages, fmt.Errorf("%w: Receive returned %s", errBroker, out.Why)
	}
	return out.Messages, nil
}

// ack acknowledges deliveries. Where not all were acknowledged for sure, none
// counts as such.
func (l *brokerLives) ack(ctx context.Context, q *durableQueue, all []wireMessage) error {
	if len(all) == 0 {
		return nil
	}
	out, err := l.request(ctx, brokerRequest{Op: askAck, Handles: q.ask(all)})
	if err != nil {
		return err
	}
	if out.Done < len(all) {
		if q.oldest(all) >= durableVisibility {
			return nil // leases may have ended: the kit is to blame
		}
		return fmt.Errorf("%w: Ack returned %s", errBroker, out.Why)
	}
	q.acked(all)
	return nil
}

// check fetches everything that a queue holds, and acknowledges a part of it:
// a message that is published now ends it.
func (l *brokerLives) check(ctx context.Context, q *durableQueue, part float64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, durableVisibility+scenario.Stall,
		fmt.Errorf("%w: after restart %d a message published to queue %d did not come within %v",
			errBroker, l.life, q.index, durableVisibility+scenario.Stall))
	defer cancel()
	confirmed, why, err := l.publish(ctx, q, 1, 0)
	if err != nil {
		return err
	} else if confirmed == 0 {
		return fmt.Errorf("%w: after restart %d Publish returned %s", errBroker, l.life, why)
	}
	end := q.sent()
	until := q.id(end - 1)
	var all []wireMessage
	for {
		got, err := l.receive(ctx, q, brokerRequest{Count: checkMost, Until: until})
		all = append(all, got...)
		if err != nil {
			return err
		}
		if len(got) > 0 && got[len(got)-1].ID == until {
			break
		}
	}
	// Where leases outlive the broker, their time-outs must end first.
	for began := time.Now(); len(q.missing(end)) > 0 && time.Since(began) < durableVisibility+wait.Pause; {
		got, err := l.receive(ctx, q, brokerRequest{Count: checkMost, Patience: wait.Pause})
		if err != nil {
			return err
		}
		all = append(all, got...)
	}
	q.settle(end)
	return l.ack(ctx, q, q.some(all, part))
}

// checkAll checks all queues at once.
func (l *brokerLives) checkAll(ctx context.Context, part float64) error {
	errs := make([]error, len(l.queues))
	if !wait.AllWithin(ctx, scenario.Settle, len(l.queues), func(i int) { errs[i] = l.check(ctx, l.queues[i], part) }) {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// work publishes and consumes at all queues until n messages were confirmed and
// one is being acknowledged, and kills the broker a moment later, in the middle of
// everything.
func (l *brokerLives) work(ctx context.Context, n int) error {
	stall := wait.NewStall(ctx, scenario.Stall)
	defer stall.Release()
	ctx = stall
	var confirmed, acking atomic.Int64
	enough := make(chan struct{})
	stall.Watch(wait.Counter(&confirmed))
	// The work ends with the child; an error of the broker ends it before.
	ends := func(err error) bool {
		if errors.Is(err, errBroker) {
			stall.End(err)
		}
		return err != nil
	}
	var once sync.Once
	goOn := func() {
		if int(confirmed.Load()) >= n && acking.Load() > 0 {
			once.Do(func() { close(enough) })
		}
	}
	var all sync.WaitGroup
	for _, q := range l.queues {
		all.Go(func() {
			for {
				some, why, err := l.publish(ctx, q, q.draw(workMost), 0)
				if why != "" {
					err = fmt.Errorf("%w: Publish returned %s", errBroker, why)
				}
				if ends(err) {
					return
				}
				confirmed.Add(int64(some))
				goOn()
			}
		})
		all.Go(func() {
			for {
				some := q.available(workMost)
				if some == 0 {
					select {
					case <-q.more:
						continue
					case <-ctx.Done():
						return
					case <-l.p.Ended():
						return
					}
				}
				got, err := l.receive(ctx, q, brokerRequest{Count: some})
				if ends(err) {
					return
				}
				these := q.some(got, ackInWork)
				acking.Add(int64(len(these)))
				goOn()
				if ends(l.ack(ctx, q, these)) {
					return
				}
			}
		})
	}
	long := time.NewTimer(killTime)
	defer long.Stop()
	select {
	case <-enough:
		instant := time.NewTimer(time.Duration(l.random.Int64N(int64(killWithin))))
		<-instant.C
	case <-long.C: // of a slow machine this is enough
	case <-ctx.Done():
	case <-l.p.Ended():
	}
	err := l.kill()
	all.Wait()
	stall.Stop()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
