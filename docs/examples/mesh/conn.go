package mesh

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// kind is what a frame is. On the wire a frame is its length, its kind, the
// number of the call, and the body.
type kind byte

const (
	hello kind = iota
	welcome
	ping
	pong
	request
	reply
	message
	leave
)

const (
	headSize  = 4 + 1 + 8
	mostFrame = 16 << 20
	mostOut   = 4 << 20 // bytes that wait to be written before senders wait
)

// conn carries frames. Frames that are sent during a write go with the next one: under load,
// one system call writes hundreds.
type conn struct {
	*tls.Conn
	in  *bufio.Reader
	buf []byte // of the last frame read

	mu      sync.Mutex
	changed sync.Cond
	out     []byte
	err     error
}

func newConn(over *tls.Conn) *conn {
	c := &conn{Conn: over, in: bufio.NewReaderSize(patient{over}, 64<<10)}
	c.changed.L = &c.mu
	return c
}

// patience is how long a connection may be silent. Pings ensure that a connection with a live
// process at the other end is not.
const patience = 3 * time.Second

var errSilent = errors.New("mesh: the other end is silent")

// patient gives up a connection that is silent. It checks twice: if this process was stopped
// for a while, the frames that arrived meanwhile can still be read.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (n int, err error) {
	for range 2 {
		_ = p.SetReadDeadline(time.Now().Add(patience / 2)) // it fails as Read does
		if n, err = p.Conn.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
	return n, errSilent
}

// read returns the next frame. Its body is valid until the next read.
func (c *conn) read() (k kind, id uint64, body []byte, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > mostFrame {
		return 0, 0, nil, fmt.Errorf("mesh: a frame of %d bytes, must be %d at most", size, mostFrame)
	}
	if int(size) > cap(c.buf) {
		c.buf = make([]byte, size)
	}
	body = c.buf[:size]
	_, err = io.ReadFull(c.in, body)
	return kind(head[4]), binary.BigEndian.Uint64(head[5:]), body, err
}

// send queues a frame to be written. It waits while too much is queued, unless the sender
// bounds that itself.
func (c *conn) send(k kind, id uint64, body []byte, bounded bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !bounded && len(c.out) > mostOut && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		return c.err
	}
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(len(body)))
	c.out = append(c.out, byte(k))
	c.out = binary.BigEndian.AppendUint64(c.out, id)
	c.out = append(c.out, body...)
	c.changed.Broadcast()
	return nil
}

// write writes queued frames until the connection ends.
func (c *conn) write() {
	var spare []byte
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.out) == 0 && c.err == nil {
			c.changed.Wait()
		}
		if c.err != nil {
			return
		}
		full := c.out
		c.out = spare[:0]
		c.mu.Unlock()
		_, err := c.Conn.Write(full)
		if err != nil {
			c.end(err)
		}
		c.mu.Lock()
		spare = full
		c.changed.Broadcast()
	}
}

// end closes the connection.
func (c *conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		c.changed.Broadcast()
		_ = c.NetConn().Close() // without the alert of TLS, which might wait
	}
}

// put writes a frame directly. It is for frames before write runs.
func (c *conn) put(k kind, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := c.send(k, 0, body, true); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.Conn.Write(c.out)
	c.out = nil
	return err
}

// get reads a frame that put has written.
func (c *conn) get(want kind, v any) error {
	k, _, body, err := c.read()
	if err == nil && k != want {
		err = fmt.Errorf("mesh: a frame of kind %d, must be %d", k, want)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}
