package stress_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"tensile/cluster"
	"tensile/cluster/session"
	"tensile/stress/sessiontest"
)

func TestStressSessions(t *testing.T) { sessiontest.TestStore(t, startSessions) }

func BenchmarkSessions(b *testing.B) { sessiontest.BenchmarkStore(b, startSessions) }

// subjectSessions is package session, over package cluster, behind the interface
// of the kit.
type subjectSessions struct {
	node  *cluster.Node
	store *session.Store
}

func startSessions(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	return startStore(tb, cfg, 250*time.Millisecond)
}

// startStore starts a node that makes up for one that is lost after repairAfter.
func startStore(tb testing.TB, cfg sessiontest.Config, repairAfter time.Duration) subjectSessions {
	store, err := session.New(session.Config{
		Name: cfg.Name, Nodes: cfg.Nodes, Timeout: 10 * time.Second, RepairAfter: repairAfter,
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := cluster.Start(ctx, cluster.Config{
		Name: cfg.Name, Bind: cfg.Listen, Seeds: cfg.Seeds, Secret: cfg.Secret, Handler: store.Serve,
		Dial: func(ctx context.Context, to cluster.Member) (net.Conn, error) {
			addr := to.Addr
			if peer, ok := cfg.Peers[to.Name]; ok {
				addr = peer
			}
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
		Datagram: func(to cluster.Member) bool { return cfg.Reach(to.Name) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	store.Start(session.Over(node))
	return subjectSessions{node, store}
}

func (s subjectSessions) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := s.store.Put(ctx, key, value, ttl)
	return err
}

func (s subjectSessions) Get(ctx context.Context, key string) ([]byte, error) {
	found, err := s.store.Get(ctx, key)
	return found.Value, err
}

func (s subjectSessions) Delete(ctx context.Context, key string) error {
	_, err := s.store.Delete(ctx, key)
	return err
}

func (s subjectSessions) Replicated(ctx context.Context, on []string) error {
	return s.store.Replicated(ctx, on...)
}

func (s subjectSessions) Close() error { return errors.Join(s.store.Close(), s.node.Close()) }

func (subjectSessions) Errors() sessiontest.Errors {
	return sessiontest.Errors{NotFound: session.ErrNotFound, Refused: session.ErrNoQuorum}
}
