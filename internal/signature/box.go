package signature

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"
)

// box is what a private key is sealed in: the form of go-securesystemslib's
// package encrypted, which cosign uses. Its readers accept only these scrypt
// parameters (and some older ones), so nobody can hand us one that takes all
// memory.
type box struct {
	KDF struct {
		Name   string       `json:"name"`
		Params scryptParams `json:"params"`
		Salt   []byte       `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

type scryptParams struct {
	N int `json:"N"`
	R int `json:"r"`
	P int `json:"p"`
}

const (
	kdfName    = "scrypt"
	cipherName = "nacl/secretbox"
)

var strength = scryptParams{N: 65536, R: 8, P: 1}

// accepted are the parameters that keys in the field have: of cosign before
// 2.0, of today, and the next step of the library.
var accepted = []scryptParams{{32768, 8, 1}, strength, {131072, 8, 1}}

func seal(plain, password []byte) ([]byte, error) {
	var b box
	b.KDF.Name, b.KDF.Params, b.KDF.Salt = kdfName, strength, make([]byte, 32)
	b.Cipher.Name, b.Cipher.Nonce = cipherName, make([]byte, 24)
	for _, random := range [][]byte{b.KDF.Salt, b.Cipher.Nonce} {
		if _, err := rand.Read(random); err != nil {
			return nil, err
		}
	}
	key, err := b.key(password)
	if err != nil {
		return nil, err
	}
	b.Ciphertext = secretbox.Seal(nil, plain, (*[24]byte)(b.Cipher.Nonce), key)
	return json.Marshal(b)
}

func open(text, password []byte) ([]byte, error) {
	var b box
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, err
	}
	if b.KDF.Name != kdfName || b.Cipher.Name != cipherName {
		return nil, fmt.Errorf("it is sealed with %s and %s, want %s and %s", b.KDF.Name, b.Cipher.Name, kdfName, cipherName)
	}
	ok := false
	for _, p := range accepted {
		ok = ok || b.KDF.Params == p
	}
	if !ok || len(b.KDF.Salt) != 32 || len(b.Cipher.Nonce) != 24 {
		return nil, fmt.Errorf("its scrypt parameters %+v are not cosign's", b.KDF.Params)
	}
	key, err := b.key(password)
	if err != nil {
		return nil, err
	}
	plain, ok := secretbox.Open(nil, b.Ciphertext, (*[24]byte)(b.Cipher.Nonce), key)
	if !ok {
		return nil, errors.New("the password (COSIGN_PASSWORD) is wrong")
	}
	return plain, nil
}

func (b box) key(password []byte) (*[32]byte, error) {
	p := b.KDF.Params
	key, err := scrypt.Key(password, b.KDF.Salt, p.N, p.R, p.P, 32)
	if err != nil {
		return nil, err
	}
	return (*[32]byte)(key), nil
}
