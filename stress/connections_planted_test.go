package stress_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"tensile/stress/conntest"
	"tensile/stress/internal/proc"
)

func TestPlantedConnections(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyConnections", []fault{
		{"leaks 64 bytes a request", "most at tensile/stress_test.leak64"},
		{"leaks 64 bytes a request over TCP", "most at tensile/stress_test.leak64"},
		{"grows a map", "most at tensile/stress_test.(*plantedServer).remember"},
		{"grows a list", "most at tensile/stress_test.(*plantedServer).list"},
		{"keeps a goroutine a request", "and after five more requests on each of them"},
		{"comes to keep a goroutine a request", "; most at tensile/stress_test.waitFor"},
		{"keeps a descriptor now and then", "; most at " + os.DevNull},
		{"leaves a goroutine behind", "after Close left behind: 1 goroutines"},
		{"leaves a descriptor behind", os.DevNull},
		{"remembers who was there", "bytes with each connection that has come and gone"},
		{"remembers until Close who was there", "most at tensile/stress_test.(*plantedServer).keep"},
		{"comes to keep a goroutine for who has gone", "goroutines have stayed"},
		{"takes 6 KB a connection", "memory.per_connection: heap and stack of a connection"},
		{"holds 300 MB", "memory.peak: peak memory of a server in its process, in memory must be at most 206 MB"},
		{"has a goroutine for the idle", "2000 connections on which nothing happens hold 200"},
		{"loses a reply", "connection 700 got no reply to request 2 within"},
		{"doubles a reply", "connection 700 got the reply to request 2 again"},
		{"doubles the last reply", "bytes came in after the last reply"},
		{"swaps two replies", "connection 700 got the reply to request"},
		{"flips a bit", "connection 700 got a reply to request 2 that answers nothing"},
		{"forgets a session", "the state was lost, mixed up or used twice"},
		{"mixes up sessions", "the state was lost, mixed up or used twice"},
		{"hangs up", "connection 700 ended at request 2"},
		{"takes a piece for a request", "requests that came in pieces"},
		{"does not notice who hangs up", "callers hung up, and"},
		{"leaves connections open", "did not end when the server was closed"},
		{"never returns from Close", "the call of Close has not returned"},
		{"crashes with many", "the process ended: panic: too many connections"},
		{"offers nothing", "open returned no server at all"},
	}, "STRESS_HOLD=1s")
}

// TestOtherSoundConnections takes servers through the scenario whose memory is
// not constant, and does not grow for good either, and one without goroutines.
func TestOtherSoundConnections(t *testing.T) {
	unhurried(t)
	if testing.Short() {
		t.Skip("each server takes a process of its own")
	}
	for _, sound := range []string{
		"fills a cache", "fills and drops a buffer", "keeps the last thousand", "idle over TCP",
	} {
		t.Run(sound, func(t *testing.T) {
			t.Parallel()
			if sound == "idle over TCP" && openIdleTCP == nil {
				t.Skip("there is no such server for this system")
			}
			said, err := runKit("TestFaultyConnections", plantedVariable+"="+sound, "STRESS_HOLD=1s", "STRESS_SCALE=2000",
				"STRESS_OUT="+t.TempDir())
			assert.NoError(t, err, said)
		})
	}
}

// plantedConnections make a server with a fault, or a noisy one: in memory with
// a goroutine each, and nothing else, as one fault needs no more.
var plantedConnections = map[string]func() conntest.Server{
	"is not there again": func() conntest.Server {
		if proc.IsChild() {
			return nil
		}
		return &goroutineEach{}
	},
	"leaks 64 bytes a request":          onRequest(func(*plantedServer, int64) { leak64() }),
	"leaks 64 bytes a request over TCP": onRequest(func(*plantedServer, int64) { leak64() }),
	"grows a map":                       onRequest(func(s *plantedServer, n int64) { s.remember(n) }),
	"grows a list":                      onRequest(func(s *plantedServer, n int64) { s.list(n) }),
	"keeps a goroutine a request": onRequest(func(s *plantedServer, n int64) {
		s.kept.Go(func() { waitFor(s.over) })
	}),
	"comes to keep a goroutine a request": onRequest(func(s *plantedServer, n int64) {
		if n > many {
			s.kept.Go(func() { waitFor(s.over) })
		}
	}),
	"keeps a descriptor now and then": onRequest(func(s *plantedServer, n int64) {
		if n <= many || n%5 > 0 {
			return
		}
		if f, err := os.Open(os.DevNull); err == nil {
			s.keep(func() { _ = f.Close() })
		}
	}),
	"leaves a goroutine behind": onRequest(func(_ *plantedServer, n int64) {
		if n == 100 {
			go waitFor(nil)
		}
	}),
	"leaves a descriptor behind": onRequest(func(_ *plantedServer, n int64) {
		if n == 100 {
			leftOpen, _ = os.Open(os.DevNull)
		}
	}),
	"remembers who was there":             onConnection(func(c *plantedConn) { wereThere.Store(c, new([200]byte)) }),
	"remembers until Close who was there": onConnection(func(c *plantedConn) { c.server.keep(func() { _ = c.number }) }),
	"comes to keep a goroutine for who has gone": onRead(func(c *plantedConn, b []byte) (int, error) {
		n, err := c.Conn.Read(b)
		if err != nil && c.number > 100 { // with few that is seen before
			c.server.kept.Go(func() { waitFor(c.server.over) })
		}
		return n, err
	}),
	"takes 6 KB a connection": onConnection(func(c *plantedConn) { c.ballast = make([]byte, 6<<10) }),
	"holds 300 MB": func() conntest.Server {
		hoarded = slices.Repeat([]byte{1}, 300e6)
		return new(goroutineEach)
	},
	"has a goroutine for the idle": func() conntest.Server { return new(goroutineEach) },
	"loses a reply":                onReply(700, 2, func(*plantedConn, []byte) error { return nil }),
	"doubles a reply": onReply(700, 2, func(c *plantedConn, reply []byte) error {
		return errors.Join(c.send(reply), c.send(reply))
	}),
	// Where there are few connections the last one gets seven.
	"doubles the last reply": onReply(63, 8, func(c *plantedConn, reply []byte) error {
		return errors.Join(c.send(reply), c.send(reply))
	}),
	"swaps two replies": onReply(700, 2, func(c *plantedConn, reply []byte) error { return c.server.swap(c, reply) }),
	"flips a bit": onReply(700, 2, func(c *plantedConn, reply []byte) error {
		reply[20] ^= 1
		return c.send(reply)
	}),
	"hangs up": onReply(700, 2, func(c *plantedConn, _ []byte) error {
		return errors.Join(io.EOF, c.Conn.Close())
	}),
	"forgets a session": onState(700, 2, func(c *heldConn) { c.session = conntest.State{} }),
	"mixes up sessions": onState(700, 2, func(c *heldConn) { c.session = c.prev.session }),
	"takes a piece for a request": onRead(func(c *plantedConn, b []byte) (int, error) {
		n, err := c.Conn.Read(b)
		return len(b) * min(n, 1), err
	}),
	"does not notice who hangs up": onRead(func(c *plantedConn, b []byte) (int, error) {
		n, err := c.Conn.Read(b)
		if err != nil {
			<-c.server.over
		}
		return n, err
	}),
	"leaves connections open":  onClose(func(s *plantedServer) error { return s.listener.Close() }),
	"never returns from Close": onClose(func(*plantedServer) error { select {} }),
	"crashes with many": onConnection(func(c *plantedConn) {
		if c.number == 500 {
			go panic("too many connections")
		}
	}),
	"offers nothing": nil,
	"idle over TCP":  func() conntest.Server { return openIdleTCP() },

	"fills a cache": onRequest(func(s *plantedServer, n int64) {
		if n < 6000 {
			s.list(n)
		}
	}),
	"fills and drops a buffer": onRequest(func(s *plantedServer, n int64) {
		s.list(n)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.listed) > 2000 {
			s.listed = nil
		}
	}),
	"keeps the last thousand": onRequest(func(s *plantedServer, n int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.last[n%int64(len(s.last))] = make([]byte, rand.IntN(1000))
	}),
}

// TestFaultyConnections is the kit over the server that is planted.
func TestFaultyConnections(t *testing.T) {
	skipUnlessPlanted(t)
	conntest.TestServer(t, openPlantedConnections)
}

var hoarded []byte

// openPlantedConnections offers what its fault takes, and no other server.
func openPlantedConnections(_ testing.TB, cfg conntest.Config) conntest.Server {
	open := plantedConnections[planted]
	asked := conntest.Config{Network: "memory"}
	switch planted {
	case "leaks 64 bytes a request over TCP":
		asked.Network = "tcp"
	case "has a goroutine for the idle":
		asked.Idle = true
	case "idle over TCP":
		asked = conntest.Config{Network: "tcp", Idle: true}
	}
	if open == nil || cfg != asked {
		return nil
	}
	return open()
}

// plantedServer is a sound server whose connections are not.
type plantedServer struct {
	goroutineEach
	accepted func(*plantedConn)
	request  func(s *plantedServer, n int64)
	read     func(*plantedConn, []byte) (int, error)
	reply    func(*plantedConn, []byte) error
	close    func(*plantedServer) error

	over        chan struct{} // closed by Close
	kept        sync.WaitGroup
	requests    atomic.Int64
	connections int64

	mu        sync.Mutex
	atEnd     []func()
	seen      map[int64]bool
	listed    [][4]int64
	last      [1000][]byte
	swapConn  *plantedConn // whose reply waits for another
	swapReply []byte
}

func onRequest(do func(*plantedServer, int64)) func() conntest.Server {
	return func() conntest.Server { return &plantedServer{request: do} }
}

func onConnection(do func(*plantedConn)) func() conntest.Server {
	return func() conntest.Server { return &plantedServer{accepted: do} }
}

func onRead(read func(*plantedConn, []byte) (int, error)) func() conntest.Server {
	return func() conntest.Server { return &plantedServer{read: read} }
}

// onReply has a reply of one connection sent in another way.
func onReply(caller uint64, n int64, send func(*plantedConn, []byte) error) func() conntest.Server {
	return func() conntest.Server {
		return &plantedServer{reply: func(c *plantedConn, reply []byte) error {
			if c.is(caller, n) {
				return send(c, reply)
			}
			return c.send(reply)
		}}
	}
}

// onState has the state of one connection changed before a request is answered.
func onState(caller uint64, n int64, change func(*heldConn)) func() conntest.Server {
	return onRead(func(c *plantedConn, b []byte) (int, error) {
		got, err := c.Conn.Read(b)
		if c.is(caller, n) && err == nil {
			change(c.server.held(c))
		}
		return got, err
	})
}

func onClose(end func(*plantedServer) error) func() conntest.Server {
	return func() conntest.Server { return &plantedServer{close: end} }
}

func (s *plantedServer) Serve(l net.Listener) error {
	s.over = make(chan struct{})
	return s.goroutineEach.Serve(plantedListener{l, s})
}

func (s *plantedServer) Close() error {
	if s.close != nil {
		return s.close(s)
	}
	close(s.over)
	err := s.goroutineEach.Close()
	s.kept.Wait()
	for _, end := range s.atEnd {
		end()
	}
	return err
}

// held is the connection as the sound server has it.
func (s *plantedServer) held(c *plantedConn) *heldConn {
	s.goroutineEach.mu.Lock()
	defer s.goroutineEach.mu.Unlock()
	h := s.open.next
	for h.Conn != net.Conn(c) {
		h = h.next
	}
	return h
}

// keep has end called by Close.
func (s *plantedServer) keep(end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.atEnd = append(s.atEnd, end)
}

//go:noinline
func (s *plantedServer) remember(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[int64]bool)
	}
	s.seen[n] = true
}

//go:noinline
func (s *plantedServer) list(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = append(s.listed, [4]int64{n})
}

// swap sends a reply to the connection that needs one next, and the other way
// round.
func (s *plantedServer) swap(c *plantedConn, reply []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swapConn, s.swapReply = c, append([]byte(nil), reply...)
	return nil
}

// swapped sends what swap has kept, if anything.
func (s *plantedServer) swapped(c *plantedConn, reply []byte) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.swapConn == nil {
		return false, nil
	}
	err = errors.Join(s.swapConn.send(reply), c.send(s.swapReply))
	s.swapConn = nil
	return true, err
}

//go:noinline
func waitFor(end chan struct{}) { <-end }

// leaked64 is a list that nobody reads.
var leaked64 atomic.Pointer[node64]

type node64 struct {
	next *node64
	_    [56]byte
}

//go:noinline
func leak64() {
	n := new(node64)
	n.next = leaked64.Swap(n)
}

// many is more requests than there are before connections are held.
const many = 1000

var (
	leftOpen  *os.File
	wereThere sync.Map
)

type plantedListener struct {
	net.Listener
	server *plantedServer
}

func (l plantedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &plantedConn{Conn: conn, server: l.server, number: l.server.connections}
	l.server.connections++
	if l.server.accepted != nil {
		l.server.accepted(c)
	}
	return c, nil
}

// plantedConn is one of the connections of a plantedServer.
type plantedConn struct {
	net.Conn
	server  *plantedServer
	number  int64  // in the order in which they were accepted
	caller  uint64 // by its requests; dialled beside each other, they are accepted in any order
	replies int64
	ballast []byte
}

// is tells whether the next reply is the n-th to a caller.
func (c *plantedConn) is(caller uint64, n int64) bool { return c.caller == caller && c.replies+1 == n }

func (c *plantedConn) send(reply []byte) error {
	_, err := c.Conn.Write(reply)
	return err
}

func (c *plantedConn) Read(b []byte) (int, error) {
	read := c.server.read
	if read == nil {
		read = func(c *plantedConn, b []byte) (int, error) { return c.Conn.Read(b) }
	}
	n, err := read(c, b)
	if n == conntest.FrameSize {
		c.caller = binary.LittleEndian.Uint64(b)
	}
	if n > 0 && c.server.request != nil {
		c.server.request(c.server, c.server.requests.Add(1))
	}
	return n, err
}

func (c *plantedConn) Write(b []byte) (int, error) {
	defer func() { c.replies++ }()
	if done, err := c.server.swapped(c, b); done || err != nil {
		return len(b), err
	}
	if c.server.reply != nil {
		return len(b), c.server.reply(c, b)
	}
	return c.Conn.Write(b)
}
