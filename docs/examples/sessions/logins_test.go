package sessions_test

import (
	"context"
	"net"
	"testing"
	"time"

	"example.com/yours/sessions"

	"tensile/stress"
	"tensile/stress/sessiontest"
)

func TestMain(m *testing.M) { stress.Main(m) }

// TestStressSessions is executed again for each node, so code before the call of the kit
// runs in each of them.
func TestStressSessions(t *testing.T) { sessiontest.TestStore(t, start) }

func BenchmarkSessions(b *testing.B) { sessiontest.BenchmarkStore(b, start) }

// start is called in the process of the node.
func start(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	logins, err := sessions.Open(ctx, sessions.Config{
		Name: cfg.Name, Nodes: cfg.Nodes, Listen: cfg.Listen, Seeds: cfg.Seeds, Secret: cfg.Secret,
		// Connect to another node over the links that the kit cuts, not directly to the
		// address of that node.
		Dial: func(ctx context.Context, name, addr string) (net.Conn, error) {
			if link, ok := cfg.Peers[name]; ok {
				addr = link
			}
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
		Reachable: cfg.Reach,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return subject{logins}
}

// subject adapts a node to the kit. It has Replicated, so the kit need not wait for as long
// as replication may take.
type subject struct{ *sessions.Logins }

func (subject) Errors() sessiontest.Errors {
	return sessiontest.Errors{NotFound: sessions.ErrNone, Refused: sessions.ErrRefused}
}
