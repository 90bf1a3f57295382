package cluster

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newKeys(t testing.TB) keys {
	k, err := deriveKeys(NewSecret())
	require.NoError(t, err)
	return k
}

var (
	alice = proof{self: identity{"alice", 3, "127.0.0.1:1"}, target: identity{"bob", 5, "127.0.0.1:2"}}
	bob   = verdict{code: welcome, self: identity{"bob", 5, "127.0.0.1:2"}}
)

// tapped keeps what is written to a connection.
type tapped struct {
	io.ReadWriter
	wrote bytes.Buffer
}

func (c *tapped) Write(b []byte) (int, error) {
	c.wrote.Write(b)
	return c.ReadWriter.Write(b)
}

// shaken is what came of a handshake on both sides.
type shaken struct {
	verdict            verdict
	proof              proof
	keys, otherKeys    session // of the dialler, and of the acceptor
	dialErr, acceptErr error
	dialled, answered  []byte // what each had written
}

// approach is a dialler's whole handshake, but TLS.
func approach(conn io.ReadWriter, k keys, binding []byte) (session, verdict, error) {
	h, err := newHello(k, preambleCalls)
	if err == nil {
		err = h.say(conn)
	}
	if err != nil {
		return session{}, verdict{}, err
	}
	return greet(conn, h, binding, alice)
}

// answer is an acceptor's whole handshake, but TLS.
func answer(conn io.ReadWriter, ring keyring, binding []byte) (session, proof, error) {
	h, err := hear(conn, ring)
	if err != nil {
		return session{}, proof{}, err
	}
	s, p, _, err := receive(conn, h, binding, func(proof) verdict { return bob })
	return s, p, err
}

// shake lets a dialler and an acceptor talk.
func shake(dialler keys, acceptor keyring, diallerBinding, acceptorBinding []byte) (s shaken) {
	one, other := net.Pipe()
	a, b := &tapped{ReadWriter: one}, &tapped{ReadWriter: other}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.otherKeys, s.proof, s.acceptErr = answer(b, acceptor, acceptorBinding)
		_ = other.Close()
	}()
	keys, v, err := approach(a, dialler, diallerBinding)
	_ = one.Close()
	<-done
	s.keys, s.verdict, s.dialErr, s.dialled, s.answered = keys, v, err, a.wrote.Bytes(), b.wrote.Bytes()
	return s
}

func TestHandshake(t *testing.T) {
	k := newKeys(t)
	s := shake(k, keyring{k}, nil, nil)
	require.NoError(t, s.dialErr)
	require.NoError(t, s.acceptErr)
	assert.Equal(t, bob, s.verdict)
	assert.Equal(t, alice, s.proof)
	for _, said := range [][]byte{s.dialled, s.answered} {
		assert.NotContains(t, string(said), "alice", "who listens learns nothing")
		assert.NotContains(t, string(said), "bob", "who listens learns nothing")
	}
	for _, d := range [][2]session{{s.keys, s.otherKeys}, {s.otherKeys, s.keys}} {
		got, err := readAll(bytes.NewReader(framed(d[0].out, message{kindRequest, 1, []byte("hello")})), d[1].in, frameTarget)
		assert.Equal(t, io.EOF, err)
		require.Len(t, got, 1)
		assert.Equal(t, "hello", string(got[0].payload))
	}
}

func TestEachConnectionHasKeysOfItsOwn(t *testing.T) {
	k := newKeys(t)
	seen := make(map[string]bool)
	for range 10 {
		s := shake(k, keyring{k}, nil, nil)
		require.NoError(t, s.dialErr)
		assert.Equal(t, s.keys.out.key, s.otherKeys.in.key)
		assert.Equal(t, s.keys.in.key, s.otherKeys.out.key)
		seen[string(s.keys.out.key)], seen[string(s.keys.in.key)] = true, true
	}
	assert.Len(t, seen, 20)
}

func TestAnotherSecretIsRefusedAndLearnsNothing(t *testing.T) {
	s := shake(newKeys(t), keyring{newKeys(t)}, nil, nil)
	assert.ErrorIs(t, s.dialErr, ErrUnauthenticated)
	assert.ErrorIs(t, s.acceptErr, ErrUnauthenticated)
	assert.Len(t, s.dialled, helloSize, "its hello is all that the acceptor reads")
	assert.Equal(t, []byte{rejected}, s.answered, "a byte is all that the acceptor may say")
}

func TestEachSecretOfTheRingIsAccepted(t *testing.T) {
	ring := keyring{newKeys(t), newKeys(t), newKeys(t)}
	for _, k := range ring {
		s := shake(k, ring, nil, nil)
		assert.NoError(t, s.dialErr)
		assert.NoError(t, s.acceptErr)
	}
}

func TestAnImpostorThatAcceptsIsNotBelieved(t *testing.T) {
	k := newKeys(t)
	for name, wrong := range map[string]keys{
		"another secret":            {hello: k.hello, answer: newKeys(t).answer, session: k.session},
		"the key of the other side": {hello: k.hello, answer: k.hello, session: k.session},
	} {
		assert.ErrorIs(t, shake(k, keyring{wrong}, nil, nil).dialErr, ErrUnauthenticated, name)
	}
	// One who could make the MAC of the answer, but has not the secret.
	wrong := keys{hello: k.hello, answer: k.answer, session: newKeys(t).session}
	s := shake(k, keyring{wrong}, nil, nil)
	assert.Error(t, s.dialErr)
	assert.Error(t, s.acceptErr)
}

func TestNobodySitsBetweenTwoTLSSessions(t *testing.T) {
	k := newKeys(t)
	s := shake(k, keyring{k}, []byte("one session"), []byte("another session"))
	assert.ErrorIs(t, s.dialErr, ErrUnauthenticated)
	assert.Error(t, s.acceptErr)
}

// replay plays recorded bytes and swallows what is said to it.
type replay struct{ io.Reader }

func (replay) Write(b []byte) (int, error) { return len(b), nil }

func TestAReplayedHandshakeFails(t *testing.T) {
	k := newKeys(t)
	s := shake(k, keyring{k}, nil, nil)
	require.NoError(t, s.dialErr)
	for range 100 {
		h, err := hear(replay{bytes.NewReader(s.dialled)}, keyring{k})
		require.NoError(t, err, "a hello by itself may be repeated")
		_, _, _, err = receive(replay{bytes.NewReader(s.dialled[helloSize:])}, h, nil, func(proof) verdict {
			t.Fatal("a replayed proof was believed")
			return verdict{}
		})
		assert.ErrorIs(t, err, errGarbled)
		_, _, err = approach(replay{bytes.NewReader(s.answered)}, k, nil)
		assert.ErrorIs(t, err, ErrUnauthenticated)
		// What the acceptor said is no proof of a dialler.
		_, _, err = answer(replay{bytes.NewReader(s.answered)}, keyring{k}, nil)
		assert.Error(t, err)
	}
}

func TestEveryDamagedHandshakeFails(t *testing.T) {
	k := newKeys(t)
	for at := range 1000 {
		one, other := net.Pipe()
		damaged := &flips{Conn: one, at: at}
		late := time.Now().Add(patience)
		require.NoError(t, errors.Join(one.SetDeadline(late), other.SetDeadline(late)))
		done := make(chan error, 1)
		go func() {
			_, _, err := answer(other, keyring{k}, nil)
			_ = other.Close()
			done <- err
		}()
		_, _, err := approach(damaged, k, nil)
		_ = one.Close()
		accepted := <-done
		if !damaged.struck {
			require.NoError(t, err)
			require.NoError(t, accepted)
			return
		}
		assert.Error(t, err, "byte %d", at)
		assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "byte %d leaves the dialler waiting", at)
		assert.NotErrorIs(t, accepted, os.ErrDeadlineExceeded, "byte %d leaves the acceptor waiting", at)
	}
	t.Fatal("the handshake is longer than expected")
}

// flips damages one of the bytes that are read or written, and is closed with the
// first thing that goes wrong.
type flips struct {
	net.Conn
	at, seen int
	struck   bool
}

func (c *flips) damage(b []byte) {
	if i := c.at - c.seen; i >= 0 && i < len(b) {
		b[i] ^= 0x10
		c.struck = true
	}
	c.seen += len(b)
}

func (c *flips) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.damage(b[:n])
	return n, err
}

func (c *flips) Write(b []byte) (int, error) {
	b = bytes.Clone(b)
	c.damage(b)
	return c.Conn.Write(b)
}

func FuzzReceive(f *testing.F) {
	k := newKeys(f)
	dialled := shake(k, keyring{k}, nil, nil).dialled
	f.Add(dialled)
	f.Add(dialled[:40])
	f.Add(append(bytes.Clone(dialled[:helloSize]), bytes.Repeat([]byte{0xff}, 100)...))
	f.Fuzz(func(t *testing.T, said []byte) {
		if _, _, err := answer(replay{bytes.NewReader(said)}, keyring{k}, nil); err == nil {
			t.Fatalf("%x was believed", said)
		}
	})
}

func FuzzGreet(f *testing.F) {
	k := newKeys(f)
	answered := shake(k, keyring{k}, nil, nil).answered
	f.Add(answered)
	f.Add(answered[:1])
	f.Fuzz(func(t *testing.T, said []byte) {
		if _, _, err := approach(replay{bytes.NewReader(said)}, k, nil); err == nil {
			t.Fatalf("%x was believed", said)
		}
	})
}

// FuzzSealedPart has one who has the secret say what it likes.
func FuzzSealedPart(f *testing.F) {
	f.Add(alice.encode(), uint32(40))
	f.Add(make([]byte, 2000), uint32(2000))
	f.Fuzz(func(t *testing.T, part []byte, length uint32) {
		one, other := pair(t)
		wire := header(t, one.out, length)
		sealed, err := one.out.seal(bytes.Clone(part))
		require.NoError(t, err)
		got, err := other.read(bytes.NewReader(append(wire, sealed...)))
		if believed := int(length) == len(part) && len(part) <= maxHandshake; believed != (err == nil) {
			t.Fatalf("a part of %d bytes that says it has %d: %v", len(part), length, err)
		}
		if err == nil && !bytes.Equal(got, part) {
			t.Fatalf("%x was sealed, %x opened", part, got)
		}
	})
}

func FuzzProofAndVerdict(f *testing.F) {
	f.Add(alice.encode())
	f.Add(bob.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodeProof(b); err == nil {
			if !bytes.Equal(p.encode(), b) {
				t.Fatalf("%x reads as %+v, which writes as %x", b, p, p.encode())
			}
		}
		if v, err := decodeVerdict(b); err == nil {
			if !bytes.Equal(v.encode(), b) {
				t.Fatalf("%x reads as %+v, which writes as %x", b, v, v.encode())
			}
		}
	})
}

func FuzzGossipName(f *testing.F) {
	f.Add("a#1")
	f.Add("a#b#3")
	f.Fuzz(func(t *testing.T, s string) {
		name, incarnation, ok := parseGossipName(s)
		if !ok {
			return
		}
		again, number, ok := parseGossipName(gossipName(name, incarnation))
		if !ok || again != name || number != incarnation {
			t.Fatalf("%q reads as %q and %d, and those as %q and %d", s, name, incarnation, again, number)
		}
	})
}
