package chaostest

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/scenario"
)

// linksKit measures faults at the link: what goes in at one end, and what comes out at
// the other.
type linksKit struct {
	*scenario.Scenario
	open func(testing.TB, LinksConfig) Links
}

const (
	pieceBytes = 512
	// pieceCount is so many that a fault of every second one strikes some.
	pieceCount = 48
	linkLoss   = 0.5
	linkStall  = 40 * time.Millisecond
	// quiet is how long nothing must pass where nothing may. Only what passes is
	// judged, so that a slow machine makes it easier to pass.
	quiet = 60 * time.Millisecond
)

func (k *linksKit) phases() []phase {
	return []phase{{Name: "links", Body: k.measure, Shows: "links", Within: 2 * scenario.Settle}}
}

// ends are the two ends of a connection from one node to another.
type ends struct {
	name     string // of the link
	from, to net.Conn
}

// way is one direction of a connection.
type way struct {
	name    string
	in, out net.Conn
	leaves  bool // the node that is hit
}

func (e ends) ways(hit, other string, dialled bool) []way {
	there := way{"from " + hit + " to " + other, e.from, e.to, true}
	back := way{"from " + other + " to " + hit, e.to, e.from, false}
	if !dialled {
		there.in, there.out, back.in, back.out = e.to, e.from, e.from, e.to
	}
	there.name += " over the link " + e.name
	back.name += " over the link " + e.name
	return []way{there, back}
}

// measure tries one fault after the other on the links of a node.
func (k *linksKit) measure(ctx context.Context, t *testing.T) {
	links := k.open(t, LinksConfig{Seed: k.Seed, Delay: linkDelay, Jitter: linkJitter, Loss: linkLoss, Stall: linkStall,
		Corrupt: linkLoss})
	k.Subject(links)
	const hit, other, third = "node-1", "node-2", "node-11"
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			k.Fail("chaos: %v", err)
			return nil
		}
		return l
	}
	a, b, c := listen(), listen(), listen()
	if a == nil || b == nil || c == nil {
		return
	}
	defer func() {
		for _, l := range []net.Listener{a, b, c} {
			_ = l.Close()
		}
		if err := links.Close(); err != nil {
			k.Fault("Close of the links returned %v", err)
		}
	}()
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}()
	connect := func(when, from, to string, l net.Listener) (e ends, ok bool) {
		addr, err := links.Link(from, to, l.Addr().String())
		if err == nil {
			e.from, err = net.DialTimeout("tcp", addr, scenario.Settle)
		}
		if err == nil {
			open = append(open, e.from)
			_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(scenario.Settle))
			e.to, err = l.Accept()
		}
		if err != nil {
			k.Violate("links", "%s: there is no connection from %s to %s: %v", when, from, to, err)
			return e, false
		}
		open = append(open, e.to)
		e.name = from + " has dialled"
		return e, true
	}
	for _, fault := range []string{Partition, Cut, Delay, Loss, Corrupt} {
		if k.Violated("links") > 0 || ctx.Err() != nil {
			return
		}
		before, undone := fault+" of "+hit+", before it", fault+" of "+hit+", after it was undone"
		forth, ok1 := connect(before, hit, other, b)
		back, ok2 := connect(before, other, hit, a)
		aside, ok3 := connect(before, third, other, b)
		if !ok1 || !ok2 || !ok3 {
			return
		}
		ways := slices.Concat(forth.ways(hit, other, true), back.ways(hit, other, false))
		untouched := aside.ways(third, other, true)
		for _, w := range slices.Concat(ways, untouched) {
			k.passes(w, before)
		}
		undo, err := links.Inject(fault, hit)
		if err != nil {
			k.Violate("links", "%s of %s: Inject returned %v", fault, hit, err)
			continue
		}
		for _, w := range untouched {
			k.passes(w, fault+" of "+hit)
		}
		for _, w := range ways {
			k.strikes(fault, hit, w)
		}
		if undo != nil {
			if err := undo(); err != nil {
				k.Violate("links", "%s of %s: undoing it returned %v", fault, hit, err)
			}
		}
		forth, ok1 = connect(undone, hit, other, b)
		back, ok2 = connect(undone, other, hit, a)
		if !ok1 || !ok2 {
			return
		}
		for _, w := range slices.Concat(forth.ways(hit, other, true), back.ways(hit, other, false)) {
			k.passes(w, undone)
		}
	}
}

// send sends a piece one way; got is what came out within a time, and took how long
// that was.
func (w way) send(number int, within time.Duration) (sent, got []byte, took time.Duration, err error) {
	sent = make([]byte, pieceBytes)
	for i := range sent {
		sent[i] = byte(payload.Mix(uint64(number)<<16 + uint64(i)))
	}
	began := time.Now()
	_ = w.in.SetWriteDeadline(began.Add(scenario.Settle))
	if _, err := w.in.Write(sent); err != nil {
		return sent, nil, 0, err
	}
	got = make([]byte, pieceBytes)
	_ = w.out.SetReadDeadline(began.Add(within))
	n, err := io.ReadFull(w.out, got)
	return sent, got[:n], time.Since(began), err
}

// passes judges that pieces pass one way as they were sent.
func (k *linksKit) passes(w way, when string) {
	const pieces = 8
	if k.Violated("links") > 0 { // one is enough: each takes long
		return
	}
	for i := range pieces {
		sent, got, _, err := w.send(i, scenario.Settle)
		if err != nil {
			k.Violate("links", "%s: nothing passes %s: %v", when, w.name, err)
			return
		}
		if !slices.Equal(sent, got) {
			k.Violate("links", "%s: a piece %s arrived with different bits", when, w.name)
			return
		}
	}
}

// strikes judges what a fault does one way.
func (k *linksKit) strikes(fault, hit string, w way) {
	switch {
	case k.Violated("links") > 0:
	case fault == Cut && !w.leaves:
		k.passes(w, fault+" of "+hit+", which is of what leaves it alone")
	case fault == Cut || fault == Partition:
		if _, got, _, _ := w.send(0, quiet); len(got) > 0 {
			k.Violate("links", "%s of %s: %d bytes passed %s", fault, hit, len(got), w.name)
		}
	case fault == Delay:
		for i := range 4 {
			if _, _, took, err := w.send(i, scenario.Settle); err != nil {
				k.Violate("links", "%s of %s: nothing passes %s: %v", fault, hit, w.name, err)
				return
			} else if took < linkDelay-linkJitter {
				k.Violate("links", "%s of %s by %v ± %v: a piece took %v %s", fault, hit, linkDelay, linkJitter, took, w.name)
				return
			}
		}
	default:
		hits := 0
		for i := range pieceCount {
			sent, got, took, err := w.send(i, scenario.Settle)
			if err != nil {
				break // a stream may end of it
			}
			if fault == Corrupt && !slices.Equal(sent, got) || fault == Loss && took >= linkStall/2 {
				hits++
				if hits > 2 {
					return
				}
			}
		}
		if hits == 0 {
			k.Violate("links", "%s of %s: none of %d pieces sent %s was affected, every second one must be",
				fault, hit, pieceCount, w.name)
		}
	}
}
