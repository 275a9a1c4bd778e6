package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rosteros/ros/internal/release"
)

// floor is the oldest release that a machine with this one may go back to. It
// rises when an older one could not read what this one leaves on a state disk.
const floor = "v0.1.0"

// Files of a build that a release is made of, beside kernel, initrd and image.
const (
	sbomFile      = "sbom.spdx.json"
	manifestFile  = "release.json"
	signatureFile = "release.sig"
)

// releaseFiles are the parts of this build's release.
func (f *forge) releaseFiles() release.Files {
	return release.Files{
		release.Kernel: f.osFile("vmlinuz"),
		release.Initrd: f.osFile("initrd.img"),
		release.Image:  f.osFile("os.img"),
		release.SBOM:   f.osFile(sbomFile),
	}
}

// running is what the OS image says about itself.
func (f *forge) running() (release.Running, error) {
	kernel, err := f.kernelVersion()
	return release.Running{Version: f.version, Arch: f.arch.Name, Flavour: f.flavour, Kernel: kernel, Floor: floor}, err
}

// relFile is a file of a build that is another one in a release, where the OS
// image travels packed: the signature, hence the ISO.
func (f *forge) relFile(name string) string {
	if f.released {
		return filepath.Join(f.dir, "release", name)
	}
	return f.osFile(name)
}

// manifest makes release.json and release.sig of what was built, as if it were
// a release whose OS image travels as it is.
func (f *forge) manifest() error {
	_, err := f.writeManifest(nil)
	return err
}

func (f *forge) writeManifest(packed *release.Packed) (*release.Artifact, error) {
	if err := f.writeSBOM(); err != nil {
		return nil, err
	}
	a, err := f.artifact(packed)
	if err != nil {
		return nil, err
	}
	if err := writeIfNew(f.relFile(manifestFile), a.Bundle.Release); err != nil {
		return nil, err
	}
	return a, writeIfNew(f.relFile(signatureFile), a.Bundle.Signature)
}

func (f *forge) artifact(packed *release.Packed) (*release.Artifact, error) {
	m, err := f.newManifest()
	if err != nil {
		return nil, err
	}
	key, err := f.signingKey()
	if err != nil {
		return nil, err
	}
	return release.NewArtifact(m, f.releaseFiles(), packed, key)
}

func (f *forge) newManifest() (release.Manifest, error) {
	boot, err := f.bootInfo()
	if err != nil {
		return release.Manifest{}, err
	}
	r, err := f.running()
	if err != nil {
		return release.Manifest{}, err
	}
	parts, err := f.releaseFiles().Parts()
	return release.Manifest{
		Format: release.Format, Version: r.Version, Arch: r.Arch, Flavour: r.Flavour, Kernel: r.Kernel,
		RootHash: boot.RootHash, HashOffset: boot.HashOffset,
		Cmdline: fmt.Sprintf("ros.roothash=%s ros.hashoffset=%d %s", boot.RootHash, boot.HashOffset, kernelSettings),
		Floor:   r.Floor, Parts: parts,
	}, err
}

// writeIfNew leaves a file with the same content alone, so that its hard links
// stay what they are.
func writeIfNew(file string, content []byte) error {
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
