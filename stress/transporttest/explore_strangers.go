package transporttest

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
)

// What a node may take for strangers, who have proved nothing: [node.Node] says so.
const (
	strangersMemory     = 64 << 20
	strangersGoroutines = 64
	eachMemory          = 64 << 10
	eachGoroutines      = 4
)

// crowds are how many strangers there are at once, one crowd after the other: a node that
// believes lengths takes a gigabyte for each. The last says half of what a node says first.
var crowds = []int{4, 64, 1000}

// opStrangers has strangers hold connections to a node: with lengths, and with parts of what
// a node says first to another. What the node takes meanwhile is bounded.
func (w *world) opStrangers(choice int) *programs.Act {
	at, other, _ := w.pair(choice)
	if w.taken() || w.struck {
		return nil
	}
	w.alone = true
	return &programs.Act{Text: fmt.Sprintf("strangers at %s: %v at once", short(at), crowds), Do: func() programs.Next {
		hellos, err := ask[nodes.Hello](w.Context(), []*member{other}, nodes.Order{Do: "hello"})
		w.check(other, err)
		quiet := w.usage(at)[at]
		held := &crowd{w: w, at: at, hello: hellos[other].Bytes}
		defer held.leave()
		for i, n := range crowds {
			_, err := ask[any](w.Context(), []*member{at}, nodes.Order{Do: "follow"})
			w.check(at, err)
			held.grow(n, i == len(crowds)-1)
			w.mends() // calls go on meanwhile
			peak, err := ask[nodes.Usage](w.Context(), []*member{at}, nodes.Order{Do: "followed"})
			w.check(at, err)
			w.judgeStrangers(at, n, quiet, peak[at], w.usage(at)[at])
		}
		w.Tried("strangers")
		held.leave()
		if !w.until(scenario.Settle, func() bool { return w.usage(at)[at].Descriptors <= quiet.Descriptors+kindFew }) {
			w.Violate("strangers", "%d strangers have left %s, and after %v it has %d descriptors, before them it had %d",
				len(held.conns), at.name, scenario.Settle, w.usage(at)[at].Descriptors, quiet.Descriptors)
		}
		return nil
	}}
}

// kindFew is as many descriptors as come and go by themselves.
const kindFew = 8

// judgeStrangers compares what a node took while n strangers were there with what it took
// before.
func (w *world) judgeStrangers(at *member, n int, quiet, peak, now nodes.Usage) {
	memory := max(peak.Memory, now.Memory) - quiet.Memory
	most := int64(strangersMemory + n*eachMemory)
	if memory > most {
		w.Violate("strangers", "%s took %s MB for %d strangers, who have proved nothing: must be at most %s MB",
			at.name, megabytes(memory), n, megabytes(most))
	}
	goroutines := now.Goroutines - quiet.Goroutines
	if goroutines > strangersGoroutines+n*eachGoroutines {
		w.Violate("strangers", "%s had %d goroutines more for %d strangers, who have proved nothing: must be at most %d",
			at.name, goroutines, n, strangersGoroutines+n*eachGoroutines)
	}
	if now.Descriptors > quiet.Descriptors+n+kindGoroutines {
		w.Violate("strangers", "%s had %d descriptors more for %d strangers", at.name, now.Descriptors-quiet.Descriptors, n)
	}
}

// crowd are connections of strangers to a node.
type crowd struct {
	w     *world
	at    *member
	hello []byte // what a node says first
	conns []net.Conn
}

// grow makes the crowd one of n. half has each say the first half of what a node says.
func (c *crowd) grow(n int, half bool) {
	for i := len(c.conns); i < n; i++ {
		conn, err := nodes.Dialer.DialContext(c.w.Context(), "tcp", c.at.addr)
		if err != nil {
			return // it need not accept them
		}
		c.conns = append(c.conns, conn)
		says := lengths(i)
		switch {
		case half:
			says = c.hello[:len(c.hello)/2]
		case i%4 != 0:
			says = inside(c.hello, says, i/4)
		}
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(says) // it need not read them
	}
}

func (c *crowd) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// lengths are numbers of bytes that are to come, in the ways in which they are written.
func lengths(i int) []byte {
	n := uint64(1<<30 - 1 - i)
	switch i % 5 {
	case 0:
		return binary.BigEndian.AppendUint32(nil, uint32(n))
	case 1:
		return binary.LittleEndian.AppendUint32(nil, uint32(n))
	case 2:
		return binary.BigEndian.AppendUint64(nil, n)
	case 3:
		return binary.LittleEndian.AppendUint64(nil, n)
	}
	return binary.AppendUvarint(nil, n)
}

// inside puts a length in the place of what a node says there.
func inside(hello, length []byte, at int) []byte {
	at = min(at%16, len(hello))
	return append(append([]byte(nil), hello[:at]...), length...)
}
