package nats

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"tensile/stress/queuetest"
)

func TestStressQueue(t *testing.T) {
	chosen(t)
	url := at(t)
	queuetest.TestBroker(t, func(tb testing.TB, cfg queuetest.Config) queuetest.Broker { return openBroker(tb, url, cfg) })
}

func BenchmarkQueue(b *testing.B) {
	url := at(b)
	queuetest.BenchmarkBroker(b, func(tb testing.TB, cfg queuetest.Config) queuetest.Broker {
		return openBroker(tb, url, cfg)
	})
}

// broker is a stream with a subject and a pull consumer for each queue. It has no
// dead-letter queue: a message that had all of its attempts stays in its stream,
// where no consumer gets it. A queue that is full refuses and never waits, so
// that the kit is not offered bounds either.
type broker struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	stream    jetstream.Stream
	consumers []jetstream.Consumer
	embedded  *server.Server // nil if the server is another process
	closing   context.Context
	close     context.CancelFunc
}

// Durable: on the disk the server lives in this process, so that it is killed with
// it. The files are as a server has them by itself: what it confirms is with the
// system, which writes it to the disk later.
func (*broker) Durable() {}

const streamOnDisk = "queues"

func openBroker(tb testing.TB, url string, cfg queuetest.Config) queuetest.Broker {
	b := new(broker)
	b.closing, b.close = context.WithCancel(context.Background())
	storage, name := jetstream.MemoryStorage, "queues-"+nuid.Next()
	if cfg.Dir != "" {
		storage, name = jetstream.FileStorage, streamOnDisk
		var err error
		b.embedded, err = start(&server.Options{DontListen: true, JetStream: true, StoreDir: cfg.Dir})
		if err != nil {
			tb.Fatal(err)
		}
		b.nc = connect(tb, "", nats.InProcessServer(b.embedded))
	} else {
		b.nc = connect(tb, url)
	}
	if err := b.declare(name, storage, cfg); err != nil {
		b.shut()
		tb.Fatal(err)
	}
	return b
}

func (b *broker) declare(name string, storage jetstream.StorageType, cfg queuetest.Config) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if b.js, err = jetstream.New(b.nc); err != nil {
		return err
	}
	b.stream, err = b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".*"},
		Storage: storage, Retention: jetstream.WorkQueuePolicy, Duplicates: patience})
	if err != nil {
		return err
	}
	for i := range cfg.Queues {
		c, err := b.stream.CreateOrUpdateConsumer(ctx,
			jetstream.ConsumerConfig{Durable: fmt.Sprint(i), FilterSubject: b.subject(i),
				AckPolicy: jetstream.AckExplicitPolicy, AckWait: cfg.Visibility, MaxAckPending: -1, MaxWaiting: 1 << 16})
		if err != nil {
			return err
		}
		b.consumers = append(b.consumers, c)
	}
	return nil
}

func (b *broker) subject(queue int) string {
	return fmt.Sprintf("%s.%d", b.stream.CachedInfo().Config.Name, queue)
}

// Publish has JetStream tell a message that is sent twice by the identifier it
// has.
func (b *broker) Publish(ctx context.Context, queue int, body []byte) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	_, err := b.js.Publish(ctx, b.subject(queue), body, jetstream.WithMsgID(nuid.Next()))
	return err
}

// bounded ends with ctx, and when the broker is closed.
func (b *broker) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// pullTime is for how long one request for a message stands at the server.
const pullTime = time.Second

// errClosed is what those get who wait when the broker is closed.
var errClosed = errors.New("nats: the broker is closed")

func (b *broker) Receive(ctx context.Context, queue int) (queuetest.Delivery, error) {
	for {
		batch, err := b.consumers[queue].Fetch(1, jetstream.FetchMaxWait(pullTime))
		if err != nil {
			return nil, err
		}
		select {
		case msg, ok := <-batch.Messages():
			if ok {
				return delivery{msg, b.nc}, nil
			}
			if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
				return nil, err
			}
		case <-ctx.Done():
			go refuseLate(batch)
			return nil, ctx.Err()
		case <-b.closing.Done():
			return nil, errClosed
		}
	}
}

// refuseLate gives back what comes to somebody who has gone: a request cannot be
// taken back.
func refuseLate(batch jetstream.MessageBatch) {
	for msg := range batch.Messages() {
		_ = msg.Nak()
	}
}

func (b *broker) Close() error {
	b.close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if b.embedded == nil {
		err = b.js.DeleteStream(ctx, b.stream.CachedInfo().Config.Name)
	}
	b.shut()
	return err
}

func (b *broker) shut() {
	b.close()
	b.nc.Close()
	if b.embedded != nil {
		stop(b.embedded)
	}
}

type delivery struct {
	jetstream.Msg
	nc *nats.Conn
}

func (d delivery) Body() []byte { return d.Data() }

func (d delivery) Attempt() int {
	meta, err := d.Metadata()
	if err != nil {
		return 0
	}
	return int(meta.NumDelivered)
}

// Ack waits until the server has it.
func (d delivery) Ack(ctx context.Context) error { return d.DoubleAck(ctx) }

// Nack waits until the server has it, as Ack does: Msg.Nak only sends it, and a message that was
// published later may be received before it has arrived.
func (d delivery) Nack() error {
	_, err := d.nc.Request(d.Reply(), []byte("-NAK"), patience)
	return err
}
