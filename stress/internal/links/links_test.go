package links_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tensile/stress/internal/links"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes links between two nodes, of which the second echoes lines.
func open(t *testing.T) *links.Links {
	l, err := links.New(2)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	l.Target(1, listener.Addr().String())
	t.Cleanup(func() {
		assert.NoError(t, l.Close())
		_ = listener.Close()
	})
	return l
}

type conn struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, l *links.Links) conn {
	c, err := net.Dial("tcp", l.Addr(0, 1))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return conn{t, c, bufio.NewReader(c)}
}

func (c conn) send(line string) {
	_, err := fmt.Fprintln(c, line)
	require.NoError(c.t, err)
}

// hear returns a line, or "" if none comes in time.
func (c conn) hear(within time.Duration) string {
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(within)))
	line, _ := c.in.ReadString('\n')
	return line
}

const long = 20 * time.Second

func TestCutInOneDirection(t *testing.T) {
	for _, way := range [][2]int{{0, 1}, {1, 0}} {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			l := open(t)
			c := dial(t, l)
			c.send("before")
			assert.Equal(t, "before\n", c.hear(long))
			l.Cut(way[0], way[1], true)
			c.send("held")
			assert.Empty(t, c.hear(50*time.Millisecond))
			l.Cut(way[0], way[1], false)
			assert.Equal(t, "held\n", c.hear(long), "nothing is lost")
		})
	}
}

func TestCutBeforeTheDial(t *testing.T) {
	l := open(t)
	l.Cut(1, 0, true)
	c := dial(t, l)
	c.send("held")
	assert.Empty(t, c.hear(50*time.Millisecond))
	l.Heal()
	assert.Equal(t, "held\n", c.hear(long))
}

func TestDelay(t *testing.T) {
	l := open(t)
	c := dial(t, l)
	l.Delay(0, 1, 60*time.Millisecond)
	began := time.Now()
	c.send("late")
	assert.Equal(t, "late\n", c.hear(long))
	assert.GreaterOrEqual(t, time.Since(began), 60*time.Millisecond)
}

func TestBreak(t *testing.T) {
	l := open(t)
	c := dial(t, l)
	c.send("before")
	assert.Equal(t, "before\n", c.hear(long))
	assert.Equal(t, 1, l.Break(1, 0))
	_, err := c.in.ReadByte()
	assert.ErrorContains(t, err, "reset")
	again := dial(t, l)
	again.send("again")
	assert.Equal(t, "again\n", again.hear(long))
}

// TestNothingIsLostOrReordered sends much while the link is cut and delayed.
func TestNothingIsLostOrReordered(t *testing.T) {
	l := open(t)
	c := dial(t, l)
	const lines = 20_000
	go func() {
		for i := range lines {
			if i%2000 == 0 {
				l.Cut(0, 1, i%4000 == 0)
				l.Delay(1, 0, time.Duration(i/2000)*time.Millisecond)
			}
			if _, err := fmt.Fprintln(c, i); err != nil {
				return
			}
		}
		l.Heal()
	}()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(long)))
	for i := range lines {
		line, err := c.in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintln(i), line)
	}
}

func TestTargetThatIsNotThere(t *testing.T) {
	l := open(t)
	c, err := net.Dial("tcp", l.Addr(1, 0))
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	assert.Error(t, err)
}

func TestRefuse(t *testing.T) {
	l := open(t)
	c := dial(t, l)
	c.send("before")
	assert.Equal(t, "before\n", c.hear(long))
	require.NoError(t, l.Refuse(1, true))
	_, err := net.Dial("tcp", l.Addr(0, 1))
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, l.Refuse(1, false))
	again := dial(t, l)
	again.send("again")
	assert.Equal(t, "again\n", again.hear(long))
	assert.Zero(t, l.Ended(0, 1))
	l.Break(0, 1)
	assert.Eventually(t, func() bool { return l.Ended(1, 0) == 2 }, long, time.Millisecond)
}
