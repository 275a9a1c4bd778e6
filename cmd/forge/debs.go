package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// deb is one Debian package file.
type deb struct {
	Package string
	File    string // name in the archives folder; carries version and architecture
}

// aptOptions make apt in the build root resolve for our architecture as if
// nothing were installed, with lists and archives of its own.
func (f *forge) aptOptions() []string {
	dir := filepath.Join(f.build, "apt", f.arch.Name)
	return []string{
		"-qq", "-o", "APT::Architecture=" + f.arch.Name, "-o", "APT::Architectures=" + f.arch.Name,
		"-o", "APT::Install-Recommends=false", "-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root",
		"-o", "Dir::State=" + dir, "-o", "Dir::State::status=" + dir + "/status",
		"-o", "Dir::Cache=" + dir, "-o", "Dir::Cache::archives=" + dir + "/archives",
		"-o", "pkgCacheGen::Essential=none", "-o", "APT::Get::AllowUnauthenticated=false",
	}
}

// aptUpdate fetches the package lists, once for the life of a build folder:
// a build folder stands for one state of Debian. `make update` asks anew.
func (f *forge) aptUpdate() error {
	dir := filepath.Join(f.build, "apt", f.arch.Name)
	for _, d := range []string{"lists/partial", "archives/partial", "none/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "stamps"), 0o755); err != nil {
		return err
	}
	return f.once(dir, "package lists "+f.arch.Name, "1", func() error {
		if err := os.WriteFile(filepath.Join(dir, "status"), nil, 0o644); err != nil {
			return err
		}
		return f.inRoot(append([]string{"apt-get", "update"}, f.aptOptions()...)...)
	})
}

// resolve asks apt for the packages and all they depend on, in name order. A
// package that is left out takes along what only it depends on.
func (f *forge) resolve(packages, leaveOut []string) ([]deb, error) {
	if len(packages) == 0 {
		return nil, nil
	}
	args := append([]string{"apt-get", "install", "--print-uris", "-y"}, f.aptOptions()...)
	// apt says nothing of packages that it finds in its archives.
	args = append(args, "-o", "Dir::Cache::archives="+filepath.Join(f.build, "apt", f.arch.Name, "none"))
	out, err := f.rootOutput(append(args, packages...)...)
	if err != nil {
		return nil, fmt.Errorf("cannot resolve %s: %w", strings.Join(packages, " "), err)
	}
	var debs []deb
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(line, "'") {
			continue
		}
		file, err := url.PathUnescape(fields[1])
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(file, "_")
		debs = append(debs, deb{Package: name, File: fields[1]})
	}
	slices.SortFunc(debs, func(a, b deb) int { return strings.Compare(a.Package, b.Package) })
	return f.without(debs, packages, leaveOut)
}

// without keeps the packages that are reached from roots by dependencies
// without passing through one that is left out.
func (f *forge) without(debs []deb, roots, leaveOut []string) ([]deb, error) {
	if len(leaveOut) == 0 {
		return debs, nil
	}
	args := append([]string{"apt-cache", "show", "--no-all-versions"}, f.aptOptions()...)
	for _, d := range debs {
		args = append(args, d.Package)
	}
	out, err := f.rootOutput(args...)
	if err != nil {
		return nil, err
	}
	needs := dependencies(string(out))
	reached := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if reached[name] || matches(name, leaveOut) {
			return
		}
		reached[name] = true
		for _, need := range needs[name] {
			visit(need)
		}
	}
	for _, name := range roots {
		visit(name)
	}
	return slices.DeleteFunc(debs, func(d deb) bool { return !reached[d.Package] }), nil
}

// dependencies reads what apt-cache show prints: for each package the packages
// that may serve its Depends and Pre-Depends. Names that only are provided
// stand for those that provide them.
func dependencies(show string) map[string][]string {
	needs, provided := map[string][]string{}, map[string][]string{}
	for stanza := range strings.SplitSeq(show, "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(stanza) {
			if key, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, " ") {
				fields[key] = strings.TrimSpace(value)
			}
		}
		name := fields["Package"]
		needs[name] = packageNames(fields["Depends"] + "," + fields["Pre-Depends"])
		for _, p := range packageNames(fields["Provides"]) {
			provided[p] = append(provided[p], name)
		}
	}
	for name, list := range needs {
		for _, need := range list {
			needs[name] = append(needs[name], provided[need]...)
		}
	}
	return needs
}

// packageNames are the names of a dependency field, without versions and
// architectures, alternatives side by side.
func packageNames(field string) []string {
	var names []string
	for _, part := range strings.FieldsFunc(field, func(r rune) bool { return r == ',' || r == '|' }) {
		if words := strings.Fields(part); len(words) > 0 {
			name, _, _ := strings.Cut(words[0], ":")
			names = append(names, name)
		}
	}
	return names
}

// fetch downloads what is not in the archives folder yet.
func (f *forge) fetch(debs []deb) error {
	var missing []string
	for _, d := range debs {
		if _, err := os.Stat(f.debPath(d)); err != nil {
			missing = append(missing, d.Package)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	args := append([]string{"env", "-C", filepath.Join(f.build, "apt", f.arch.Name, "archives"), "apt-get", "download"}, f.aptOptions()...)
	return f.inRoot(append(args, missing...)...)
}

func (f *forge) debPath(d deb) string {
	return filepath.Join(f.build, "apt", f.arch.Name, "archives", d.File)
}

// extract unpacks a package below a folder as its tar says it, without its
// maintainer scripts. Paths of the unmerged layout (/bin, /lib) go below /usr.
// keep decides by path (no leading slash) whether an entry is wanted.
func (f *forge) extract(d deb, dir string, keep func(string) bool) error {
	cmd := exec.Command("dpkg-deb", "--fsys-tarfile", f.debPath(d))
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = untar(tar.NewReader(pipe), dir, keep)
	_, _ = io.Copy(io.Discard, pipe) // tar's padding, or dpkg-deb would die of a closed pipe
	return errors.Join(err, cmd.Wait())
}

func untar(r *tar.Reader, dir string, keep func(string) bool) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := merged(path.Clean(strings.TrimPrefix(h.Name, ".")))
		if name == "" || !keep(name) {
			continue
		}
		if err := untarEntry(r, h, dir, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// merged maps a path of a package onto the merged-/usr layout.
func merged(name string) string {
	name = strings.Trim(name, "/")
	if name == "." {
		return ""
	}
	first, rest, _ := strings.Cut(name, "/")
	switch first {
	case "bin", "sbin", "lib", "lib64":
		if rest == "" {
			return ""
		}
		return "usr/" + name
	}
	return name
}

func untarEntry(r io.Reader, h *tar.Header, dir, name string) error {
	target := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	mode := h.FileInfo().Mode()
	if h.Typeflag == tar.TypeDir {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
	} else if err := os.RemoveAll(target); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
	case tar.TypeReg:
		if err := writeFile(target, r); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := os.Symlink(h.Linkname, target); err != nil {
			return err
		}
		return os.Lchown(target, h.Uid, h.Gid)
	case tar.TypeLink:
		return os.Link(filepath.Join(dir, merged(path.Clean(strings.TrimPrefix(h.Linkname, ".")))), target)
	default:
		return fmt.Errorf("unexpected type %q in a package", h.Typeflag)
	}
	if err := os.Lchown(target, h.Uid, h.Gid); err != nil {
		return err
	}
	return os.Chmod(target, mode.Perm()|mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
}

func writeFile(target string, r io.Reader) error {
	w, err := os.Create(target)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// flatten gives every file below a folder the same time.
func flatten(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return lchtimes(p, flatTime)
	})
}
