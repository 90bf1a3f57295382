package proc

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// NodeNames are those of n nodes.
func NodeNames(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("node-%d", i)
	}
	return all
}

// The ports of nodes lie where the kernel takes none for those who do not ask
// for one: so an address stays free between the lives of a node.
const firstPort, lastPort = 15_000, 32_000

// portsTaken is how many ports this process has looked at. Each is looked at
// once, since several clusters are formed at a time; and processes begin at
// different ones.
var portsTaken atomic.Uint32

// FreeAddr is an address on the loopback that nobody listens at, TCP or UDP.
func FreeAddr() (string, error) {
	var err error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+(uint32(os.Getpid())*197+portsTaken.Add(1))%(lastPort-firstPort))
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err != nil {
			continue
		}
		var p net.PacketConn
		p, err = net.ListenPacket("udp", addr)
		_ = l.Close() // it was only to see
		if err == nil {
			_ = p.Close()
			return addr, nil
		}
	}
	return "", fmt.Errorf("no free port from %d to %d: %w", firstPort, lastPort, err)
}
