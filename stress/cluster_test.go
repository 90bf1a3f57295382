package stress_test

import (
	"context"
	"net"
	"testing"
	"time"

	"tensile/cluster"
	"tensile/stress/clustertest"
	"tensile/stress/node"
)

func TestStressCluster(t *testing.T) { clustertest.TestCluster(t, startNode) }

// subjectNode is package cluster behind the interface of the kit.
type subjectNode struct{ *cluster.Node }

func startNode(_ testing.TB, cfg node.Config) (node.Node, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n, err := cluster.Start(ctx, cluster.Config{
		Name: cfg.Name, Bind: cfg.Bind, Seeds: cfg.Seeds, Secret: cfg.Secret, Window: cfg.Window,
		CallTimeout: cfg.CallTimeout,
		Handler: func(r cluster.Request) {
			if r.OneWay() {
				cfg.Handle(r.From, r.Body, nil)
				return
			}
			// a caller that is gone is told by its own side
			cfg.Handle(r.From, r.Body, func(reply []byte) { _ = r.Reply(reply) })
		},
		Dial:     func(ctx context.Context, to cluster.Member) (net.Conn, error) { return cfg.Dial(ctx, to.Addr) },
		Datagram: func(to cluster.Member) bool { return cfg.MaySend(to.Addr) },
	})
	if err != nil {
		return nil, err
	}
	return subjectNode{n}, nil
}

func (n subjectNode) Members() []node.Member {
	var all []node.Member
	for _, m := range n.Node.Members() {
		if m.Name != n.Name() {
			all = append(all, node.Member{Name: m.Name, State: node.State(m.State.String())})
		}
	}
	return all
}

func (n subjectNode) Call(to string, request []byte, done func([]byte, error)) {
	n.Go(to, request, done)
}

func (n subjectNode) Send(to string, message []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return n.Node.Send(ctx, to, message)
}

func (subjectNode) Errors() node.Errors {
	return node.Errors{
		Unauthenticated: cluster.ErrUnauthenticated, NameTaken: cluster.ErrNameTaken, AddressTaken: cluster.ErrAddressTaken,
		Unreachable: cluster.ErrUnreachable, Overloaded: cluster.ErrOverloaded,
	}
}
