package release

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/mod/semver"
)

// Format is the number of the form that Manifest has. A release of another
// form is refused: what it demands is not known here.
const Format = 1

// Names of the parts of a release.
const (
	Kernel = "kernel"
	Initrd = "initrd"
	Image  = "image" // the OS image: EROFS followed by its verity tree
	SBOM   = "sbom"  // SPDX 2.3, JSON
)

// Manifest says what a release is, for one architecture: release.json.
type Manifest struct {
	Format  int    `json:"format"`
	Version string `json:"version"`
	Arch    string `json:"arch"`    // amd64, arm64
	Flavour string `json:"flavour"` // vm, metal
	Kernel  string `json:"kernel"`  // its version

	RootHash   string `json:"root_hash"`   // of the OS image, hexadecimal
	HashOffset int64  `json:"hash_offset"` // of its verity tree
	// Cmdline is the kernel command line of a slot, without ros.image and ros.slot,
	// which depend on the disk, and without consoles.
	Cmdline string `json:"cmdline"`
	// Floor is the oldest version that a machine with this release may go back to.
	Floor string          `json:"floor"`
	Parts map[string]Part `json:"parts"`
}

// Part is one file of a release as it is used; on its way it may be packed.
type Part struct {
	File   string        `json:"file"` // what it is called on the ISO and in a folder
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// Bounds of what a manifest may claim, so that nothing absurd is believed.
const (
	maxPart     = 4 << 30
	maxManifest = 1 << 20
	maxWord     = 128
	maxCmdline  = 1024
)

// ParseManifest reads a release.json. Unknown keys are left alone: a later
// version may say more under the same format number.
func ParseManifest(text []byte) (Manifest, error) {
	m, err := parseManifest(text)
	if err != nil {
		return Manifest{}, fmt.Errorf("cannot read the manifest of the release: %w", err)
	}
	return m, nil
}

func parseManifest(text []byte) (Manifest, error) {
	var m Manifest
	if len(text) > maxManifest {
		return m, fmt.Errorf("it has more than %d bytes", maxManifest)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&m); err != nil {
		return m, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return m, errors.New("something stands behind its end")
	}
	if m.Format != Format {
		return m, fmt.Errorf("it has format %d, this version of the OS knows format %d", m.Format, Format)
	}
	return m, m.validate()
}

func (m Manifest) validate() error {
	for _, w := range []struct{ name, value string }{
		{"version", m.Version}, {"arch", m.Arch}, {"flavour", m.Flavour}, {"kernel", m.Kernel},
	} {
		if !word(w.value) {
			return fmt.Errorf("%s: %q is no name", w.name, w.value)
		}
	}
	if m.Floor != "" && !word(m.Floor) {
		return fmt.Errorf("floor: %q is no version", m.Floor)
	}
	if raw, err := hex.DecodeString(m.RootHash); err != nil || len(raw) != 32 {
		return fmt.Errorf("root_hash: %q is no sha256 in hexadecimal", m.RootHash)
	}
	if len(m.Cmdline) > maxCmdline || strings.ContainsFunc(m.Cmdline, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("cmdline: want one line of ASCII")
	}
	for _, name := range []string{Kernel, Initrd, Image} {
		if _, ok := m.Parts[name]; !ok {
			return fmt.Errorf("parts: there is no %s", name)
		}
	}
	for name, p := range m.Parts {
		if err := p.validate(); err != nil {
			return fmt.Errorf("parts: %s: %w", name, err)
		}
	}
	if image := m.Parts[Image]; m.HashOffset <= 0 || m.HashOffset%4096 != 0 || m.HashOffset >= image.Size {
		return fmt.Errorf("hash_offset: %d is no place in an image of %d bytes", m.HashOffset, image.Size)
	}
	return nil
}

func (p Part) validate() error {
	switch {
	case !word(p.File):
		return fmt.Errorf("file: %q is no name of a file", p.File)
	case p.Digest.Validate() != nil || p.Digest.Algorithm() != digest.SHA256:
		return fmt.Errorf("digest: %q is no sha256 digest", p.Digest)
	case p.Size <= 0 || p.Size > maxPart:
		return fmt.Errorf("size: %d bytes, want 1 to %d", p.Size, int64(maxPart))
	}
	return nil
}

// word says whether a text can stand in a path, a menu and a command line.
func word(s string) bool {
	return s != "" && len(s) <= maxWord && s[0] != '.' && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+-~", r))
	})
}

// Marshal is the content of release.json: the same bytes for the same manifest.
func (m Manifest) Marshal() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("cannot write the manifest of the release: %w", err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// PartNames are the names of the parts, in order.
func (m Manifest) PartNames() []string {
	names := make([]string, 0, len(m.Parts))
	for name := range m.Parts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Older says whether version a is older than b. Only versions of releases
// (v1.2.3, v1.2.3-rc.1) have an order; of others it is not known.
func Older(a, b string) (older, known bool) {
	if !semver.IsValid(a) || !semver.IsValid(b) {
		return false, false
	}
	return semver.Compare(a, b) < 0, true
}
