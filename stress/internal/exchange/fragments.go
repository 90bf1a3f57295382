package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// cuts are where Fragments cuts one request, or two.
var cuts = [][]int{{1}, {63}, {10, 20, 30}, {64, 65}, {100}}

// between is how many requests go over another connection between two pieces.
const between = 25

// noticer is a connection that knows whether the other end has looked at what
// was written last, as those in memory do.
type noticer interface{ Noticed() bool }

// noticePatience is how long a server is given to look at a piece. One that does not
// is not blamed: it may have a reason.
const noticePatience = time.Second

func await(conn net.Conn) {
	n, ok := conn.(noticer)
	if !ok {
		return
	}
	for began := time.Now(); !n.Noticed() && time.Since(began) < noticePatience; {
		time.Sleep(50 * time.Microsecond)
	}
}

// Fragments sends requests on the first connection in pieces, and two in one: a
// stream has no borders. Between two pieces the second connection is asked, which
// must not wait for the rest, and so often that the server has most likely seen the
// first of them; in memory that is certain. It returns what is wrong.
func (c *Callers) Fragments(ctx context.Context) error {
	return c.spread(ctx, 1, 0, 1, func(_ context.Context, w *worker, i int) error {
		for _, cut := range cuts {
			if err := c.fragment(w, i, i+1, cut); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *Callers) fragment(w *worker, i, other int, cut []int) error {
	at, number := &c.all[i], c.number(i)
	text := make([]byte, (cut[len(cut)-1]+Size-1)/Size*Size)
	requests := len(text) / Size
	var f Frame
	for r := range requests {
		f.Request(number, uint64(at.sent)+1+uint64(r))
		copy(text[r*Size:], f[:])
	}
	from := 0
	var err error
	for _, to := range append(cut[:len(cut):len(cut)], len(text)) {
		if _, err = at.conn.Write(text[from:to]); err != nil {
			break
		}
		from = to
		await(at.conn)
		for i := 0; i < between && to < len(text); i++ {
			if !c.ask(w, other) {
				return errors.New("while a request is not complete another connection gets no reply")
			}
		}
	}
	for r := 0; r < requests && err == nil; r++ {
		w.enter(at.conn)
		_, err = io.ReadFull(at.conn, f[:])
		w.leave()
		if err == nil && Check(&f, number, uint64(at.sent)+1) != Right {
			err = errors.New("a reply that is not the one to it")
		}
		at.sent++
		c.count(func(a *Account) { a.Sent++ })
		if err == nil {
			c.count(func(a *Account) { a.Answered++ })
		}
	}
	if err != nil {
		return fmt.Errorf("%d requests that came in pieces, cut at %v, got: %w", requests, cut, err)
	}
	return nil
}
