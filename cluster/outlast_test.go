package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNoCallOutlastsItsTimeout makes CLUSTER_CALLS calls, 50,000 unless set, while
// connections break and members take nothing for a while, and counts those that
// take longer than CallTimeout and 100 ms. Time in which this process waited for a
// processor is not held against them.
func TestNoCallOutlastsItsTimeout(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	total := 50_000
	if s := os.Getenv("CLUSTER_CALLS"); s != "" {
		var err error
		total, err = strconv.Atoi(s)
		require.NoError(t, err, "CLUSTER_CALLS")
	}
	const timeout, allowed = 300 * time.Millisecond, 100 * time.Millisecond
	conns := &breakable{}
	nodes := form(t, 3, func(c *Config) {
		c.MaxMessage, c.Window, c.CallTimeout, c.Log = 1<<10, 8<<10, timeout, nil
		c.Dial = conns.dial
		var handled atomic.Int64
		c.Handler = func(r Request) {
			if handled.Add(1)%1000 == 0 {
				time.Sleep(2 * timeout) // all that call meanwhile wait
			}
			echo(r)
		}
	})
	machine := startControl()
	breaking, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() {
		for i := 1; breaking.Err() == nil; i++ {
			pause := rand.N(20 * time.Millisecond)
			if i%20 == 0 {
				pause = 2 * timeout // time enough for calls to take too long
			}
			time.Sleep(pause)
			conns.breakAll()
		}
	})
	var calls, beyond, fault, longest atomic.Int64
	var outcomes [len(kindsOfEnd) + 1]atomic.Int64
	// Whatever may become of a call is to become of some, however the machine shares
	// its time among them: for that there are more calls where it takes more.
	met := func() bool {
		for i := range kindsOfEnd {
			if outcomes[i].Load() == 0 {
				return false
			}
		}
		return time.Duration(longest.Load()) >= timeout
	}
	more := func() bool {
		n := calls.Add(1)
		return n <= int64(total) || n <= 40*int64(total) && !met()
	}
	var all sync.WaitGroup
	const callers = 192
	for i := range callers {
		all.Go(func() {
			from, to := nodes[i%3], nodes[(i+1)%3].Name()
			for more() {
				began, lost := time.Now(), machine.sofar()
				err := oneCall(t.Context(), from, to, i)
				took := time.Since(began)
				own := took - (machine.sofar() - lost)
				outcomes[endOf(err)].Add(1)
				if took > timeout+allowed {
					beyond.Add(1)
				}
				if own > timeout+allowed {
					fault.Add(1)
				}
				for old := longest.Load(); int64(took) > old && !longest.CompareAndSwap(old, int64(took)); {
					old = longest.Load()
				}
				if err != nil && took < time.Millisecond {
					time.Sleep(time.Millisecond) // a call that fails at once shows nothing
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	for before := int64(-1); ; before = calls.Load() { // for as long as some end
		select {
		case <-ended:
		case <-time.After(patience):
			if calls.Load() == before {
				t.Fatalf("of %d calls some have not ended for %v, CallTimeout is %v", before, patience, timeout)
			}
			continue
		}
		break
	}
	stop()
	others.Wait()
	machine.stop()
	t.Logf("%d calls, connections broke %d times: %d took longer than %v, the longest %v; %d did without time that this "+
		"process was kept waiting for a processor, %v in all", calls.Load()-callers, conns.broken.Load(),
		beyond.Load(), timeout+allowed, time.Duration(longest.Load()), fault.Load(), machine.sofar())
	for i, kind := range kindsOfEnd {
		t.Logf("%8d %v", outcomes[i].Load(), kind)
		assert.NotZero(t, outcomes[i].Load(), "no call ended with: %v", kind)
	}
	assert.Zero(t, outcomes[len(kindsOfEnd)].Load(), "calls that ended otherwise")
	assert.GreaterOrEqual(t, time.Duration(longest.Load()), timeout, "some calls must run into CallTimeout")
	assert.Zero(t, fault.Load(), "calls that took longer than CallTimeout and %v", allowed)
}

// kindsOfEnd are the ways a call may end here.
var kindsOfEnd = [...]error{nil, ErrUnreachable, ErrOverloaded, ErrTimeout}

func endOf(err error) int {
	for i, kind := range kindsOfEnd {
		if errors.Is(err, kind) {
			return i
		}
	}
	return len(kindsOfEnd)
}

// oneCall calls in one of the ways there are.
func oneCall(ctx context.Context, from *Node, to string, way int) error {
	body := make([]byte, 500)
	switch way % 8 {
	case 0: // is impatient
		short, cancel := context.WithTimeout(ctx, rand.N(2*time.Millisecond))
		defer cancel()
		_, err := from.Call(short, to, body)
		return err
	case 1:
		return from.Send(ctx, to, body)
	case 2:
		ended := make(chan error, 1)
		from.Go(to, body, func(_ []byte, err error) { ended <- err })
		return <-ended
	}
	_, err := from.Call(ctx, to, body)
	return err
}

// breakable are connections that can be broken.
type breakable struct {
	mu     sync.Mutex
	conns  []net.Conn
	broken atomic.Int64
}

func (b *breakable) dial(ctx context.Context, to Member) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.Addr)
	if err == nil {
		b.mu.Lock()
		b.conns = append(b.conns, conn)
		b.mu.Unlock()
	}
	return conn, err
}

func (b *breakable) breakAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		_ = c.Close()
		b.broken.Add(1)
	}
	b.conns = b.conns[:0]
}

// control sleeps beside a test, to tell how much of the time this process did not
// get a processor when it should have.
type control struct {
	end  chan struct{}
	done chan struct{}
	lost atomic.Int64 // as of due
	due  atomic.Int64 // when the sleep ends, in ns since the test began
	from time.Time
}

const controlPause = 5 * time.Millisecond

func startControl() *control {
	c := &control{end: make(chan struct{}), done: make(chan struct{}), from: time.Now()}
	c.due.Store(int64(controlPause))
	go func() {
		defer close(c.done)
		for {
			select {
			case <-time.After(time.Duration(c.due.Load()) - time.Since(c.from)):
				now := int64(time.Since(c.from))
				c.lost.Add(max(0, now-c.due.Load()))
				c.due.Store(now + int64(controlPause))
			case <-c.end:
				return
			}
		}
	}()
	return c
}

// sofar is what was lost until now, with what is being lost.
func (c *control) sofar() time.Duration {
	return time.Duration(c.lost.Load() + max(0, int64(time.Since(c.from))-c.due.Load()))
}

func (c *control) stop() {
	close(c.end)
	<-c.done
}
