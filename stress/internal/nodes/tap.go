package nodes

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// tap is a listener that passes on to another address and keeps what comes
// from there.
type tap struct {
	listener net.Listener
	to       string
	done     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	told  strings.Builder
	ended bool
}

func startTap(to string) (*tap, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a tap: %w", err)
	}
	t := &tap{listener: listener, to: to}
	t.done.Go(t.accept)
	return t, nil
}

func (t *tap) addr() string { return t.listener.Addr().String() }

func (t *tap) accept() {
	for {
		from, err := t.listener.Accept()
		if err != nil {
			return
		}
		to, err := Dialer.Dial("tcp", t.to)
		if err != nil || !t.keep(from, to) {
			_ = from.Close()
			continue
		}
		t.done.Go(func() { _, _ = io.Copy(to, from); _ = to.Close() })
		t.done.Go(func() { _, _ = io.Copy(io.MultiWriter(from, t), to); _ = from.Close() })
	}
}

func (t *tap) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		_ = conns[1].Close()
		return false
	}
	t.conns = append(t.conns, conns...)
	return true
}

func (t *tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told.Write(b)
}

// close returns what was told through the tap.
func (t *tap) close() string {
	_ = t.listener.Close()
	t.mu.Lock()
	t.ended = true
	for _, c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.done.Wait()
	return t.told.String()
}
