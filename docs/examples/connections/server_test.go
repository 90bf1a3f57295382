package connections_test

import (
	"testing"

	"example.com/yours/connections"

	"tensile/stress"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressConnections(t *testing.T) { stress.TestConnections(t, open) }

func BenchmarkConnections(b *testing.B) { stress.BenchmarkConnections(b, open) }

func open(_ testing.TB, cfg stress.ConnectionsConfig) stress.Connections {
	if cfg.Idle {
		return nil // not offered: it has a goroutine for each connection, idle or not
	}
	return connections.New(stress.FrameSize, func(session *stress.Session, frame []byte) {
		session.Answer((*[stress.FrameSize]byte)(frame))
	})
}
