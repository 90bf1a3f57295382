package nats

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tensile/stress/sessiontest"
)

// storeVariable is the folder in which the servers of sessions have theirs: a
// server that comes back has what it had.
const storeVariable = "TENSILE_NATS_STORE"

func TestStressSessions(t *testing.T) {
	chosen(t)
	if os.Getenv(storeVariable) == "" { // else this is a node
		t.Setenv(storeVariable, t.TempDir())
	}
	sessiontest.TestStore(t, startSessions)
}

// sessions are a bucket of JetStream: a stream with three replicas that keeps the
// last message of each subject. Reads go to the leader of the stream, and not to
// any replica as those of a bucket do by themselves.
type sessions struct {
	server *server.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	bucket atomic.Pointer[jetstream.KeyValue] // nil until there is one
	cancel context.CancelFunc
	done   chan struct{}
}

var (
	errNotFound = errors.New("nats: no such session")
	errRefused  = errors.New("nats: nobody takes the operation")
)

const (
	bucketName = "sessions"
	replicas   = 3
)

func startSessions(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	secret := hex.EncodeToString(cfg.Secret)
	o, err := clusterOptions(cfg.Name, cfg.Listen, secret)
	if err != nil {
		tb.Fatal(err)
	}
	o.Username, o.Password = "app", secret
	o.JetStream, o.StoreDir = true, storeDir(cfg)
	// Servers tell each other where the others are, which is not the way over the
	// links: what they tell leads nowhere.
	o.Cluster.Advertise, o.Cluster.ConnectRetries = "127.0.0.1:1", 0
	for _, addr := range cfg.Peers {
		o.Routes = append(o.Routes, route(addr, secret))
	}
	s := &sessions{done: make(chan struct{})}
	if s.server, err = start(o); err != nil {
		tb.Fatal(err)
	}
	s.nc = connect(tb, s.server.ClientURL(), nats.UserInfo("app", secret))
	if s.js, err = jetstream.New(s.nc); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.open(ctx)
	return s
}

func storeDir(cfg sessiontest.Config) string {
	cluster := sha256.Sum256(cfg.Secret)
	return filepath.Join(os.Getenv(storeVariable), hex.EncodeToString(cluster[:8]), cfg.Name)
}

// open tries until there is a bucket: it takes a majority of the servers.
func (s *sessions) open(ctx context.Context) {
	defer close(s.done)
	for ctx.Err() == nil {
		if b, err := s.create(ctx); err == nil {
			s.bucket.Store(&b)
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (s *sessions) create(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := s.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "KV_" + bucketName, Subjects: []string{"$KV." + bucketName + ".>"}, MaxMsgsPerSubject: 1, Replicas: replicas,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true, AllowMsgTTL: true,
	})
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, err
	}
	return s.js.KeyValue(ctx, bucketName)
}

func (s *sessions) Errors() sessiontest.Errors {
	return sessiontest.Errors{NotFound: errNotFound, Refused: errRefused}
}

// token is a key as a part of a subject.
func token(key string) string { return "k" + hex.EncodeToString([]byte(key)) }

// wrong makes an error of an operation one that the kit can tell.
func wrong(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return errNotFound
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

// Put writes when the session expires before its value: a bucket counts lives in
// whole seconds, after which it removes what is still there.
func (s *sessions) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if s.bucket.Load() == nil {
		return errRefused
	}
	body := make([]byte, expirySize, expirySize+len(value))
	var opts []jetstream.PublishOpt
	if ttl > 0 {
		binary.LittleEndian.PutUint64(body, uint64(time.Now().Add(ttl).UnixNano()))
		opts = append(opts, jetstream.WithMsgTTL(ttl.Truncate(time.Second)+2*time.Second))
	}
	_, err := s.js.Publish(ctx, "$KV."+bucketName+"."+token(key), append(body, value...), opts...)
	return wrong(err)
}

const expirySize = 8

func (s *sessions) Get(ctx context.Context, key string) ([]byte, error) {
	b := s.bucket.Load()
	if b == nil {
		return nil, errRefused
	}
	e, err := (*b).Get(ctx, token(key))
	if err != nil {
		return nil, wrong(err)
	}
	value := e.Value()
	if len(value) < expirySize {
		return nil, fmt.Errorf("nats: %q has %d bytes, must be %d and more", key, len(value), expirySize)
	}
	if at := int64(binary.LittleEndian.Uint64(value)); at > 0 && time.Now().UnixNano() >= at {
		return nil, errNotFound
	}
	return value[expirySize:], nil
}

func (s *sessions) Delete(ctx context.Context, key string) error {
	b := s.bucket.Load()
	if b == nil {
		return errRefused
	}
	return wrong((*b).Delete(ctx, token(key)))
}

func (s *sessions) Close() error {
	s.cancel()
	<-s.done
	s.nc.Close()
	stop(s.server)
	return nil
}
