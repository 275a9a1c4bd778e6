// Package userdata takes user-data apart: what a person or a tool hands to a
// machine when it is made.
//
// It owns the wrappings (gzip, base64, MIME, #include) and the kinds of what is
// in them (#cloud-config, #! script, #compose). It does not know where
// user-data comes from, what the keys of a cloud-config mean or who runs a
// script.
//
// Whatever it is given, it takes a bounded time and bounded memory.
package userdata

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Kind is what a part is.
type Kind string

// The kinds there are.
const (
	CloudConfig Kind = "cloud-config"
	Script      Kind = "script"
	Compose     Kind = "compose"
)

// Part is one thing that user-data consists of.
type Part struct {
	Kind Kind
	Name string // the file name that a MIME part gives, or the address of an include; "" without
	Data []byte
}

// Parts are in the order in which they stand.
type Parts []Part

// Bounds of user-data.
const (
	maxTotal  = 16 << 20 // bytes, of all that is unpacked together
	maxConfig = 1 << 20  // bytes of a cloud-config or a Compose file
	maxParts  = 64
	maxDepth  = 6 // wrappings around one another
)

// Options of Decode.
type Options struct {
	// Fetch gets what an #include names. nil: an #include is an error.
	Fetch func(address string) ([]byte, error)
}

// Decode takes data apart. Parts that are wrong are left out and named in the
// error; what is right comes with it. Nothing but white space has no parts.
func Decode(data []byte, opts Options) (Parts, error) {
	d := decoder{opts: opts, left: maxTotal}
	d.take(len(data))
	d.decode(data, about{}, 0)
	return d.parts, errors.Join(d.errs...)
}

// about is what is known of data from around it.
type about struct {
	kind    Kind   // of a MIME part whose type says it; "": look
	include bool   // a list of addresses
	name    string // see Part
}

type decoder struct {
	opts  Options
	parts Parts
	errs  []error
	left  int // bytes that may yet be unpacked; below zero: too many were
	count int // parts of messages and addresses of includes, good or bad
}

func (d *decoder) wrong(name, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if name != "" {
		err = fmt.Errorf("part %q: %w", name, err)
	}
	d.errs = append(d.errs, err)
}

// take counts what was unpacked. It says once when that is too much.
func (d *decoder) take(n int) bool {
	full := d.left < 0
	d.left -= n
	if d.left >= 0 {
		return true
	}
	if !full {
		d.wrong("", "user-data is larger than %d MiB when it is unpacked", maxTotal>>20)
	}
	return false
}

// decode looks at data, unwraps it and adds what it is. depth counts the
// wrappings around it.
func (d *decoder) decode(data []byte, a about, depth int) {
	if d.left < 0 {
		return
	}
	if depth > maxDepth {
		d.wrong(a.name, "user-data is wrapped more than %d times", maxDepth)
		return
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		if text, ok := d.gunzip(data, a.name); ok {
			d.decode(text, a, depth+1)
		}
		return
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // what Windows begins UTF-8 with
	text := bytes.TrimLeft(data, " \t\r\n")
	if len(text) == 0 {
		return
	}
	switch {
	case a.include:
		d.include(data, a, depth)
	case a.kind != "":
		d.add(Part{a.kind, a.name, data})
	case isMIME(text):
		d.message(text, a, depth)
	default:
		d.plain(text, a, depth)
	}
}

// plain is data whose first line says what it is.
func (d *decoder) plain(text []byte, a about, depth int) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	first := strings.ToLower(strings.TrimSpace(string(line[:min(len(line), 200)])))
	word, _, _ := strings.Cut(strings.ReplaceAll(first, "\t", " "), " ")
	switch {
	case strings.HasPrefix(first, "#!"):
		d.add(Part{Script, a.name, text})
	case word == "#cloud-config":
		d.add(Part{CloudConfig, a.name, text})
	case word == "#compose":
		d.add(Part{Compose, a.name, text})
	case word == "#include", word == "#include-once":
		d.include(text, a, depth)
	default:
		if unpacked, ok := unbase64(text); ok && d.take(len(unpacked)) {
			d.decode(unpacked, a, depth+1)
			return
		}
		d.wrong(a.name, "%s", unknown(first, word))
	}
}

// others are kinds of cloud-init's that have no meaning here, by how they begin.
var others = []struct{ begins, advice string }{
	{"#cloud-config-archive", "give its parts as a MIME message"},
	{"#cloud-config-jsonp", "give the merged cloud-config"},
	{"#cloud-boothook", "use bootcmd of #cloud-config"},
	{"#part-handler", "there is no Python here"},
	{"#upstart-job", "use rancher.services of #cloud-config"},
	{"## template:", "give the text that the template makes"},
	{"#ps1", "it is for Windows"},
	{"<powershell>", "it is for Windows"},
	{"{\"ignition\"", "it is for another OS"},
}

func unknown(first, word string) string {
	for _, o := range others {
		if word == o.begins || strings.HasSuffix(o.begins, ":") && strings.HasPrefix(first, o.begins) {
			return fmt.Sprintf("cannot use user-data of the kind %s: %s", strings.TrimSuffix(o.begins, ":"), o.advice)
		}
	}
	if !utf8.ValidString(first) || strings.ContainsRune(first, 0) {
		return "user-data is neither text nor gzip"
	}
	// The line itself is not shown: it may be part of a key or a password.
	return "user-data of an unknown kind: its first line must be #cloud-config, #compose, #include, " +
		"#! and a program, or that of a MIME message"
}

// add takes a part of a kind that is known.
func (d *decoder) add(p Part) {
	switch {
	case p.Kind == Script:
		p.Data = unixLines(p.Data)
		if !bytes.HasPrefix(p.Data, []byte("#!")) {
			d.wrong(p.Name, "a script must begin with #! and a program")
			return
		}
		d.parts = append(d.parts, p)
	case len(p.Data) > maxConfig:
		d.wrong(p.Name, "a %s is larger than %d MiB", p.Kind, maxConfig>>20)
	case bytes.IndexByte(p.Data, 0) >= 0 || !utf8.Valid(p.Data):
		d.wrong(p.Name, "a %s is not text in UTF-8", p.Kind)
	default:
		d.parts = append(d.parts, p)
	}
}

// oneMore counts parts. It says once when there are too many.
func (d *decoder) oneMore() bool {
	d.count++
	if d.count == maxParts+1 {
		d.wrong("", "user-data has more than %d parts", maxParts)
	}
	return d.count <= maxParts
}

// unixLines mends a script from an editor on Windows: the kernel would look for
// a program whose name ends in a carriage return.
func unixLines(script []byte) []byte {
	script = bytes.TrimLeft(script, " \t\r\n")
	line, _, _ := bytes.Cut(script, []byte("\n"))
	if !bytes.HasSuffix(line, []byte("\r")) {
		return script
	}
	return bytes.ReplaceAll(script, []byte("\r\n"), []byte("\n"))
}

// gunzip unpacks no more than may be unpacked.
func (d *decoder) gunzip(data []byte, name string) ([]byte, bool) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		d.wrong(name, "cannot unpack user-data: %w", err)
		return nil, false
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(d.left)+1))
	if !d.take(len(text)) {
		return nil, false
	}
	if err != nil {
		d.wrong(name, "cannot unpack user-data: %w", err)
		return nil, false
	}
	return text, true
}

// unbase64 decodes text that is nothing but base64, in lines or in one.
func unbase64(text []byte) ([]byte, bool) {
	text = bytes.Join(bytes.Fields(text), nil)
	if len(text) < 8 {
		return nil, false
	}
	into := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(into, text)
	return into[:n], err == nil
}

// include gets what the lines of text name, in their order.
func (d *decoder) include(text []byte, a about, depth int) {
	for line := range strings.Lines(string(text)) {
		address := strings.TrimSpace(line)
		if address == "" || strings.HasPrefix(address, "#") {
			continue
		}
		if !d.oneMore() || d.left < 0 {
			return
		}
		if d.opts.Fetch == nil {
			d.wrong(a.name, "an #include cannot be used here")
			return
		}
		got, err := d.opts.Fetch(address)
		if err != nil {
			d.wrong(a.name, "cannot include: %w", err)
			continue
		}
		if !d.take(len(got)) {
			return
		}
		d.decode(got, about{name: shown(address)}, depth+1)
	}
}

// shown is an address without what may be secret in it: a password, a token
// behind the question mark.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not an address)"
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}
