package mesh_test

import (
	"context"
	"testing"
	"time"

	"example.com/yours/mesh"

	"tensile/stress"
	"tensile/stress/clustertest"
	"tensile/stress/node"
	"tensile/stress/transporttest"
)

func TestMain(m *testing.M) { stress.Main(m) }

// Both tests are executed again for each node, so code before the call of the kit runs in each
// of them.

func TestStressCluster(t *testing.T) { clustertest.TestCluster(t, start) }

func TestStressTransport(t *testing.T) { transporttest.TestTransport(t, start) }

func BenchmarkCluster(b *testing.B) { clustertest.BenchmarkCluster(b, start) }

func BenchmarkTransport(b *testing.B) { transporttest.BenchmarkTransport(b, start) }

// start is called in the process of the node.
func start(_ testing.TB, cfg node.Config) (node.Node, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n, err := mesh.Start(ctx, mesh.Config{
		Name: cfg.Name, Listen: cfg.Bind, Seeds: cfg.Seeds, Secret: cfg.Secret,
		Window: cfg.Window, Timeout: cfg.CallTimeout, Handle: cfg.Handle, Dial: cfg.Dial,
	})
	if err != nil {
		return nil, err
	}
	return subject{n}, nil
}

// subject adapts a node to the kit.
type subject struct{ *mesh.Node }

func (s subject) Members() []node.Member {
	var all []node.Member
	for name, state := range s.Node.Members() {
		all = append(all, node.Member{Name: name, State: node.State(state)})
	}
	return all
}

func (subject) Errors() node.Errors {
	return node.Errors{
		Unauthenticated: mesh.ErrSecret, NameTaken: mesh.ErrNameTaken, AddressTaken: mesh.ErrAddressTaken,
		Unreachable: mesh.ErrUnreachable, Overloaded: mesh.ErrOverloaded,
	}
}
