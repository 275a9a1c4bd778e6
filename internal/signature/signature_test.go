package signature_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/signature"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func generate(t *testing.T) signature.PrivateKey {
	t.Helper()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSignAndCheck(t *testing.T) {
	key, other := generate(t), generate(t)
	s, err := key.Sign("rosteros/ros", digest)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := key.Sign("rosteros/ros", digest); !bytes.Equal(s.Signature, again.Signature) {
		t.Error("Sign() twice gives two signatures, want the same one: two builds must be equal")
	}
	foreign, err := other.Sign("rosteros/ros", digest)
	if err != nil {
		t.Fatal(err)
	}
	changed := signature.Signature{Payload: bytes.Replace(s.Payload, []byte("0123"), []byte("3210"), 1), Signature: s.Signature}
	otherText := signature.Signature{Payload: []byte("[]")}
	if otherText.Signature, err = key.SignBlob(otherText.Payload); err != nil {
		t.Fatal(err)
	}
	keys := []signature.PublicKey{generate(t).Public("a"), key.Public("b"), {Name: "empty"}}
	for _, tt := range []struct {
		name       string
		digest     string
		signatures []signature.Signature
		wantKey    string
		want       string
	}{
		{"signed", digest, []signature.Signature{foreign, s}, "b", ""},
		{"a wrong one beside the right one", digest, []signature.Signature{otherText, s}, "b", ""},
		{"not signed", digest, nil, "", "it is not signed"},
		{"signed by somebody else", digest, []signature.Signature{foreign}, "", "it is signed with a key that this machine does not trust"},
		{"changed", digest, []signature.Signature{changed}, "", "it is signed with a key that this machine does not trust"},
		{"of another release", "sha256:ff", []signature.Signature{s}, "", "its signature by b: is that of " + digest + ", not of sha256:ff"},
		{"of something else", digest, []signature.Signature{otherText}, "", "its signature by b: is over something else: json: cannot unmarshal array into Go value of type signature.payload"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := signature.Check(tt.digest, tt.signatures, keys)
			if got != tt.wantKey || text(err) != tt.want {
				t.Errorf("Check() = %q, %v, want %q, %s", got, err, tt.wantKey, tt.want)
			}
		})
	}
	if _, err := signature.Check(digest, nil, keys); !errors.Is(err, signature.ErrUnsigned) {
		t.Errorf("Check() = %v, want ErrUnsigned", err)
	}
}

func TestKeyFiles(t *testing.T) {
	key := generate(t)
	private, err := key.MarshalPrivate([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := signature.ParsePrivate(private, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	public, _ := key.Public("").MarshalPublic()
	if same, _ := again.Public("").MarshalPublic(); !bytes.Equal(public, same) {
		t.Error("ParsePrivate(MarshalPrivate()) is another key")
	}
	for _, tt := range []struct {
		name, text, password, want string
	}{
		{"wrong password", string(private), "wrong", "cannot read private key: the password (COSIGN_PASSWORD) is wrong"},
		{"not PEM", "hello", "", "cannot read private key: it is not in PEM form"},
		{"a public key", string(public), "", `cannot read private key: it is a "PUBLIC KEY", want an "ENCRYPTED SIGSTORE PRIVATE KEY" as cosign makes it`},
	} {
		if _, err := signature.ParsePrivate([]byte(tt.text), []byte(tt.password)); text(err) != tt.want {
			t.Errorf("ParsePrivate(%s) = %v, want %s", tt.name, err, tt.want)
		}
	}
	for _, tt := range []struct {
		name, text, want string
	}{
		{"not PEM", "hello", `cannot read key "k": it is not in PEM form`},
		{"a private key", string(private), `cannot read key "k": it is a "ENCRYPTED SIGSTORE PRIVATE KEY", want a "PUBLIC KEY"`},
		{"two keys", string(public) + string(public), `cannot read key "k": something stands behind the key`},
	} {
		if _, err := signature.ParsePublic("k", []byte(tt.text)); text(err) != tt.want {
			t.Errorf("ParsePublic(%s) = %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestReadKeys(t *testing.T) {
	dir := t.TempDir()
	if keys, err := signature.ReadKeys(filepath.Join(dir, "none")); err != nil || len(keys) != 0 {
		t.Errorf("ReadKeys() of no folder = %v, %v, want none", keys, err)
	}
	public, err := generate(t).Public("").MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"b.pub": string(public), "a.pub": string(public), "c.pub": "no key", "cosign.key": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := signature.ReadKeys(dir)
	if want := `cannot read key "c": it is not in PEM form`; text(err) != want || len(keys) != 2 || keys[0].Name != "a" || keys[1].Name != "b" {
		t.Errorf("ReadKeys() = %v, %v, want a and b, and %s", keys, err, want)
	}
}

func TestTag(t *testing.T) {
	if got, want := signature.Tag(digest), strings.Replace(digest, ":", "-", 1)+".sig"; got != want {
		t.Errorf("Tag() = %q, want %q", got, want)
	}
}

func FuzzPrivate(f *testing.F) {
	key, err := signature.Generate()
	if err != nil {
		f.Fatal(err)
	}
	public, _ := key.Public("").MarshalPublic()
	f.Add(public)
	f.Add([]byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = signature.ParsePublic("k", data)
		if len(data) < 300 { // a whole one takes scrypt its second
			_, _ = signature.ParsePrivate(data, nil)
		}
	})
}
