package main

import (
	"archive/tar"
	"bytes"
	"crypto/md5" //nolint:gosec // dpkg's database knows no other
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// An image with `database: true` has dpkg's database of its packages, so that
// apt and dpkg work in it. No maintainer script runs here, so that an image of
// another architecture needs no emulator: what the scripts of the packages would
// have made stands in the recipe, but for what is below.
//
// What lies where: dpkg(1), FILES; deb-triggers(5); the format of triggers/ is
// in dpkg's doc/triggers.txt.

const dpkgDir = "var/lib/dpkg"

// aptSources is where apt has the sources of its own distribution.
const aptSources = "usr/share/doc/apt/examples/debian.sources"

// copied is what base-files, base-passwd and libc-bin copy when they are
// configured, and what an installer does for apt.
var copied = map[string]string{
	aptSources:                           "etc/apt/sources.list.d/debian.sources",
	"usr/share/base-files/profile":       "etc/profile",
	"usr/share/base-files/motd":          "etc/motd",
	"usr/share/base-files/dot.bashrc":    "root/.bashrc",
	"usr/share/base-files/dot.profile":   "root/.profile",
	"usr/share/base-passwd/group.master": "etc/group",
	"usr/share/libc-bin/nsswitch.conf":   "etc/nsswitch.conf",
}

// readableDocs is what of the documentation is left out, as in Debian's own
// small images; dpkg is told so, or it would bring it back with every upgrade.
var readableDocs = []string{"usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug", "usr/share/doc-base"}

// keepWhole says whether an image with a database wants a path: all but what is
// only read, and of that the copyrights.
func keepWhole(name string) bool {
	if strings.HasPrefix(name, "usr/share/doc/") {
		return path.Base(name) == "copyright" || name == aptSources
	}
	return !matches(name, readableDocs)
}

// addDatabase writes the database, and the files that are copied.
func (f *forge) addDatabase(r *recipe, target string) error {
	if !r.Database {
		return nil
	}
	for from, to := range copied {
		err := copyFile(filepath.Join(target, from), filepath.Join(target, to), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := errors.Join(masterAccounts(target), bundle(target)); err != nil {
		return err
	}
	db := database{dir: filepath.Join(target, dpkgDir), root: target, triggers: map[string][]string{}}
	for _, d := range r.debs {
		if err := db.add(f.debPath(d)); err != nil {
			return fmt.Errorf("package %s: %w", d.Package, err)
		}
	}
	return db.write()
}

// masterAccounts makes etc/passwd and etc/shadow of base-passwd's list, as
// update-passwd and shadowconfig do.
func masterAccounts(target string) error {
	text, err := os.ReadFile(filepath.Join(target, "usr/share/base-passwd/passwd.master"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var passwd, shadow strings.Builder
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(line, ":")
		if len(fields) != 7 {
			continue
		}
		fields[1] = "x"
		passwd.WriteString(strings.Join(fields, ":"))
		shadow.WriteString(fields[0] + ":*:20089:0:99999:7:::\n")
	}
	if err := os.WriteFile(filepath.Join(target, "etc/passwd"), []byte(passwd.String()), 0o644); err != nil {
		return err
	}
	file := filepath.Join(target, "etc/shadow")
	if err := os.WriteFile(file, []byte(shadow.String()), 0o640); err != nil {
		return err
	}
	return os.Chown(file, 0, 42) // group shadow
}

// bundle makes what update-ca-certificates makes of ca-certificates: the list of
// what is trusted, and one file with all of it. It also makes links by the hash
// of a name, for programs that know of no bundle; none of Debian's do.
func bundle(target string) error {
	const from, to = "usr/share/ca-certificates", "etc/ssl/certs"
	files, err := filepath.Glob(filepath.Join(target, from, "mozilla/*.crt"))
	if err != nil || len(files) == 0 {
		return err
	}
	var list, all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name := filepath.Base(file)
		list.WriteString("mozilla/" + name + "\n")
		all.Write(text)
		if err := relink("/"+from+"/mozilla/"+name, filepath.Join(target, to, strings.TrimSuffix(name, ".crt")+".pem")); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(target, "etc/ca-certificates.conf"), []byte(list.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(target, to, "ca-certificates.crt"), []byte(all.String()), 0o644)
}

// database is dpkg's database being written.
type database struct {
	dir, root string
	stanzas   []string
	triggers  map[string][]string // what is triggered: "package" or "package/noawait"
}

// add takes a package in as one that is installed.
func (db *database) add(deb string) error {
	control, err := tarOf("--ctrl-tarfile", deb)
	if err != nil {
		return err
	}
	fields := string(control.texts["control"])
	name, arch, same := field(fields, "Package"), field(fields, "Architecture"), field(fields, "Multi-Arch") == "same"
	known := name
	if same {
		known += ":" + arch
	}
	for _, file := range slices.Sorted(maps.Keys(control.texts)) {
		if file == "control" {
			continue
		}
		to := filepath.Join(db.dir, "info", known+"."+file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, control.texts[file], control.modes[file]); err != nil {
			return err
		}
	}
	content, err := tarOf("--fsys-tarfile", deb)
	if err != nil {
		return err
	}
	list := "/.\n"
	for _, p := range content.names {
		list += "/" + p + "\n"
	}
	if err := os.MkdirAll(filepath.Join(db.dir, "info"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(db.dir, "info", known+".list"), []byte(list), 0o644); err != nil {
		return err
	}
	db.interests(known, string(control.texts["triggers"]))
	stanza, err := db.stanza(fields, string(control.texts["conffiles"]))
	db.stanzas = append(db.stanzas, stanza)
	return err
}

// stanza is the entry of a package in the file status.
func (db *database) stanza(control, conffiles string) (string, error) {
	var out strings.Builder
	first, rest, _ := strings.Cut(strings.TrimRight(control, "\n"), "\n")
	if !strings.HasPrefix(first, "Package: ") {
		return "", fmt.Errorf("its control file begins with %q", first)
	}
	fmt.Fprintf(&out, "%s\nStatus: install ok installed\n%s\n", first, rest)
	var sums strings.Builder
	for line := range strings.Lines(conffiles) {
		file := strings.TrimSpace(line)
		if !strings.HasPrefix(file, "/") {
			continue // "remove-on-upgrade": it is not in the package
		}
		sum, err := md5Of(filepath.Join(db.root, merged(file)))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&sums, " %s %s\n", file, sum)
	}
	if sums.Len() > 0 {
		out.WriteString("Conffiles:\n" + sums.String())
	}
	return out.String(), nil
}

func md5Of(file string) (string, error) {
	h := md5.New() //nolint:gosec // see above
	err := hashFile(h, file)
	return hex.EncodeToString(h.Sum(nil)), err
}

// interests reads the file triggers of a package.
func (db *database) interests(name, text string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 2 {
			continue
		}
		switch words[0] {
		case "interest", "interest-await":
			db.triggers[words[1]] = append(db.triggers[words[1]], name)
		case "interest-noawait":
			db.triggers[words[1]] = append(db.triggers[words[1]], name+"/noawait")
		}
	}
}

func (db *database) write() error {
	files := map[string]string{"status": strings.Join(db.stanzas, "\n"), "available": "", "info/format": "1\n"}
	for _, trigger := range slices.Sorted(maps.Keys(db.triggers)) {
		for _, who := range db.triggers[trigger] {
			if strings.HasPrefix(trigger, "/") {
				files["triggers/File"] += trigger + " " + who + "\n"
			} else {
				files["triggers/"+trigger] += who + "\n"
			}
		}
	}
	for name, text := range files {
		to := filepath.Join(db.dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, dir := range []string{"parts", "updates", "alternatives"} {
		if err := os.MkdirAll(filepath.Join(db.dir, dir), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// members are the entries of one of the tars of a package.
type members struct {
	names []string // without "./", in their order
	texts map[string][]byte
	modes map[string]fs.FileMode
}

// tarOf reads a tar of a package; the content of its files only if it is that
// of the control files.
func tarOf(which, deb string) (members, error) {
	m := members{texts: map[string][]byte{}, modes: map[string]fs.FileMode{}}
	cmd := exec.Command("dpkg-deb", which, deb)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return m, err
	}
	if err := cmd.Start(); err != nil {
		return m, err
	}
	err = m.read(tar.NewReader(pipe), which == "--ctrl-tarfile")
	_, _ = io.Copy(io.Discard, pipe)
	return m, errors.Join(err, cmd.Wait())
}

func (m *members) read(r *tar.Reader, texts bool) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path.Clean(h.Name), "/")
		if name == "." {
			continue
		}
		m.names = append(m.names, name)
		if !texts || h.Typeflag != tar.TypeReg {
			continue
		}
		var text bytes.Buffer
		if _, err := io.Copy(&text, r); err != nil {
			return err
		}
		m.texts[name], m.modes[name] = text.Bytes(), fs.FileMode(h.Mode).Perm()
	}
}

// field is a field of a control file that is one line.
func field(control, key string) string {
	for line := range strings.Lines(control) {
		if value, ok := strings.CutPrefix(line, key+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
