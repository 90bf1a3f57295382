package clustertest_test

import (
	"context"
	"net"
	"testing"
	"time"

	"tensile/cluster"
	"tensile/stress/clustertest"
	"tensile/stress/node"
)

// member is a node of package cluster as the kit calls it.
type member struct{ *cluster.Node }

func start(_ testing.TB, cfg node.Config) (node.Node, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n, err := cluster.Start(ctx, cluster.Config{
		Name: cfg.Name, Bind: cfg.Bind, Seeds: cfg.Seeds, Secret: cfg.Secret,
		Window: cfg.Window, CallTimeout: cfg.CallTimeout,
		Handler: func(r cluster.Request) {
			if r.OneWay() {
				cfg.Handle(r.From, r.Body, nil)
				return
			}
			cfg.Handle(r.From, r.Body, func(reply []byte) { _ = r.Reply(reply) })
		},
		Dial:     func(ctx context.Context, to cluster.Member) (net.Conn, error) { return cfg.Dial(ctx, to.Addr) },
		Datagram: func(to cluster.Member) bool { return cfg.MaySend(to.Addr) },
	})
	if err != nil {
		return nil, err
	}
	return member{n}, nil
}

func (m member) Members() []node.Member {
	var all []node.Member
	for _, other := range m.Node.Members() {
		if other.Name != m.Name() {
			all = append(all, node.Member{Name: other.Name, State: node.State(other.State.String())})
		}
	}
	return all
}

func (m member) Call(to string, request []byte, done func([]byte, error)) { m.Go(to, request, done) }

func (m member) Send(to string, message []byte) error {
	return m.Node.Send(context.Background(), to, message)
}

func (member) Errors() node.Errors {
	return node.Errors{
		Unauthenticated: cluster.ErrUnauthenticated, NameTaken: cluster.ErrNameTaken,
		AddressTaken: cluster.ErrAddressTaken, Unreachable: cluster.ErrUnreachable,
		Overloaded: cluster.ErrOverloaded,
	}
}

// In a file of tests, this is the function TestStressCluster.
func testStressCluster(t *testing.T) { clustertest.TestCluster(t, start) }

// Nodes of package cluster, and the test that takes them through the scenario.
func Example() { _ = testStressCluster }
