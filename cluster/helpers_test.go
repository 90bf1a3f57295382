package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = NewSecret()

// patience bounds what only a fault makes slow.
const patience = 20 * time.Second

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// pair are the keys of both ends of a connection.
func pair(t testing.TB) (one, other session) {
	var all [4]*direction
	for i := range all {
		key := make([]byte, keySize)
		key[0] = byte(i % 2)
		d, err := newDirection(key)
		require.NoError(t, err)
		all[i] = d
	}
	return session{all[0], all[1]}, session{all[3], all[2]}
}

func echo(r Request) { _ = r.Reply(r.Body) }

func config(name string, seeds ...string) Config {
	cfg := Config{Name: name, Bind: "127.0.0.1:0", Secret: secret, Seeds: seeds, Handler: echo}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", name)
	}
	return cfg
}

func start(t testing.TB, cfg Config) *Node {
	n, err := Start(soon(t), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// form starts nodes "a", "b" and so on and waits until each lists all.
func form(t testing.TB, k int, change func(*Config)) []*Node {
	var nodes []*Node
	for i := range k {
		cfg := config(string(rune('a' + i)))
		if i > 0 {
			cfg.Seeds = []string{nodes[0].Addr()}
		}
		if change != nil {
			change(&cfg)
		}
		nodes = append(nodes, start(t, cfg))
	}
	for _, n := range nodes {
		for _, o := range nodes {
			if o != n {
				awaitMember(t, n, o.Name(), Alive)
			}
		}
	}
	return nodes
}

// awaitMember waits until n lists a member in a state.
func awaitMember(t testing.TB, n *Node, name string, s State) Member {
	t.Helper()
	var found Member
	await(t, fmt.Sprintf("%s listed as %v by %s", name, s, n.Name()), func() bool {
		for _, m := range n.Members() {
			if m.Name == name && m.State == s {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx := soon(t)
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for !holds() {
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
