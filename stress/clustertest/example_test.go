package clustertest_test

import (
	"context"
	"fmt"
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

// Nodes of package cluster, and the test that takes them through the scenario. The kit starts nodes
// as here, each in a process of its own.
func Example() {
	_ = testStressCluster
	begin := func(name string, seeds ...string) node.Node {
		n, err := start(nil, node.Config{
			Name: name, Bind: "127.0.0.1:0", Seeds: seeds, Secret: make([]byte, 32),
			Window: 1 << 20, CallTimeout: 5 * time.Second,
			Handle: func(from string, request []byte, reply func([]byte)) { reply([]byte("hello, " + from)) },
			Dial: func(ctx context.Context, addr string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", addr)
			},
			MaySend: func(string) bool { return true },
		})
		if err != nil {
			panic(err)
		}
		return n
	}
	a := begin("a")
	defer a.Close()
	b := begin("b", a.Addr())
	defer b.Close()
	fmt.Println("b lists", b.Members())
	answered := make(chan string)
	b.Call("a", []byte("who is there?"), func(reply []byte, err error) { answered <- fmt.Sprint(string(reply), " ", err) })
	fmt.Println("a replies:", <-answered)
	// Output:
	// b lists [{a alive}]
	// a replies: hello, b <nil>
}
