package mesh

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
)

// credentials derives a certificate from a secret. Only a node that knows the secret can make
// it. Both ends of a connection present it, and TLS does the rest.
func credentials(secret []byte) (*tls.Config, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "mesh", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	about := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // there are no names to verify; instead:
		VerifyPeerCertificate: func(certs [][]byte, _ [][]*x509.Certificate) error {
			peer, err := x509.ParseCertificate(certs[0])
			if err != nil {
				return err
			}
			if own := key.Public().(ed25519.PublicKey); !own.Equal(peer.PublicKey) {
				return ErrSecret
			}
			return nil
		},
		SessionTicketsDisabled: true,
	}, nil
}
