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

func derive(t testing.TB, secret string) keys {
	k, err := deriveKeys([]byte(secret))
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
	dialErr, acceptErr error
	dialled, answered  []byte // what each had written
}

// shake lets a dialler and an acceptor talk.
func shake(dialler, acceptor keys, diallerBinding, acceptorBinding []byte) (s shaken) {
	one, other := net.Pipe()
	a, b := &tapped{ReadWriter: one}, &tapped{ReadWriter: other}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.proof, _, s.acceptErr = receive(b, acceptor, acceptorBinding, func(proof) verdict { return bob })
		_ = other.Close()
	}()
	v, err := greet(a, dialler, diallerBinding, alice)
	_ = one.Close()
	<-done
	s.verdict, s.dialErr, s.dialled, s.answered = v, err, a.wrote.Bytes(), b.wrote.Bytes()
	return s
}

func TestHandshake(t *testing.T) {
	k := derive(t, "a shared secret, long enough")
	s := shake(k, k, nil, nil)
	require.NoError(t, s.dialErr)
	require.NoError(t, s.acceptErr)
	assert.Equal(t, bob, s.verdict)
	assert.Equal(t, alice, s.proof)
}

func TestAnotherSecretIsRefusedAndLearnsNothing(t *testing.T) {
	s := shake(derive(t, "a secret of its own, alas"), derive(t, "a shared secret, long enough"), nil, nil)
	assert.ErrorIs(t, s.dialErr, ErrUnauthenticated)
	assert.ErrorIs(t, s.acceptErr, ErrUnauthenticated)
	assert.Len(t, s.answered, nonceSize+1, "a nonce and a byte is all that the acceptor may say")
	assert.NotContains(t, string(s.answered), "bob")
}

func TestAnImpostorThatAcceptsIsNotBelieved(t *testing.T) {
	k := derive(t, "a shared secret, long enough")
	for name, keys := range map[string]keys{
		"another secret":            {dialler: k.dialler, acceptor: derive(t, "another").acceptor},
		"the key of the other side": {dialler: k.dialler, acceptor: k.dialler},
	} {
		assert.ErrorIs(t, shake(k, keys, nil, nil).dialErr, ErrUnauthenticated, name)
	}
}

func TestNobodySitsBetweenTwoTLSSessions(t *testing.T) {
	k := derive(t, "a shared secret, long enough")
	s := shake(k, k, []byte("one session"), []byte("another session"))
	assert.ErrorIs(t, s.dialErr, ErrUnauthenticated)
	assert.ErrorIs(t, s.acceptErr, ErrUnauthenticated)
}

// replay plays recorded bytes and swallows what is said to it.
type replay struct{ io.Reader }

func (replay) Write(b []byte) (int, error) { return len(b), nil }

func TestAReplayedHandshakeFails(t *testing.T) {
	k := derive(t, "a shared secret, long enough")
	s := shake(k, k, nil, nil)
	require.NoError(t, s.dialErr)
	for range 100 {
		_, _, err := receive(replay{bytes.NewReader(s.dialled)}, k, nil, func(proof) verdict {
			t.Fatal("a replayed proof was believed")
			return verdict{}
		})
		assert.ErrorIs(t, err, ErrUnauthenticated)
		_, err = greet(replay{bytes.NewReader(s.answered)}, k, nil, alice)
		assert.ErrorIs(t, err, ErrUnauthenticated)
		// What the acceptor said is no proof of a dialler, nor the reverse.
		_, _, err = receive(replay{bytes.NewReader(s.answered)}, k, nil, func(proof) verdict { return bob })
		assert.Error(t, err)
	}
}

func TestEveryDamagedHandshakeFails(t *testing.T) {
	k := derive(t, "a shared secret, long enough")
	for at := range 1000 {
		one, other := net.Pipe()
		damaged := &flips{Conn: one, at: at}
		late := time.Now().Add(patience)
		require.NoError(t, errors.Join(one.SetDeadline(late), other.SetDeadline(late)))
		done := make(chan error, 1)
		go func() {
			_, _, err := receive(other, k, nil, func(proof) verdict { return bob })
			_ = other.Close()
			done <- err
		}()
		_, err := greet(damaged, k, nil, alice)
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
	k := derive(f, "a shared secret, long enough")
	dialled := shake(k, k, nil, nil).dialled
	f.Add(dialled)
	f.Add(dialled[:40])
	f.Add(append(bytes.Clone(dialled[:nonceSize]), 0xff, 0xff))
	f.Fuzz(func(t *testing.T, said []byte) {
		if _, _, err := receive(replay{bytes.NewReader(said)}, k, nil, func(proof) verdict { return bob }); err == nil {
			t.Fatalf("%x was believed", said)
		}
	})
}

func FuzzGreet(f *testing.F) {
	k := derive(f, "a shared secret, long enough")
	answered := shake(k, k, nil, nil).answered
	f.Add(answered)
	f.Add(answered[:nonceSize+1])
	f.Fuzz(func(t *testing.T, said []byte) {
		if _, err := greet(replay{bytes.NewReader(said)}, k, nil, alice); err == nil {
			t.Fatalf("%x was believed", said)
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
