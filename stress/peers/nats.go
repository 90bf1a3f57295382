package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsPatience bounds the start of a server and the end of what it was given.
const natsPatience = 2 * time.Minute

// natsServer starts a server in this process, with JetStream in dir unless that
// is empty, and connects to it without a network.
func natsServer(dir string, syncAlways bool) (nc *nats.Conn, end func() error, err error) {
	s, err := server.NewServer(&server.Options{DontListen: true, NoLog: true, NoSigs: true,
		JetStream: dir != "", StoreDir: dir, SyncAlways: syncAlways})
	if err != nil {
		return nil, nil, err
	}
	s.Start()
	stop := func() error {
		s.Shutdown()
		s.WaitForShutdown()
		return nil
	}
	if !s.ReadyForConnections(natsPatience) {
		return nil, nil, errors.Join(errors.New("nats: the server does not start"), stop())
	}
	nc, err = nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return nc, func() error { nc.Close(); return stop() }, nil
}

// jetStreamCycles publishes n messages to a stream in memory, fetches and
// acknowledges them all at the same time, and returns how many a second held.
func jetStreamCycles(n int) (float64, error) {
	dir, remove, err := tempDir()
	if err != nil {
		return 0, err
	}
	defer remove()
	nc, end, err := natsServer(dir, false)
	if err != nil {
		return 0, err
	}
	x, err := jetStreamRate(nc, n)
	return x, errors.Join(err, end())
}

func jetStreamRate(nc *nats.Conn, n int) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), natsPatience)
	defer cancel()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(queues*held))
	if err != nil {
		return 0, err
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "q", Subjects: []string{"q"},
		Storage: jetstream.MemoryStorage, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		return 0, err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c",
		AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: queues * held})
	if err != nil {
		return 0, err
	}
	return perSecond(n, func() error {
		body := make([]byte, bodySize)
		published := make(chan error, 1)
		go func() {
			published <- repeat(n, func(int) error { _, err := js.PublishAsync("q", body); return err })
		}()
		for got := 0; got < n; {
			batch, err := consumer.Fetch(min(1000, n-got))
			if err != nil {
				return err
			}
			for m := range batch.Messages() {
				got++
				if err := m.Ack(); err != nil {
					return err
				}
			}
			if ctx.Err() != nil {
				return fmt.Errorf("jetstream: %d of %d messages came within %v", got, n, natsPatience)
			}
		}
		if err := <-published; err != nil {
			return err
		}
		for { // acknowledgements are not confirmed: they are there once the stream is empty
			info, err := stream.Info(ctx)
			if err != nil || info.State.Msgs == 0 {
				return err
			}
		}
	})
}
