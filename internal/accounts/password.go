package accounts

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"

	"github.com/rosteros/ros/config"
)

// rounds of SHA-512 for passwords that the config has in clear: crypt(5)'s
// default, for they are made anew at every boot. Who wants more gives a hash.
const rounds = 5000

// keep is what a password is kept as: itself if it is a hash, else a hash of
// it. old is the hash in use; if it is of the same password it stays, so that
// nothing changes when nothing has changed.
func keep(password config.Password, old string) (string, error) {
	text := string(password)
	if strings.Trim(text, "!*") == "" {
		return NoPassword, nil // as tables of accounts say that there is none
	}
	if password.Hashed() {
		if strings.ContainsAny(text, ":\n\r ") {
			return "", errors.New("the hash of the password has characters that no hash has")
		}
		return text, nil
	}
	if ours(old) {
		if digest, err := shacrypt.Decode(old); err == nil && digest.Match(text) {
			return old, nil
		}
	}
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(rounds))
	if err != nil {
		return "", fmt.Errorf("cannot hash the password: %w", err)
	}
	digest, err := hasher.Hash(text)
	if err != nil {
		return "", fmt.Errorf("cannot hash the password: %w", err)
	}
	return digest.Encode(), nil
}

// ours says whether a hash may be one that keep made. One from the config may
// have so many rounds that trying it takes minutes.
func ours(hash string) bool {
	return strings.HasPrefix(hash, "$6$") && !strings.HasPrefix(hash, "$6$rounds=")
}
