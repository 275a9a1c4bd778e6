package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/signature"
)

// A release is made from the builds of all its architectures, in a folder
// VERSION[-FLAVOUR]: see docs/release.md for what is in it.

// makeRelease builds every architecture and puts the release together, below
// the folder top.
func makeRelease(builds []*forge, top string, asIs bool) error {
	first := builds[0]
	dir := filepath.Join(top, first.releaseTag())
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var artifacts []*release.Artifact
	for _, f := range builds {
		f.released = true
		if err := f.steps(f.programs, f.images, f.kernel, f.grub, f.osImage, f.initrd); err != nil {
			return err
		}
		var packed *release.Packed
		if !asIs {
			if err := f.pack(); err != nil {
				return err
			}
			var err error
			if packed, err = f.packed(); err != nil {
				return err
			}
		}
		a, err := f.writeManifest(packed)
		if err != nil {
			return err
		}
		artifacts = append(artifacts, a)
		if err := f.publish(dir); err != nil {
			return err
		}
	}
	return first.finishRelease(dir, artifacts)
}

// releaseTag names a release in a repository and as a folder.
func (f *forge) releaseTag() string {
	if f.flavour == "vm" {
		return f.version
	}
	return f.version + "-" + f.flavour
}

// publish puts what one architecture has for download into the folder.
func (f *forge) publish(dir string) error {
	if err := errors.Join(f.iso(), f.disks()); err != nil {
		return err
	}
	for from, suffix := range map[string]string{
		f.relFile("roster.iso"): ".iso", f.osFile("vmlinuz"): ".vmlinuz", f.osFile(sbomFile): ".spdx.json",
		f.diskFile("raw.zst"): ".raw.zst", f.diskFile("qcow2"): ".qcow2", f.diskFile("vmdk"): ".vmdk",
	} {
		// A link to what the next build writes over would be another file then than
		// the one whose checksum is signed.
		if err := copyFile(from, f.published(dir, suffix), 0o644); err != nil {
			return err
		}
	}
	return f.netboot(dir)
}

// published is the name of a file for download.
func (f *forge) published(dir, suffix string) string {
	return filepath.Join(dir, fmt.Sprintf("roster-%s-%s%s", f.releaseTag(), f.arch.Name, suffix))
}

// finishRelease writes what is there once: the OCI layout, its tar, checksums.
func (f *forge) finishRelease(dir string, artifacts []*release.Artifact) error {
	key, err := f.signingKey()
	if err != nil {
		return err
	}
	layout := filepath.Join(dir, "oci")
	digest, err := release.WriteLayout(layout, f.releaseTag(), key, artifacts...)
	if err != nil {
		return err
	}
	if err := tarLayout(layout, filepath.Join(dir, "roster-"+f.releaseTag()+".tar")); err != nil {
		return err
	}
	if err := writeSums(dir, key); err != nil {
		return err
	}
	signed := "signed with " + filepath.Join(f.keys, privateKeyFile)
	if key == nil {
		signed = "not signed: there is no " + filepath.Join(f.keys, privateKeyFile) + " (make keys)"
	}
	_, err = fmt.Fprintf(f.out, "release %s: %s\n  %s\n  %s\n", f.releaseTag(), digest, signed, dir)
	return err
}

// tarLayout makes a tar of a layout, small files first, so that a reader over
// the network finds out what is in it with few requests.
func tarLayout(layout, to string) error {
	type file struct {
		name string
		info fs.FileInfo
	}
	var files []file
	err := filepath.WalkDir(layout, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(layout, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		files = append(files, file{name, info})
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b file) int {
		if a.info.Size() != b.info.Size() {
			return int(min(max(a.info.Size()-b.info.Size(), -1), 1))
		}
		return strings.Compare(a.name, b.name)
	})
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	defer w.Close()
	t := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(f.name), Size: f.info.Size(), Mode: 0o644, ModTime: flatTime, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if err := copyInto(t, filepath.Join(layout, f.name)); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), w.Close())
}

func copyInto(w io.Writer, file string) error {
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// Files that vouch for the others of the folder.
const (
	sumsFile = "SHA256SUMS"
	sumsSig  = "SHA256SUMS.sig" // as "cosign sign-blob" writes it
)

// writeSums writes the checksums of all files for download and signs them.
func writeSums(dir string, key *signature.PrivateKey) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		sum, err := fileHash(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, e.Name())
	}
	if err := os.WriteFile(filepath.Join(dir, sumsFile), []byte(text.String()), 0o644); err != nil || key == nil {
		return err
	}
	sig, err := key.SignBlob([]byte(text.String()))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, sumsSig), []byte(signature.Encode(sig)), 0o644)
}
