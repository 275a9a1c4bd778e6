package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rosteros/ros/internal/signature"
)

// Files of a key pair, as "cosign generate-key-pair" calls them.
const (
	privateKeyFile = "cosign.key"
	publicKeyFile  = "cosign.pub"
)

// password of the private key, in the variable that cosign reads. It may be
// empty.
func password() []byte { return []byte(os.Getenv("COSIGN_PASSWORD")) }

// makeKeys makes a pair for signing releases. An old one is never overwritten:
// machines in the field trust it.
func (f *forge) makeKeys() error {
	private, public := filepath.Join(f.keys, privateKeyFile), filepath.Join(f.keys, publicKeyFile)
	for _, file := range []string{private, public} {
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("cannot make keys: %s is there already; machines in the field may trust it", file)
		}
	}
	if err := os.MkdirAll(f.keys, 0o755); err != nil {
		return err
	}
	key, err := signature.Generate()
	if err != nil {
		return err
	}
	sealed, err := key.MarshalPrivate(password())
	if err != nil {
		return err
	}
	text, err := key.Public("").MarshalPublic()
	if err != nil {
		return err
	}
	if err := os.WriteFile(private, sealed, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(public, text, 0o644); err != nil {
		return err
	}
	protection := "without a password (COSIGN_PASSWORD was empty)"
	if len(password()) > 0 {
		protection = "sealed with COSIGN_PASSWORD"
	}
	_, err = fmt.Fprintf(f.out, "%s: signs releases, %s; keep it safe, and a copy of it elsewhere\n%s: goes into every OS image that is built from now on\n",
		private, protection, public)
	return err
}

// signingKey is the private key, or nil if there is none.
func (f *forge) signingKey() (*signature.PrivateKey, error) {
	file := filepath.Join(f.keys, privateKeyFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := signature.ParsePrivate(text, password())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &key, nil
}

// trustedKeys are the public keys that go into the OS image: file name to
// content. One that cannot be read as a key would lock machines out, so it
// stops the build.
func (f *forge) trustedKeys() (map[string][]byte, error) {
	keys, err := signature.ReadKeys(f.keys)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, k := range keys {
		text, err := k.MarshalPublic()
		if err != nil {
			return nil, err
		}
		files[k.Name+".pub"] = text
	}
	return files, nil
}
