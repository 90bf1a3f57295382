package durability

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tensile/stress/storagetest"
)

// stream is a stream of NATS JetStream, in a server of its own, over its file
// store.
type stream struct {
	s  *server.Server
	nc *nats.Conn
	js nats.JetStreamContext
}

const streamName = "LOG"

// openJetStream opens one with the defaults, or with sync_interval: always.
func openJetStream(always bool) func(dir string) (storagetest.Log, error) {
	return func(dir string) (storagetest.Log, error) {
		s, err := server.NewServer(&server.Options{ServerName: "one", JetStream: true, StoreDir: dir, DontListen: true,
			SyncAlways: always, NoLog: true, NoSigs: true})
		if err != nil {
			return nil, err
		}
		s.Start()
		if !s.ReadyForConnections(5 * time.Second) {
			s.Shutdown()
			return nil, errors.New("the server is not ready")
		}
		l := &stream{s: s}
		if l.nc, err = nats.Connect("", nats.InProcessServer(s)); err != nil {
			s.Shutdown()
			return nil, err
		}
		if l.js, err = l.nc.JetStream(nats.MaxWait(5 * time.Second)); err == nil {
			_, err = l.js.AddStream(&nats.StreamConfig{Name: streamName, Subjects: []string{"log"}, Storage: nats.FileStorage})
		}
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		return l, nil
	}
}

func (l *stream) Append(record []byte) error {
	_, err := l.js.Publish("log", record)
	return err
}

func (l *stream) Records() (all [][]byte, err error) {
	info, err := l.js.StreamInfo(streamName)
	if err != nil {
		return nil, err
	}
	for n := info.State.FirstSeq; n > 0 && n <= info.State.LastSeq; n++ {
		m, err := l.js.GetMsg(streamName, n)
		if errors.Is(err, nats.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m.Data)
	}
	return all, nil
}

func (l *stream) Close() error {
	l.nc.Close()
	l.s.Shutdown()
	l.s.WaitForShutdown()
	return nil
}
