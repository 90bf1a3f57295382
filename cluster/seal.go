package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Everything that goes over a connection after the handshake is sealed with
// AES-256-GCM, under a key of that connection and direction. The nonce counts, so
// that nothing can be added, left out, repeated or moved without being noticed.

const (
	sealTag = 16
	keySize = 32
	// rekeyAfter is how many bytes go under one key: 2^32 blocks of AES, with
	// which the odds of telling the stream from noise are below 2^-64. (TLS 1.3
	// allows for 2^-57 and 24 million full records, RFC 8446, 5.5.)
	rekeyAfter = 64 << 30
	// sealOverhead is what a call of seal counts for at least.
	sealOverhead = 32
)

// direction is one direction of a connection: the sender seals, the receiver
// opens, both in the same order. Not safe for concurrent use.
type direction struct {
	key   []byte
	aead  cipher.AEAD
	nonce [12]byte // 4 zero bytes, then how much has been sealed under the key
	bytes uint64   // sealed under the key
	limit uint64   // rekeyAfter, but in tests
}

func newDirection(key []byte) (*direction, error) {
	d := &direction{limit: rekeyAfter}
	return d, d.use(key)
}

func (d *direction) use(key []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	d.key, d.bytes, d.nonce = key, 0, [12]byte{}
	d.aead, err = cipher.NewGCM(block)
	return err
}

// next counts what was sealed or opened, and takes a new key, derived from the
// one before, when that one has been used enough.
func (d *direction) next(size int) error {
	binary.LittleEndian.PutUint64(d.nonce[4:], binary.LittleEndian.Uint64(d.nonce[4:])+1)
	d.bytes += uint64(size) + sealOverhead
	if d.bytes < d.limit {
		return nil
	}
	key, err := hkdf.Expand(sha256.New, d.key, "tensile cluster 1 next key", keySize)
	if err != nil {
		return err
	}
	return d.use(key)
}

// seal encrypts plain in place, and appends its tag, for which there must be
// room.
func (d *direction) seal(plain []byte) ([]byte, error) {
	sealed := d.aead.Seal(plain[:0], d.nonce[:], plain, nil)
	return sealed, d.next(len(plain))
}

// open decrypts in place what seal made, its tag at the end.
func (d *direction) open(sealed []byte) ([]byte, error) {
	plain, err := d.aead.Open(sealed[:0], d.nonce[:], sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not what the member sent, or not the next", errGarbled)
	}
	return plain, d.next(len(plain))
}
