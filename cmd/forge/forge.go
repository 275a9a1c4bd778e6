package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// epoch is the time stamp of every file we make, so that two builds of one
// commit give the same bits. 2025-01-01 00:00:00 UTC.
const epoch = 1735689600

// forge is one build for one architecture.
type forge struct {
	out     io.Writer
	arch    Arch
	flavour string
	version string
	dense   bool
	overlay string // folder put over the OS image; "": none
	keys    string // folder of the key pair

	released bool // this build is for a release

	top    string // the source tree, absolute
	build  string // absolute
	shared string // build/<arch>: programs, layers, images
	dir    string // build/<arch>[-<flavour>]: kernel, OS image, initrd, ISO

	read []*recipe // what recipes found
}

func newForge(out io.Writer, arch Arch, flavour, version string, dense bool, build string) (*forge, error) {
	top, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	if build, err = filepath.Abs(build); err != nil {
		return nil, err
	}
	f := &forge{out: out, arch: arch, flavour: flavour, version: version, dense: dense, top: top, build: build}
	f.shared = filepath.Join(build, arch.Name)
	f.dir = f.shared
	if flavour != "vm" {
		f.dir += "-" + flavour
	}
	for _, d := range []string{"bin", "layers", "images", "stamps"} {
		if err := os.MkdirAll(filepath.Join(f.shared, d), 0o755); err != nil {
			return nil, err
		}
	}
	return f, os.MkdirAll(filepath.Join(f.dir, "stamps"), 0o755)
}

func (f *forge) steps(steps ...func() error) error {
	if os.Geteuid() != 0 {
		return errors.New("must run as root: the files of an image have owners")
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// once runs work unless it has run before with the same key, and says how long
// it took. The stamp is written after the work: a build that was cut off does
// the step again.
func (f *forge) once(dir, name, key string, work func() error) error {
	stamp := filepath.Join(dir, "stamps", name)
	if old, err := os.ReadFile(stamp); err == nil && string(old) == key {
		return nil
	}
	if err := os.Remove(stamp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	began := time.Now()
	if err := work(); err != nil {
		return fmt.Errorf("cannot build %s: %w", name, err)
	}
	fmt.Fprintf(f.out, "  %-32s %6.1f s\n", name, time.Since(began).Seconds())
	return os.WriteFile(stamp, []byte(key), 0o644)
}

// inRoot runs a program of the build root; paths below the source tree are the
// same inside.
func (f *forge) inRoot(args ...string) error {
	_, err := f.output(nil, filepath.Join(f.top, "scripts/in-root.sh"), args...)
	return err
}

func (f *forge) rootOutput(args ...string) ([]byte, error) {
	return f.output(nil, filepath.Join(f.top, "scripts/in-root.sh"), args...)
}

func (f *forge) output(env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = f.top
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch), "LC_ALL=C", "TZ=UTC", "BUILD="+f.build)
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, tail(stderr.String()+stdout.String(), 30))
	}
	return stdout.Bytes(), nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// hash is the key of a stamp: anything printable, told apart by length.
func hash(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		s := fmt.Sprint(p)
		fmt.Fprintf(h, "%d:%s\n", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hashTree hashes names, modes, link targets and contents below a folder. A
// folder that does not exist has a hash too.
func hashTree(dir string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && path == dir {
				return filepath.SkipAll
			}
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %v ", rel, info.Mode())
		switch {
		case info.Mode().IsRegular():
			return hashFile(h, path)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			fmt.Fprintln(h, target)
			return err
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

func hashFile(h io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(h, file)
	return err
}

func fileHash(path string) (string, error) {
	h := sha256.New()
	err := hashFile(h, path)
	return hex.EncodeToString(h.Sum(nil)), err
}
