package apply

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/config"
)

// Certificate authorities. /etc/ssl/certs of console and ssh is a link to
// trustLink; so is the machine's own, which rosd and Docker use. The link leads
// to the folder of the image, or to one that has all certificates in one file,
// under the name that programs look for.
const (
	trustDir     = "run/ros/trust"
	trustLink    = trustDir + "/certs"
	machineCerts = "etc/ssl/certs"
	imageCerts   = "usr/share/ca-certificates/mozilla"
	bundleName   = "ca-certificates.crt"
)

// Trust says which certificate authorities programs on the machine trust.
// Those that run already go on with what they have read; Docker is restarted
// (its containers go on).
func Trust(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	certificates, errs := readCertificates(cfg.CACerts.Trusted)
	target := "/" + imageCerts
	if len(certificates) > 0 || cfg.CACerts.RemoveDefaults {
		text, err := h.bundle(certificates, cfg.CACerts.RemoveDefaults)
		errs = append(errs, err)
		// Named after what is in it, so that a change is one rename.
		target = fmt.Sprintf("certs-%x", sha256.Sum256(text))[:len("certs-")+16]
		if _, err := h.put(filepath.Join(trustDir, target, bundleName), text, 0o644); err != nil {
			return Outcome{}, errors.Join(append(errs, err)...)
		}
	}
	var o Outcome
	fresh := !h.present(trustLink)
	changed, err := h.link(target, trustLink)
	errs = append(errs, err)
	_, err = h.link("/"+trustLink, machineCerts)
	errs = append(errs, err)
	if err == nil {
		errs = append(errs, h.forgetBundles(target))
	}
	if changed && (!fresh || target != "/"+imageCerts) {
		o.Did = append(o.Did, trusted(len(certificates), cfg.CACerts.RemoveDefaults))
		o.Restart = append(o.Restart, "docker")
	}
	return o, errors.Join(errs...)
}

func trusted(n int, alone bool) string {
	switch {
	case alone:
		return fmt.Sprintf("trusted: the config's certificates (%d) and no others", n)
	case n == 0:
		return "trusted: the built-in certificates and no others"
	}
	return fmt.Sprintf("trusted: the config's certificates (%d) and the built-in ones", n)
}

// readCertificates gives those of the config that can be read, as PEM.
func readCertificates(list []string) (good [][]byte, errs []error) {
	for i, text := range list {
		rest, found := []byte(text), 0
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if _, err := x509.ParseCertificate(block.Bytes); block.Type != "CERTIFICATE" || err != nil {
				continue
			}
			found++
			good = append(good, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
		}
		if found == 0 {
			errs = append(errs, fmt.Errorf("ca_certs: trusted: entry %d is not a certificate in PEM", i+1))
		}
	}
	return good, errs
}

// bundle is one text with all of them.
func (h *Host) bundle(certificates [][]byte, alone bool) ([]byte, error) {
	var b bytes.Buffer
	var unread error
	if !alone {
		unread = h.builtInCertificates(&b)
	}
	for _, c := range certificates {
		b.Write(c)
	}
	return b.Bytes(), unread
}

func (h *Host) builtInCertificates(b *bytes.Buffer) error {
	files, err := os.ReadDir(h.Path(imageCerts))
	if err != nil {
		return fmt.Errorf("cannot read the built-in certificates: %w", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(h.Path(imageCerts, f.Name()))
		if err != nil {
			return fmt.Errorf("cannot read a built-in certificate: %w", err)
		}
		b.Write(bytes.TrimRight(text, "\n"))
		b.WriteByte('\n')
	}
	return nil
}

// link makes path a link to target, in one step if there was one before.
func (h *Host) link(target, path string) (changed bool, err error) {
	full := h.Path(path)
	if now, err := os.Readlink(full); err == nil && now == target {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return false, err
	}
	temp := full + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.Symlink(target, temp); err != nil {
		return false, err
	}
	return true, os.Rename(temp, full)
}

// forgetBundles removes those that are not in use any more.
func (h *Host) forgetBundles(inUse string) error {
	entries, err := os.ReadDir(h.Path(trustDir))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "certs-") && e.Name() != inUse {
			errs = append(errs, os.RemoveAll(h.Path(trustDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
