package cluster

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The handshake, between the node that dials and the one that accepts:
//
//	dialler   hello: what the connection is for, a key for this connection alone
//	          (X25519), and a MAC over both under the secret
//	acceptor  one byte: accepted, or rejected and nothing else
//	          here TLS begins, if it is asked for
//	acceptor  answer: a key for this connection alone, and a MAC over all so far
//	dialler   sealed: who it is, and whom it wants
//	acceptor  sealed: a verdict, and who it is
//
// It is the pattern NNpsk0 of Noise (Perrin, revision 34): both sides have to have
// the secret, and what it seals stays closed to who gets hold of the secret later.
//
// The dialler proves itself with its first word, so that a stranger costs the
// acceptor no more than the reading of that. Who repeats a hello that he overheard
// gets an answer, of which he can make nothing: what follows is sealed, with keys
// that depend on both keys of the connection. Each MAC has a key of its own, so
// that none can be sent back as the other's; and all that was said, with what
// identifies the TLS session, if there is one, goes into the keys, so that nobody
// sits between two connections.

const (
	publicSize = 32
	macSize    = sha256.Size
	helloSize  = len(preambleCalls) + publicSize + macSize
	answerSize = publicSize + macSize
	// maxHandshake bounds what is sealed in the handshake.
	maxHandshake = 1024

	rejected = 0
	accepted = 1
)

// identity is how a node presents itself.
type identity struct {
	name        string
	incarnation uint64
	addr        string
}

// proof is what the dialler says. target has no name where it is not known, as
// with a seed.
type proof struct {
	self, target identity
}

// verdict is what the acceptor says to a dialler that has proved itself.
type verdict struct {
	code verdictCode
	self identity
	// known is the incarnation that the acceptor knows for the dialler's name;
	// only with superseded.
	known uint64
}

type verdictCode byte

const (
	welcome     verdictCode = iota + 1
	nameTaken               // a live node has the dialler's name
	superseded              // the dialler's name has a higher incarnation, or has left
	wrongTarget             // the acceptor is not the one, or not the life of it, that was wanted
	isSelf                  // the dialler has dialled itself
	verdictEnd
)

func appendIdentity(b []byte, i identity) []byte {
	b = append(b, byte(len(i.name)))
	b = append(b, i.name...)
	b = binary.LittleEndian.AppendUint64(b, i.incarnation)
	b = append(b, byte(len(i.addr)))
	return append(b, i.addr...)
}

var errHandshake = errors.New("malformed handshake")

func cutIdentity(b []byte) (i identity, rest []byte, err error) {
	name, b, err := cutString(b)
	if err != nil || len(b) < 8 {
		return i, nil, errHandshake
	}
	i.name, i.incarnation = name, binary.LittleEndian.Uint64(b)
	i.addr, b, err = cutString(b[8:])
	return i, b, err
}

func cutString(b []byte) (s string, rest []byte, err error) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return "", nil, errHandshake
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], nil
}

func (p proof) encode() []byte { return appendIdentity(appendIdentity(nil, p.self), p.target) }

func decodeProof(b []byte) (p proof, err error) {
	if p.self, b, err = cutIdentity(b); err != nil {
		return proof{}, err
	}
	if p.target, b, err = cutIdentity(b); err != nil {
		return proof{}, err
	}
	if len(b) != 0 || checkName(p.self.name) != nil {
		return proof{}, errHandshake
	}
	return p, nil
}

func (v verdict) encode() []byte {
	b := binary.LittleEndian.AppendUint64([]byte{byte(v.code)}, v.known)
	return appendIdentity(b, v.self)
}

func decodeVerdict(b []byte) (v verdict, err error) {
	if len(b) < 9 || b[0] == 0 || b[0] >= byte(verdictEnd) {
		return verdict{}, errHandshake
	}
	v.code, v.known = verdictCode(b[0]), binary.LittleEndian.Uint64(b[1:])
	if v.self, b, err = cutIdentity(b[9:]); err != nil {
		return verdict{}, err
	}
	if len(b) != 0 || checkName(v.self.name) != nil {
		return verdict{}, errHandshake
	}
	return v, nil
}

// transcript is all that was said, as the MACs cover it.
type transcript []byte

func (t *transcript) add(part []byte) {
	*t = binary.LittleEndian.AppendUint32(*t, uint32(len(part)))
	*t = append(*t, part...)
}

func (t transcript) mac(key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(t)
	return h.Sum(nil)
}

// hello is the first word of a dialler.
type hello struct {
	preamble string
	public   []byte
	keys     keys             // of the secret it was made with
	private  *ecdh.PrivateKey // nil with the acceptor
}

func newHello(k keys, preamble string) (hello, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return hello{}, err
	}
	return hello{preamble, private.PublicKey().Bytes(), k, private}, nil
}

func (h hello) transcript() (t transcript) {
	t.add([]byte(h.preamble))
	t.add(h.public)
	return t
}

// say sends the hello and reads whether it was accepted.
func (h hello) say(conn io.ReadWriter) error {
	b := append([]byte(h.preamble), h.public...)
	if _, err := conn.Write(append(b, h.transcript().mac(h.keys.hello)...)); err != nil {
		return err
	}
	var said [1]byte
	if _, err := io.ReadFull(conn, said[:]); err != nil {
		return err
	}
	switch said[0] {
	case accepted:
		return nil
	case rejected:
		return fmt.Errorf("%w: the member rejected the proof, its secret is another", ErrUnauthenticated)
	}
	return fmt.Errorf("%w: the word after the hello is %d", errHandshake, said[0])
}

// hear reads a hello, and tells the dialler whether it is accepted.
func hear(conn io.ReadWriter, ring keyring) (hello, error) {
	var b [helloSize]byte
	at := b[:len(preambleCalls)]
	if _, err := io.ReadFull(conn, at); err != nil {
		return hello{}, err
	}
	h := hello{preamble: string(at)}
	if h.preamble != preambleCalls && h.preamble != preambleGossip {
		return hello{}, fmt.Errorf("%w: preamble %q", errHandshake, h.preamble)
	}
	rest := b[len(at):]
	if _, err := io.ReadFull(conn, rest); err != nil {
		return hello{}, err
	}
	h.public = rest[:publicSize]
	t := h.transcript()
	for _, k := range ring {
		if hmac.Equal(rest[publicSize:], t.mac(k.hello)) {
			h.keys = k
			_, err := conn.Write([]byte{accepted})
			return h, err
		}
	}
	_, _ = conn.Write([]byte{rejected}) // a courtesy
	return hello{}, ErrUnauthenticated
}

// session are the keys of a connection.
type session struct {
	out, in *direction
}

// newSession makes the keys of the two directions: of what only the two sides
// know together, the secret, and all that was said.
func newSession(k keys, t transcript, mine *ecdh.PrivateKey, theirs []byte) (s session, err error) {
	public, err := ecdh.X25519().NewPublicKey(theirs)
	if err != nil {
		return s, err
	}
	shared, err := mine.ECDH(public)
	if err != nil {
		return s, err
	}
	said := sha256.Sum256(t)
	both, err := hkdf.Key(sha256.New, shared, k.session, "tensile cluster 1 connection "+string(said[:]), 2*keySize)
	if err != nil {
		return s, err
	}
	if s.out, err = newDirection(both[:keySize]); err != nil {
		return s, err
	}
	s.in, err = newDirection(both[keySize:])
	return s, err
}

// write sends a part of the handshake in a frame.
func (s session) write(w io.Writer, part []byte) error {
	frame, err := sealFrame(s.out, append(newFrame(len(part)), part...))
	if err != nil {
		return err
	}
	defer recycle(frame)
	_, err = w.Write(frame)
	return err
}

// read reads a part of the handshake, and no more than that.
func (s session) read(r io.Reader) ([]byte, error) {
	b := make([]byte, frameHeader)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	length, err := s.in.open(b)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(length)
	if n > maxHandshake {
		return nil, fmt.Errorf("%w: a part of %d bytes, must be up to %d", errHandshake, n, maxHandshake)
	}
	b = make([]byte, int(n)+sealTag)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return s.in.open(b)
}

// greet is the dialler's side once its hello was accepted. binding identifies the
// TLS session, and is nil without one.
func greet(conn io.ReadWriter, h hello, binding []byte, p proof) (session, verdict, error) {
	var answer [answerSize]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return session{}, verdict{}, err
	}
	theirs, mac := answer[:publicSize], answer[publicSize:]
	t := h.transcript()
	t.add(binding)
	t.add(theirs)
	if !hmac.Equal(mac, t.mac(h.keys.answer)) {
		return session{}, verdict{}, fmt.Errorf("%w: the member could not prove that it has the secret", ErrUnauthenticated)
	}
	s, err := newSession(h.keys, t, h.private, theirs)
	if err != nil {
		return session{}, verdict{}, err
	}
	if err := s.write(conn, p.encode()); err != nil {
		return session{}, verdict{}, err
	}
	said, err := s.read(conn)
	if err != nil {
		return session{}, verdict{}, err
	}
	v, err := decodeVerdict(said)
	return s, v, err
}

// receive is the acceptor's side once it has heard a hello. decide is asked once
// the dialler has proved itself.
func receive(conn io.ReadWriter, h hello, binding []byte, decide func(proof) verdict) (session, proof, verdict, error) {
	fail := func(err error) (session, proof, verdict, error) { return session{}, proof{}, verdict{}, err }
	mine, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return fail(err)
	}
	public := mine.PublicKey().Bytes()
	t := h.transcript()
	t.add(binding)
	t.add(public)
	s, err := newSession(h.keys, t, mine, h.public)
	if err != nil {
		return fail(err)
	}
	s.out, s.in = s.in, s.out
	if _, err := conn.Write(append(public, t.mac(h.keys.answer)...)); err != nil {
		return fail(err)
	}
	said, err := s.read(conn)
	if err != nil {
		return fail(err)
	}
	p, err := decodeProof(said)
	if err != nil {
		return fail(err)
	}
	v := decide(p)
	return s, p, v, s.write(conn, v.encode())
}
