package transporttest

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/payload"
	"tensile/stress/node"
)

// strangerConns are the connections of those who have no secret.
const strangerConns = 300

// strangers has a node with another secret try to call, and others hold
// connections on which they say nothing, little, or nonsense. Calls go on
// meanwhile.
func (k *kit) strangers(ctx context.Context, _ *testing.T) {
	names := k.Names()
	if !k.Intruder(ctx, "node-101") {
		return
	}
	target := k.Addr(names[0])
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	nonsense := [][]byte{
		nil,
		{0},
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, // a length of 4 GB, to many
		make([]byte, 4096),
	}
	for i := range strangerConns {
		conn, err := nodes.Dialer.DialContext(ctx, "tcp", target)
		if err != nil {
			break // it need not accept them
		}
		conns = append(conns, conn)
		_, _ = conn.Write(nonsense[i%len(nonsense)]) // it need not read them
	}
	for _, wrong := range k.Pairs(ctx, names) {
		k.Violate("secret", "while %d strangers held connections to %s a call failed: %s", len(conns), names[0], wrong)
	}
	var listening sync.WaitGroup
	for _, c := range conns {
		listening.Go(func() {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // it has been told by now, or is not
			buf := make([]byte, 4096)
			n, _ := c.Read(buf)
			for _, name := range names {
				if bytes.Contains(buf[:n], []byte(name)) {
					k.Violate("secret", "a stranger was told of %s", name)
				}
			}
		})
	}
	listening.Wait()
}

// garbled damages what one node sends another, again and again, while all
// others call each other.
func (k *kit) garbled(ctx context.Context, _ *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	names := k.Names()
	from, to := names[0], names[1]
	var conns int
	if err := k.Ask(ctx, from, nodes.Order{Do: "damage", To: []string{k.Addr(to)}}, &conns); err != nil {
		k.Fault("%v", err)
		return
	}
	if conns == 0 {
		k.NotOffered("garbled", "the subject does not dial with the function that it is given")
		return
	}
	k.Steady([]string{from, to}, false) // they may lose each other for a moment
	for range rounds {
		if err := k.Ask(ctx, from, nodes.Order{Do: "damage", To: []string{k.Addr(to)}}, &conns); err != nil {
			k.Fault("%v", err)
			return
		}
		if !k.garble(ctx, names, from, to) {
			break
		}
	}
	if k.Lists(ctx, names, names, node.Alive) == "" {
		k.Steady([]string{from, to}, true)
	}
}

// garble has one node call another, over a connection that will damage what it
// carries, while all others call each other.
func (k *kit) garble(ctx context.Context, names []string, from, to string) bool {
	var beside map[string]nodes.Result
	var bystanders sync.WaitGroup
	bystanders.Go(func() {
		beside = k.offer(ctx, "open", nodes.Load{At: time.Now().UnixNano(), Size: payload.SmallRequest,
			Each: int(lightRate * garbleTime.Seconds()),
			Rate: lightRate * float64(len(names)-1), Seed: k.Seed}, names, func(n string) []string {
			if n == from {
				return nodes.Others(names, from, to)
			}
			return nodes.Others(names, n)
		})
	})
	l := k.begins(nodes.Load{Size: payload.SmallRequest, Each: 200, InFlight: 20})
	k.expect(ctx, l, names)
	garbled := k.offer(ctx, "closed", l, []string{from}, func(string) []string { return []string{to} })
	replies, _ := k.replied(garbled)
	arrivals := k.arrived(ctx, names, garbled)
	bystanders.Wait()
	if n := replies.Corrupted + arrivals.Corrupted + replies.Misrouted + arrivals.Misrouted; n > 0 {
		k.Violate("garbled", "a garbled frame from %s to %s was accepted: %v, %v", from, to, replies, arrivals)
	}
	if replies.Lost > 0 {
		k.Violate("garbled", "a frame from %s to %s was garbled, and %d calls never ended", from, to, replies.Lost)
	}
	if b, first := k.replied(beside); b.Refused > 0 || !b.Clean() {
		k.Violate("garbled", "a frame from %s to %s was garbled, and other calls failed: %d ended with an error, the first "+
			"with: %s; %v",
			from, to, b.Refused, first, b)
	}
	if wrong := k.callable(ctx, []string{from}, to); wrong != "" {
		k.Violate("garbled", "a frame from %s to %s was garbled, and %s", from, to, wrong)
	}
	return !k.Failed()
}

// garbleTime is how long after a frame was garbled its harm to others shows.
const garbleTime = 200 * time.Millisecond
