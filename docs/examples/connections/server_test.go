package connections_test

import (
	"testing"

	"example.com/yours/connections"

	"tensile/stress"
	"tensile/stress/conntest"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressConnections(t *testing.T) { conntest.TestServer(t, open) }

func BenchmarkConnections(b *testing.B) { conntest.BenchmarkServer(b, open) }

func open(_ testing.TB, cfg conntest.Config) conntest.Server {
	if cfg.Idle {
		return nil // not offered: it has a goroutine for each connection, idle or not
	}
	return connections.New(conntest.FrameSize, func(session *conntest.State, frame []byte) {
		session.Answer((*[conntest.FrameSize]byte)(frame))
	})
}
