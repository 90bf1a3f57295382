package cluster

import (
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
//	dialler   nonce
//	acceptor  nonce
//	dialler   proof: who it is, whom it wants, and a MAC over the transcript so far
//	acceptor  one byte, accepted; then a verdict, who it is, and a MAC over all
//
// The dialler proves itself first: one that cannot gets the byte "rejected" and
// nothing else, so it learns nothing. Each MAC has a key of its own, so that none
// can be sent back as the other's; each nonce is fresh, so that none can be used
// again; and the transcript begins with what identifies the TLS session, if there
// is one, so that nobody sits between two of them.

const (
	nonceSize = 32
	macSize   = sha256.Size
	// maxHandshake bounds the variable part of a proof or a verdict.
	maxHandshake = 1024

	rejected = 0
	accepted = 1
)

// keys are what is derived from the shared secret (HKDF, RFC 5869).
type keys struct {
	dialler, acceptor []byte // of the MACs
	gossip            []byte // AES-256
}

func deriveKeys(secret []byte) (k keys, err error) {
	for _, d := range []struct {
		key  *[]byte
		info string
	}{
		{&k.dialler, "tensile cluster 1 dialler"},
		{&k.acceptor, "tensile cluster 1 acceptor"},
		{&k.gossip, "tensile cluster 1 gossip"},
	} {
		if *d.key, err = hkdf.Key(sha256.New, secret, nil, d.info, 32); err != nil {
			return keys{}, err
		}
	}
	return k, nil
}

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

// writePart writes the length of a part and the complement of that, the part and
// a MAC. Without the complement a length that was garbled on the way would have
// the other side wait for what never comes.
func writePart(w io.Writer, first []byte, part, mac []byte) error {
	n := uint16(len(part))
	b := binary.LittleEndian.AppendUint16(first, n)
	b = binary.LittleEndian.AppendUint16(b, ^n)
	b = append(b, part...)
	_, err := w.Write(append(b, mac...))
	return err
}

func readPart(r io.Reader) (part, mac []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, nil, err
	}
	length, complement := binary.LittleEndian.Uint16(head[:]), binary.LittleEndian.Uint16(head[2:])
	n := int(length)
	switch {
	case length != ^complement:
		return nil, nil, fmt.Errorf("%w: the length of a part is %d, and %d by its complement", errHandshake, length, ^complement)
	case n > maxHandshake:
		return nil, nil, fmt.Errorf("%w: a part of %d bytes, accepted are up to %d", errHandshake, n, maxHandshake)
	}
	b := make([]byte, n+macSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, nil, err
	}
	return b[:n], b[n:], nil
}

// greet is the dialler's side. binding identifies the TLS session, and is nil
// without one.
func greet(conn io.ReadWriter, k keys, binding []byte, p proof) (verdict, error) {
	var t transcript
	var mine, theirs [nonceSize]byte
	rand.Read(mine[:]) // never fails
	if _, err := conn.Write(mine[:]); err != nil {
		return verdict{}, err
	}
	if _, err := io.ReadFull(conn, theirs[:]); err != nil {
		return verdict{}, err
	}
	said := p.encode()
	for _, part := range [][]byte{binding, mine[:], theirs[:], said} {
		t.add(part)
	}
	if err := writePart(conn, nil, said, t.mac(k.dialler)); err != nil {
		return verdict{}, err
	}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return verdict{}, err
	}
	if first[0] != accepted {
		return verdict{}, fmt.Errorf("%w: the member rejected the proof, its secret is another", ErrUnauthenticated)
	}
	answer, mac, err := readPart(conn)
	if err != nil {
		return verdict{}, err
	}
	t.add(answer)
	if !hmac.Equal(mac, t.mac(k.acceptor)) {
		return verdict{}, fmt.Errorf("%w: the member could not prove that it has the secret", ErrUnauthenticated)
	}
	return decodeVerdict(answer)
}

// receive is the acceptor's side. decide is asked once the dialler has proved
// itself.
func receive(conn io.ReadWriter, k keys, binding []byte, decide func(proof) verdict) (proof, verdict, error) {
	var t transcript
	var mine, theirs [nonceSize]byte
	if _, err := io.ReadFull(conn, theirs[:]); err != nil {
		return proof{}, verdict{}, err
	}
	rand.Read(mine[:])
	if _, err := conn.Write(mine[:]); err != nil {
		return proof{}, verdict{}, err
	}
	said, mac, err := readPart(conn)
	if err != nil {
		return proof{}, verdict{}, err
	}
	for _, part := range [][]byte{binding, theirs[:], mine[:], said} {
		t.add(part)
	}
	if !hmac.Equal(mac, t.mac(k.dialler)) {
		_, _ = conn.Write([]byte{rejected}) // a courtesy
		return proof{}, verdict{}, ErrUnauthenticated
	}
	p, err := decodeProof(said)
	if err != nil {
		return proof{}, verdict{}, err
	}
	v := decide(p)
	answer := v.encode()
	t.add(answer)
	return p, v, writePart(conn, []byte{accepted}, answer, t.mac(k.acceptor))
}
