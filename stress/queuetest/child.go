package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/disk"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
)

// brokerRole is the child process that holds the durable broker.
const brokerRole = "broker"

// brokerRequest is what the parent asks for.
type brokerRequest struct {
	Op    string `json:"op"`
	Queue int    `json:"q,omitempty"`
	// IDs are what askPublish publishes, in order, with Pad bytes behind each.
	IDs []uint64 `json:"ids,omitempty"`
	Pad int      `json:"pad,omitempty"`
	// Count is how many askReceive receives, at most; it ends before with the
	// message Until, or after Patience.
	Count    int           `json:"n,omitempty"`
	Until    uint64        `json:"until,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`
	// Dead has askReceive receive from the dead-letter queue.
	Dead bool `json:"dead,omitempty"`
	// Batch has one call do it all, where the broker is a Batching broker.
	Batch bool `json:"batch,omitempty"`
	// Handles are the deliveries that askAck acknowledges and askNack refuses,
	// all at once, the latter for Delay where that can be.
	Handles []uint64      `json:"h,omitempty"`
	Delay   time.Duration `json:"delay,omitempty"`
	// Limit is for askLimit, in bytes; Fail for askFail.
	Limit int64 `json:"limit,omitempty"`
	Fail  int   `json:"fail,omitempty"`
}

// The operations.
const (
	askPublish   = "publish"
	askReceive   = "receive"
	askAck       = "ack"
	askNack      = "nack"
	askLimit     = "limit"     // bound the size of files
	askIntercept = "intercept" // take the syncs over
	askHold      = "hold"      // and hold them up
	askSlow      = "slow"      // and have each take Delay longer
	askFail      = "fail"      // have some of them fail, and let go what is held up
	askSyncs     = "syncs"     // say how many there were
)

// brokerReply is what the child answers.
type brokerReply struct {
	Done     int           `json:"n,omitempty"`    // published, acknowledged, refused, or syncs
	Full     bool          `json:"full,omitempty"` // the queue took no more
	Delayed  bool          `json:"delayed,omitempty"`
	Why      string        `json:"why,omitempty"` // no more: what the broker said
	Messages []wireMessage `json:"m,omitempty"`
}

// wireMessage is a delivery as the parent sees it.
type wireMessage struct {
	Handle  uint64 `json:"h"`
	ID      uint64 `json:"id"`
	Attempt int    `json:"a"`
	Intact  bool   `json:"ok"`
}

// brokerReady is emitted once the broker is open.
type brokerReady struct {
	Reports bool // the broker is a Recovering
	Torn    []Gap
	Damaged []Gap
}

// brokerServer is the child's side.
type brokerServer struct {
	b     Broker
	dir   string
	syncs *disk.Syncs

	mu   sync.Mutex
	last uint64
	held map[uint64]Delivery
}

// serveBroker opens the broker of the subject and does what the parent says.
func serveBroker(t *testing.T, l *proc.Link, open func(testing.TB, Config) Broker) error {
	var cfg Config
	if err := l.Config(&cfg); err != nil {
		return err
	}
	s := &brokerServer{b: open(t, cfg), dir: cfg.Dir, held: make(map[uint64]Delivery)}
	var ready brokerReady
	if r, ok := s.b.(Recovering); ok {
		ready.Reports = true
		ready.Torn, ready.Damaged = r.Recovered()
	}
	if err := l.Emit(ready); err != nil {
		return err
	}
	return errors.Join(proc.Serve(l, s.answer), s.b.Close())
}

func (s *brokerServer) answer(r brokerRequest) (any, error) {
	switch r.Op {
	case askPublish:
		return s.publish(r), nil
	case askReceive:
		return s.receive(r), nil
	case askAck:
		return s.ack(r), nil
	case askNack:
		return s.nack(r), nil
	case askLimit:
		return brokerReply{}, disk.LimitFileSize(r.Limit)
	case askIntercept:
		return s.intercept(), nil
	case askHold:
		s.syncs.Hold()
	case askSlow:
		s.syncs.Slow(r.Delay)
	case askFail:
		s.syncs.Fail(r.Fail)
		s.syncs.Release()
	case askSyncs:
		return brokerReply{Done: s.syncs.Calls()}, nil
	default:
		return nil, fmt.Errorf("unknown operation %q", r.Op)
	}
	return brokerReply{}, nil
}

// publish publishes messages up to the first that fails.
func (s *brokerServer) publish(r brokerRequest) (out brokerReply) {
	bodies := make([][]byte, len(r.IDs))
	for i, id := range r.IDs {
		bodies[i] = append(payload.Body(id), bytes.Repeat([]byte{0xa5}, r.Pad)...)
	}
	if b, ok := s.b.(Batching); ok && r.Batch {
		if err := b.PublishBatch(context.Background(), r.Queue, bodies); err != nil {
			s.refused(&out, err)
			return out
		}
		out.Done = len(bodies)
		return out
	}
	for _, body := range bodies {
		if err := s.b.Publish(context.Background(), r.Queue, body); err != nil {
			s.refused(&out, err)
			break
		}
		out.Done++
	}
	return out
}

// refused says why a Publish failed.
func (s *brokerServer) refused(out *brokerReply, err error) {
	if b, ok := s.b.(Bounded); ok && errors.Is(err, b.Full()) {
		out.Full = true
		return
	}
	out.Why = err.Error()
}

func (s *brokerServer) receive(r brokerRequest) (out brokerReply) {
	ctx := context.Background()
	if r.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Patience)
		defer cancel()
	}
	if b, ok := s.b.(Batching); ok && r.Batch {
		all, err := b.ReceiveBatch(ctx, r.Queue, r.Count)
		if err != nil {
			out.Why = err.Error()
		}
		for _, d := range all {
			out.Messages = append(out.Messages, s.hold(d))
		}
		return out
	}
	receive := s.b.Receive
	if r.Dead {
		receive = s.b.(DeadLetter).ReceiveDead
	}
	for range r.Count {
		d, err := receive(ctx, r.Queue)
		if err != nil {
			out.Why = err.Error()
			break
		}
		w := s.hold(d)
		out.Messages = append(out.Messages, w)
		if w.ID == r.Until {
			break
		}
	}
	return out
}

// hold keeps a delivery for the parent.
func (s *brokerServer) hold(d Delivery) wireMessage {
	m, intact := payload.ReadBody(d.Body())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.held[s.last] = d
	return wireMessage{s.last, m.ID, d.Attempt(), intact}
}

// letGo returns the deliveries of handles, which the parent needs no more.
func (s *brokerServer) letGo(handles []uint64) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Delivery, len(handles))
	for i, handle := range handles {
		all[i] = s.held[handle]
		delete(s.held, handle)
	}
	return all
}

func (s *brokerServer) ack(r brokerRequest) brokerReply {
	ctx := context.Background()
	held := s.letGo(r.Handles)
	if b, ok := s.b.(Batching); ok && r.Batch {
		if err := b.AckBatch(ctx, r.Queue, held); err != nil {
			return brokerReply{Why: err.Error()}
		}
		return brokerReply{Done: len(held)}
	}
	return allOf(held, func(d Delivery) error { return d.Ack(ctx) })
}

func (s *brokerServer) nack(r brokerRequest) brokerReply {
	var delayed atomic.Bool
	out := allOf(s.letGo(r.Handles), func(d Delivery) error {
		if d, ok := d.(DelayedDelivery); ok && r.Delay > 0 {
			delayed.Store(true)
			return d.NackAfter(r.Delay)
		}
		return d.Nack()
	})
	out.Delayed = delayed.Load()
	return out
}

// allOf does something with all deliveries at the same time.
func allOf(all []Delivery, do func(Delivery) error) (out brokerReply) {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, d := range all {
		wait.Go(func() { errs[i] = do(d) })
	}
	wait.Wait()
	for _, err := range errs {
		if err == nil {
			out.Done++
		} else {
			out.Why = err.Error()
		}
	}
	return out
}

// intercept takes the syncs over. Where that says nothing of the broker, the
// reply says why.
func (s *brokerServer) intercept() (out brokerReply) {
	if file := syncedByItself(s.dir); file != "" {
		out.Why = fmt.Sprintf("writes to %s sync by themselves (O_DSYNC)", file)
		return out
	}
	syncs, err := disk.Intercept()
	if err != nil {
		out.Why = err.Error()
		return out
	}
	s.syncs, out.Done = syncs, 1
	return out
}

// syncedByItself returns a file in dir that this process has open for writes
// that need no sync, if there is one.
func syncedByItself(dir string) string {
	const dsync = 0o10000 // O_DSYNC, which O_SYNC contains
	files, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range files {
		target, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(target, dir) {
			continue
		}
		info, err := os.ReadFile(strings.Replace(path, "/fd/", "/fdinfo/", 1))
		if err != nil {
			continue
		}
		var position, flags int64
		if _, err := fmt.Sscanf(string(info), "pos:\t%d\nflags:\t%o", &position, &flags); err == nil && flags&dsync != 0 {
			return target
		}
	}
	return ""
}
