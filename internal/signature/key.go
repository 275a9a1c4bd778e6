package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// PEM types of cosign's files. The last one is that of cosign before 2.0.
const (
	publicType     = "PUBLIC KEY"
	privateType    = "ENCRYPTED SIGSTORE PRIVATE KEY"
	privateTypeOld = "ENCRYPTED COSIGN PRIVATE KEY"
)

const hashOptions = crypto.SHA256

// PublicKey is a key to check signatures with.
type PublicKey struct {
	Name string // for messages: the file name without .pub
	key  *ecdsa.PublicKey
}

// PrivateKey is a key to sign with.
type PrivateKey struct{ key *ecdsa.PrivateKey }

// Generate makes a new key.
func Generate() (PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return PrivateKey{key}, err
}

// Public is the other half of the pair.
func (k PrivateKey) Public(name string) PublicKey { return PublicKey{name, &k.key.PublicKey} }

// MarshalPublic is the content of a cosign.pub.
func (k PublicKey) MarshalPublic() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicType, Bytes: der}), nil
}

// ParsePublic reads a cosign.pub.
func ParsePublic(name string, text []byte) (PublicKey, error) {
	key, err := parsePublic(text)
	if err != nil {
		return PublicKey{}, fmt.Errorf("cannot read key %q: %w", name, err)
	}
	return PublicKey{name, key}, nil
}

func parsePublic(text []byte) (*ecdsa.PublicKey, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("it is not in PEM form")
	case block.Type != publicType:
		return nil, fmt.Errorf("it is a %q, want a %q", block.Type, publicType)
	case len(strings.TrimSpace(string(rest))) > 0:
		return nil, errors.New("something stands behind the key")
	}
	any, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := any.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("it is not an ECDSA key on P-256")
	}
	return key, nil
}

// ReadKeys reads every *.pub of a folder, in name order. A folder that is not
// there has no keys. Keys that cannot be read are left out and reported.
func ReadKeys(dir string) ([]PublicKey, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pub"))
	if err != nil {
		return nil, err
	}
	var keys []PublicKey
	var faults []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		key, err := ParsePublic(strings.TrimSuffix(filepath.Base(file), ".pub"), text)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(faults...)
}

// MarshalPrivate is the content of a cosign.key: sealed with the password,
// which may be empty.
func (k PrivateKey) MarshalPrivate(password []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, err
	}
	box, err := seal(der, password)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateType, Bytes: box}), nil
}

// ParsePrivate reads a cosign.key.
func ParsePrivate(text, password []byte) (PrivateKey, error) {
	key, err := parsePrivate(text, password)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("cannot read private key: %w", err)
	}
	return PrivateKey{key}, nil
}

func parsePrivate(text, password []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("it is not in PEM form")
	case block.Type != privateType && block.Type != privateTypeOld:
		return nil, fmt.Errorf("it is a %q, want an %q as cosign makes it", block.Type, privateType)
	}
	der, err := open(block.Bytes, password)
	if err != nil {
		return nil, err
	}
	any, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := any.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("it is not an ECDSA key on P-256")
	}
	return key, nil
}
