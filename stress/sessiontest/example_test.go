package sessiontest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"tensile/cluster"
	"tensile/cluster/session"
	"tensile/stress/sessiontest"
)

// member is a node of package session, over package cluster, as the kit calls it.
type member struct {
	node  *cluster.Node
	store *session.Store
}

func start(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	store, err := session.New(session.Config{Name: cfg.Name, Nodes: cfg.Nodes, RepairAfter: 250 * time.Millisecond})
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
				addr = peer // leads over a link that the kit can cut
			}
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
		Datagram: func(to cluster.Member) bool { return cfg.Reach(to.Name) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	store.Start(session.Over(node))
	return member{node, store}
}

func (m member) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := m.store.Put(ctx, key, value, ttl)
	return err
}

func (m member) Get(ctx context.Context, key string) ([]byte, error) {
	found, err := m.store.Get(ctx, key)
	return found.Value, err
}

func (m member) Delete(ctx context.Context, key string) error {
	_, err := m.store.Delete(ctx, key)
	return err
}

// Replicated makes the store one of which the kit also asks that it makes up for the
// loss of a node.
func (m member) Replicated(ctx context.Context, on []string) error {
	return m.store.Replicated(ctx, on...)
}

func (m member) Close() error { return errors.Join(m.store.Close(), m.node.Close()) }

func (member) Errors() sessiontest.Errors {
	return sessiontest.Errors{NotFound: session.ErrNotFound, Refused: session.ErrNoQuorum}
}

// In a file of tests, this is the function TestStressSessions.
func testStressSessions(t *testing.T) { sessiontest.TestStore(t, start) }

// Nodes of package session, and the test that takes them through the scenario. The kit starts nodes
// as here, each in a process of its own.
func Example() {
	_ = testStressSessions
	ctx := context.Background()
	var stores []sessiontest.Store
	var seeds []string
	for _, name := range []string{"a", "b", "c"} {
		s := start(nil, sessiontest.Config{
			Name: name, Nodes: []string{"a", "b", "c"}, Listen: "127.0.0.1:0", Seeds: seeds,
			Secret: make([]byte, 32), Reach: func(string) bool { return true },
		})
		defer s.Close()
		stores = append(stores, s)
		seeds = []string{s.(member).node.Addr()}
	}
	for stores[0].Put(ctx, "user-7", []byte("3 books"), time.Minute) != nil {
		// the nodes have not found each other yet
	}
	value, err := stores[2].Get(ctx, "user-7")
	fmt.Println("c has", string(value), err)
	_, err = stores[1].Get(ctx, "user-8")
	fmt.Println("b has none:", errors.Is(err, stores[1].Errors().NotFound))
	// Output:
	// c has 3 books <nil>
	// b has none: true
}
