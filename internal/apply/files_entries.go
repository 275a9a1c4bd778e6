package apply

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/config"
)

// loginServices share what an operator sees.
var loginServices = []string{"console", "ssh"}

// maxFile bounds what a packed file may grow to.
const maxFile = 32 << 20

// fileEntry is an entry of write_files with its content unpacked.
type fileEntry struct {
	config.File
	text    []byte
	console string // the console that logins go on in, if they do
}

func (e fileEntry) services() []string {
	switch {
	case e.Container == "" && e.console != "":
		return append(slices.Clone(loginServices), e.console)
	case e.Container == "":
		return loginServices
	}
	return []string{e.Container}
}

// readEntries unpacks what can be.
func readEntries(list []config.File) (entries []fileEntry, errs []error) {
	for _, f := range list {
		if !path.IsAbs(f.Path) || strings.HasSuffix(f.Path, "/") || strings.ContainsRune(f.Path, 0) {
			errs = append(errs, fmt.Errorf("write_files: %q is not the absolute path of a file", f.Path))
			continue
		}
		text, err := unpack(f.Content, f.Encoding)
		if err != nil {
			errs = append(errs, fmt.Errorf("write_files: %s: %w", f.Path, err))
			continue
		}
		f.Path = path.Clean(f.Path)
		entries = append(entries, fileEntry{File: f, text: text})
	}
	return entries, errs
}

func unpack(text, encoding string) ([]byte, error) {
	switch strings.ToLower(encoding) {
	case "", "plain", "text/plain":
		return []byte(text), nil
	case "b64", "base64":
		return unbase64(text)
	case "gz", "gzip":
		return gunzip([]byte(text))
	case "gz+b64", "gz+base64", "gzip+b64", "gzip+base64":
		packed, err := unbase64(text)
		if err != nil {
			return nil, err
		}
		return gunzip(packed)
	}
	return nil, fmt.Errorf("encoding %q is not known", encoding)
}

// unbase64 minds neither line breaks nor missing padding.
func unbase64(text string) ([]byte, error) {
	text = strings.TrimRight(strings.Join(strings.Fields(text), ""), "=")
	out, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("content is not base64")
	}
	return out, nil
}

func gunzip(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errors.New("content is not gzip")
	}
	out, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, errors.New("content is not gzip, or a part of it is missing")
	}
	if len(out) > maxFile {
		return nil, fmt.Errorf("content unpacks to more than %d MiB", maxFile>>20)
	}
	return out, nil
}

// file is what all entries of one path together say.
type file struct {
	path    string
	replace bool     // the text is parts and nothing else
	parts   [][]byte // else each of them is added if it is not there
	owner   string   // "": not given
	mode    uint32   // 0: not given
}

// fold puts the entries for each path of a service together, so that what
// several of them make of a file is one step.
func fold(entries []fileEntry, service string) []file {
	var files []file
	for _, e := range entries {
		if !slices.Contains(e.services(), service) {
			continue
		}
		i := slices.IndexFunc(files, func(f file) bool { return f.path == e.Path })
		if i < 0 {
			i = len(files)
			files = append(files, file{path: e.Path})
		}
		f := &files[i]
		if !e.Append {
			*f = file{path: e.Path, replace: true}
		}
		f.parts = append(f.parts, e.text)
		if e.Owner != "" {
			f.owner = e.Owner
		}
		if e.Permissions != 0 {
			f.mode = uint32(e.Permissions)
		}
	}
	return files
}

// wanted is the file as it should be, now being how it is (nil: not there).
func (t tree) wanted(f file, now *content) (content, error) {
	want := content{Mode: 0o644}
	if !f.replace && now != nil && now.Link == "" {
		want = *now // what is not said stays
	}
	if f.mode != 0 {
		want.Mode = f.mode & 0o7777
	}
	if f.owner != "" {
		var err error
		if want.UID, want.GID, err = t.owner(f.owner); err != nil {
			return content{}, err
		}
	}
	if f.replace {
		want.Text = bytes.Join(f.parts, nil)
		return want, nil
	}
	want.Text = slices.Clone(want.Text)
	for _, part := range f.parts {
		if !bytes.Contains(want.Text, part) {
			want.Text = append(want.Text, part...)
		}
	}
	return want, nil
}

// cutOut takes parts out of a text again.
func cutOut(text []byte, parts [][]byte) (rest []byte, ok bool) {
	for _, part := range parts {
		before, after, found := bytes.Cut(text, part)
		if !found {
			return nil, false
		}
		text = slices.Concat(before, after)
	}
	return text, true
}

// owner are the numbers of "user", "user:group" or ":group", by the tables of
// the service that sees the file.
func (t tree) owner(text string) (uid, gid int, err error) {
	user, group, _ := strings.Cut(text, ":")
	if uid, err = t.number(user, "etc/passwd", "account"); err != nil {
		return 0, 0, err
	}
	gid, err = t.number(group, "etc/group", "group")
	return uid, gid, err
}

func (t tree) number(name, table, what string) (int, error) {
	if name == "" || name == "root" {
		return 0, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	text, err := t.table(table)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) > 2 && fields[0] == name {
			return strconv.Atoi(fields[2])
		}
	}
	return 0, fmt.Errorf("owner: there is no %s %q", what, name)
}

// table reads etc/passwd or etc/group as the service sees it.
func (t tree) table(name string) ([]byte, error) {
	if slices.Contains(loginServices, t.service) {
		return t.h.text(loginDir + "/" + path.Base(name)), nil
	}
	d, base, err := t.parent("/"+name, false)
	if err != nil {
		return nil, err
	}
	defer d.close()
	c, err := d.read(base)
	if err != nil || c == nil {
		return nil, err
	}
	return c.Text, nil
}
