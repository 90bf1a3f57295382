package cluster

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// secretSize is the least a secret may have. A handshake tells one who recorded
// it whether a guess of the secret is right; of 256 random bits that is no help.
const secretSize = 32

// NewSecret returns a new secret for Config.Secret: 32 random bytes. All nodes of
// a cluster must be given the same.
func NewSecret() []byte {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails
	return b
}

// keys are what is derived from a secret (HKDF, RFC 5869).
type keys struct {
	hello, answer []byte // of the MACs
	session       []byte // goes into the keys of each connection
	gossip        []byte // AES-256
}

func deriveKeys(secret []byte) (k keys, err error) {
	if len(secret) < secretSize {
		return keys{}, fmt.Errorf("%w: a secret of %d bytes, must be %d random bytes or more, as NewSecret makes them",
			ErrConfig, len(secret), secretSize)
	}
	for _, d := range []struct {
		key  *[]byte
		info string
	}{
		{&k.hello, "tensile cluster 1 hello"},
		{&k.answer, "tensile cluster 1 answer"},
		{&k.session, "tensile cluster 1 session"},
		{&k.gossip, "tensile cluster 1 gossip"},
	} {
		if *d.key, err = hkdf.Key(sha256.New, secret, nil, d.info, 32); err != nil {
			return keys{}, err
		}
	}
	return k, nil
}

// keyring are the keys of all secrets that a node accepts. It speaks with the
// first.
type keyring []keys

func newKeyring(first []byte, others [][]byte) (ring keyring, err error) {
	for _, secret := range append([][]byte{first}, others...) {
		k, err := deriveKeys(secret)
		if err != nil {
			return nil, err
		}
		ring = append(ring, k)
	}
	return ring, nil
}
