package userdata

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
)

// mimeStart is how a message begins: a field of MIME, or the line that mailboxes
// put before a message, which some tools write.
var mimeStart = regexp.MustCompile(`(?i)^(from [^\n]*\n)?(content-[a-z-]+|mime-version)[ \t]*:`)

func isMIME(text []byte) bool { return mimeStart.Match(text[:min(len(text), 1000)]) }

// types are the MIME types that say what a part is.
var types = map[string]about{
	"text/cloud-config":           {kind: CloudConfig},
	"text/x-cloud-config":         {kind: CloudConfig},
	"text/x-shellscript":          {kind: Script},
	"text/x-compose":              {kind: Compose},
	"text/compose":                {kind: Compose},
	"text/x-include-url":          {include: true},
	"text/x-include-once-url":     {include: true},
	"text/plain":                  {}, // these: look at what is in it
	"text/x-not-multipart":        {},
	"application/octet-stream":    {},
	"application/gzip":            {},
	"application/x-gzip":          {},
	"application/gunzip":          {},
	"application/x-gunzip":        {},
	"application/gzip-compressed": {},
}

// header is what parts and messages have.
type header interface{ Get(key string) string }

// message is a MIME message, with many parts or with one.
func (d *decoder) message(text []byte, a about, depth int) {
	if len(text) > 5 && strings.EqualFold(string(text[:5]), "from ") {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		d.wrong(a.name, "cannot read a MIME message: %w", err)
		return
	}
	d.entity(m.Header, m.Body, a, depth)
}

// entity is a message or a part of one.
func (d *decoder) entity(h header, body io.Reader, a about, depth int) {
	if depth > maxDepth {
		d.wrong(a.name, "user-data is wrapped more than %d times", maxDepth)
		return
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if h.Get("Content-Type") == "" {
		mediaType, err = "text/plain", nil
	}
	if err != nil {
		d.wrong(a.name, "cannot read the type of a MIME part: %w", err)
		return
	}
	if _, disposition, err := mime.ParseMediaType(h.Get("Content-Disposition")); err == nil && disposition["filename"] != "" {
		a.name = disposition["filename"]
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		d.multipart(body, params["boundary"], a, depth)
		return
	}
	known, ok := types[mediaType]
	if !ok {
		d.wrong(a.name, "cannot use a MIME part of type %s", mediaType)
		return
	}
	known.name = a.name
	text, err := d.transfer(body, h.Get("Content-Transfer-Encoding"))
	if err != nil {
		d.wrong(a.name, "cannot read a MIME part: %w", err)
		return
	}
	d.decode(text, known, depth+1)
}

func (d *decoder) multipart(body io.Reader, boundary string, a about, depth int) {
	if boundary == "" {
		d.wrong(a.name, "a MIME message of many parts names no boundary")
		return
	}
	r := multipart.NewReader(body, boundary)
	for parts := 0; ; parts++ {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			if parts == 0 {
				d.wrong(a.name, "a MIME message of many parts has none")
			}
			return
		}
		if err != nil {
			d.wrong(a.name, "cannot read the parts of a MIME message: %w", err)
			return
		}
		if !d.oneMore() || d.left < 0 {
			return
		}
		d.entity(p.Header, p, about{}, depth+1)
	}
}

// transfer undoes what made a part fit for mail.
func (d *decoder) transfer(body io.Reader, encoding string) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "", "7bit", "8bit", "binary":
	default:
		return nil, errors.New("its Content-Transfer-Encoding is none of 7bit, 8bit, binary, base64, quoted-printable")
	}
	text, err := io.ReadAll(io.LimitReader(body, int64(max(d.left, 0))+1))
	if err != nil {
		return nil, err
	}
	d.take(len(text))
	return text, nil
}
