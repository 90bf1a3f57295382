package exchange

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
)

// Life is a connection that comes, sends some bytes of requests in one Write, reads some
// bytes of the replies, and goes.
type Life struct {
	Sends, Reads int
	Goes         End
}

// End is how the calling side of a connection goes.
type End int

// The ends.
const (
	HangUp    End = iota
	Reset         // without the rest of the stream; in memory it is HangUp
	CloseHalf     // and read the rest of the replies, until the other side closes its own
)

// Live has n more connections come and go while the others stay, a few at a time, each
// as life says. It stops at the first that can not be opened, and returns why.
func (c *Callers) Live(ctx context.Context, n int, life func(i int) Life,
	dial func(ctx context.Context, i int) (net.Conn, error)) error {
	first := c.lived.Add(int64(n)) - int64(n)
	return c.spread(ctx, tricklers, 0, n, func(ctx context.Context, w *worker, i int) error {
		conn, err := dial(ctx, i)
		if err != nil {
			return err
		}
		number := c.number(cap(c.all)) + uint64(first) + uint64(i)
		c.live(w, conn, number, life(i))
		return nil
	})
}

// live is one life.
func (c *Callers) live(w *worker, conn net.Conn, number uint64, l Life) {
	w.enter(conn)
	defer func() {
		w.leave()
		_ = conn.Close() // the other side may have gone
	}()
	text := make([]byte, 0, l.Sends+Size)
	for n := uint64(1); len(text) < l.Sends; n++ {
		var f Frame
		f.Request(number, n)
		text = append(text, f[:]...)
	}
	whole := l.Sends / Size
	if _, err := conn.Write(text[:l.Sends]); err != nil {
		c.failed(number, 1, err)
		return
	}
	tcp, _ := conn.(*net.TCPConn)
	reads := l.Reads
	if l.Goes == CloseHalf && tcp != nil {
		if err := tcp.CloseWrite(); err != nil {
			c.failed(number, 1, err)
			return
		}
		reads = whole * Size
	}
	in := make([]byte, reads)
	n, err := io.ReadFull(conn, in)
	for at := Size; at <= n; at += Size {
		if !c.right((*Frame)(in[at-Size:at]), number, uint64(at/Size)) {
			return
		}
	}
	switch {
	case err != nil && reads > 0:
		c.failed(number, uint64(n/Size+1), err)
	case l.Goes == CloseHalf && tcp != nil:
		c.ends(conn, number)
	case l.Goes == Reset && tcp != nil:
		_ = tcp.SetLinger(0) // refused by one that has failed
	}
	c.count(func(a *Account) { a.Sent, a.Answered = a.Sent+whole, a.Answered+whole })
}

// failed notes that a connection ended, or has no reply in time.
func (c *Callers) failed(number, n uint64, err error) {
	c.count(func(a *Account) {
		a.Sent++
		if errors.Is(err, os.ErrDeadlineExceeded) {
			a.note(&a.Lost, "connection %d, of a short life, got no reply to request %d within %v", number, n, c.patience)
			return
		}
		a.Lost++
		a.note(&a.Broken, "connection %d, of a short life, ended at request %d: %v", number, n, err)
	})
}

// right judges a reply.
func (c *Callers) right(f *Frame, number, n uint64) bool {
	verdict := Check(f, number, n)
	if verdict == Right {
		return true
	}
	connection, m, state, answered := Source(f)
	c.count(func(a *Account) {
		a.Sent++
		switch verdict {
		case Duplicated:
			a.note(&a.Duplicated, "connection %d got the reply to request %d in place of that to request %d", number, m, n)
		case Misrouted:
			a.note(&a.Misrouted, "connection %d got the reply to request %d of connection %d", number, m, connection)
		case Stale:
			a.note(&a.Stale, "connection %d: request %d was answered from the state of connection %d after %d requests: the "+
				"state was lost, mixed up or used twice",
				number, n, state, answered)
		default:
			a.note(&a.Corrupted, "connection %d got a reply to request %d that answers nothing", number, n)
		}
	})
	return false
}

// ends expects the other side to close a connection of which this one has closed its half.
func (c *Callers) ends(conn net.Conn, number uint64) {
	var extra [1]byte
	n, err := conn.Read(extra[:])
	switch {
	case n > 0:
		c.count(func(a *Account) {
			a.note(&a.Duplicated, "connection %d: bytes came in after the last reply", number)
		})
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.count(func(a *Account) {
			a.note(&a.Open, "connection %d has closed its half, and the server did not close the other within %v", number,
				c.patience)
		})
	}
}
