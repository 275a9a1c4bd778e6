package userdata_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/userdata"
)

func zip(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// multi is a MIME message with these parts, each with its own header lines.
func multi(parts ...string) string {
	text := "Content-Type: multipart/mixed; boundary=\"==B==\"\nMIME-Version: 1.0\n\n"
	for _, p := range parts {
		text += "--==B==\n" + p + "\n"
	}
	return text + "--==B==--\n"
}

// part is a part with its data as text.
type part struct{ Kind, Name, Data string }

func TestDecode(t *testing.T) {
	const config, script, compose = "#cloud-config\nhostname: a\n", "#!/bin/sh\necho a\n", "#compose\nweb:\n  image: nginx\n"
	pages := map[string]string{
		"http://x/config": config, "http://x/script.gz": zip(script), "http://x/more": "#include\nhttp://x/config\n",
		"http://x/loop": "#include\nhttp://x/loop\n", "http://x/none": "<html>", "http://x/huge": strings.Repeat("x", 17<<20),
	}
	for _, tt := range []struct {
		name, data string
		want       []part
		wantErr    string
	}{
		{name: "nothing"},
		{name: "white space", data: " \r\n\t\n"},
		{name: "cloud-config", data: config, want: []part{{"cloud-config", "", config}}},
		{name: "in capitals, with a comment", data: "#Cloud-Config # mine\na: 1\n", want: []part{{"cloud-config", "", "#Cloud-Config # mine\na: 1\n"}}},
		{name: "CRLF", data: "#cloud-config\r\nhostname: a\r\n", want: []part{{"cloud-config", "", "#cloud-config\r\nhostname: a\r\n"}}},
		{name: "BOM", data: "\xef\xbb\xbf" + config, want: []part{{"cloud-config", "", config}}},
		{name: "empty lines first", data: "\n\n" + config, want: []part{{"cloud-config", "", config}}},
		{name: "script", data: script, want: []part{{"script", "", script}}},
		{name: "script with CRLF", data: "#!/bin/sh\r\necho a\r\n", want: []part{{"script", "", script}}},
		{name: "compose", data: compose, want: []part{{"compose", "", compose}}},
		{name: "gzip", data: zip(config), want: []part{{"cloud-config", "", config}}},
		{name: "base64", data: b64(config), want: []part{{"cloud-config", "", config}}},
		{name: "gzip, then base64 in lines", data: b64(zip(script))[:20] + "\r\n" + b64(zip(script))[20:] + "\n", want: []part{{"script", "", script}}},
		{name: "MIME", data: multi(
			"Content-Type: text/cloud-config; charset=\"utf-8\"\nContent-Disposition: attachment; filename=\"a.yml\"\n\nhostname: a",
			"Content-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\n"+b64(script),
			"Content-Type: text/x-compose\nContent-Transfer-Encoding: quoted-printable\n\nweb: {image: a=3Db}",
			"Content-Type: application/x-gzip\nContent-Transfer-Encoding: base64\n\n"+b64(zip(config)),
			"Content-Type: text/plain\n\n"+script,
			"Content-Type: text/x-include-url\n\nhttp://x/config"),
			want: []part{{"cloud-config", "a.yml", "hostname: a"}, {"script", "", script}, {"compose", "", "web: {image: a=b}"},
				{"cloud-config", "", config}, {"script", "", script}, {"cloud-config", "http://x/config", config}}},
		{name: "MIME with CRLF", data: strings.ReplaceAll(multi("Content-Type: text/cloud-config\n\na: 1\nb: 2"), "\n", "\r\n"),
			want: []part{{"cloud-config", "", "a: 1\r\nb: 2"}}},
		{name: "MIME in gzip, with the line of a mailbox", data: zip("From nobody Tue Nov 24 2026\n" + multi("Content-Type: text/cloud-config\n\na: 1")),
			want: []part{{"cloud-config", "", "a: 1"}}},
		{name: "MIME in MIME", data: multi("Content-Type: multipart/mixed; boundary=i\n\n--i\nContent-Type: text/cloud-config\n\na: 1\n--i--", script),
			want:    []part{{"cloud-config", "", "a: 1"}},
			wantErr: "cannot read the parts of a MIME message: malformed MIME header: missing colon: \"#!/bin/sh\""},
		{name: "MIME of one part", data: "Content-Type: text/cloud-config\nMIME-Version: 1.0\n\na: 1\n", want: []part{{"cloud-config", "", "a: 1\n"}}},
		{name: "include", data: "#include\n# a comment\nhttp://x/more\r\n\nhttp://x/script.gz\n",
			want: []part{{"cloud-config", "http://x/config", config}, {"script", "http://x/script.gz", script}}},

		{name: "include: one of two fails", data: "#include\nhttp://x/404\nhttp://x/config\n",
			want: []part{{"cloud-config", "http://x/config", config}}, wantErr: "cannot include: http://x/404: 404 not found"},
		{name: "include of itself", data: "#include\nhttp://x/loop\n", wantErr: `part "http://x/loop": user-data is wrapped more than 6 times`},
		{name: "include of a web page", data: "#include\nhttp://x/none\n",
			wantErr: `part "http://x/none": user-data of an unknown kind: its first line must be #cloud-config, #compose, #include, #! and a program, or that of a MIME message`},
		{name: "include of something huge", data: "#include\nhttp://x/huge\nhttp://x/config\n", wantErr: "user-data is larger than 16 MiB when it is unpacked"},
		{name: "too many includes", data: "#include\n" + strings.Repeat("http://x/404\n", 65),
			wantErr: strings.Repeat("cannot include: http://x/404: 404 not found\n", 64) + "user-data has more than 64 parts"},
		{name: "unknown kind", data: "password: secret\n",
			wantErr: "user-data of an unknown kind: its first line must be #cloud-config, #compose, #include, #! and a program, or that of a MIME message"},
		{name: "archive", data: "#cloud-config-archive\n- a\n", wantErr: "cannot use user-data of the kind #cloud-config-archive: give its parts as a MIME message"},
		{name: "template", data: "## template: jinja\n#cloud-config\n", wantErr: "cannot use user-data of the kind ## template: give the text that the template makes"},
		{name: "part handler", data: "#part-handler\nimport os\n", wantErr: "cannot use user-data of the kind #part-handler: there is no Python here"},
		{name: "binary", data: "\x7fELF\x00\x01\x02", wantErr: "user-data is neither text nor gzip"},
		{name: "binary behind the header", data: "#cloud-config\n\x00\xff", wantErr: "a cloud-config is not text in UTF-8"},
		{name: "gzip bomb", data: zip(strings.Repeat("\x00", 20<<20)), wantErr: "user-data is larger than 16 MiB when it is unpacked"},
		{name: "gzip bomb in gzip", data: zip(zip(strings.Repeat("\x00", 20<<20))), wantErr: "user-data is larger than 16 MiB when it is unpacked"},
		{name: "half a gzip", data: zip(config)[:30], wantErr: "cannot unpack user-data: unexpected EOF"},
		{name: "gzip in gzip in …", data: zip(zip(zip(zip(zip(zip(zip(config))))))), wantErr: "user-data is wrapped more than 6 times"},
		{name: "large cloud-config", data: config + strings.Repeat("#", 1<<20), wantErr: "a cloud-config is larger than 1 MiB"},
		{name: "large script", data: script + strings.Repeat("#", 1<<20), want: []part{{"script", "", script + strings.Repeat("#", 1<<20)}}},
		{name: "huge", data: script + strings.Repeat("#", 16<<20), wantErr: "user-data is larger than 16 MiB when it is unpacked"},
		{name: "MIME type nobody knows", data: multi("Content-Type: text/part-handler\nContent-Disposition: attachment; filename=h.py\n\nx",
			"Content-Type: text/cloud-config\n\na: 1"),
			want: []part{{"cloud-config", "", "a: 1"}}, wantErr: `part "h.py": cannot use a MIME part of type text/part-handler`},
		{name: "MIME without boundary", data: "Content-Type: multipart/mixed\n\nx", wantErr: "a MIME message of many parts names no boundary"},
		{name: "MIME without parts", data: "Content-Type: multipart/mixed; boundary=b\n\nx", wantErr: "a MIME message of many parts has none"},
		{name: "MIME cut off", data: strings.TrimSuffix(multi("Content-Type: text/cloud-config\n\na: 1"), "--==B==--\n"),
			wantErr: "cannot read a MIME part: unexpected EOF"},
		{name: "MIME in an odd encoding", data: multi("Content-Type: text/cloud-config\nContent-Transfer-Encoding: x-uuencode\n\na"),
			wantErr: "cannot read a MIME part: its Content-Transfer-Encoding is none of 7bit, 8bit, binary, base64, quoted-printable"},
		{name: "MIME with too many parts", data: multi(strings.Split(strings.Repeat("Content-Type: text/cloud-config\n\n|", 66), "|")...),
			wantErr: "user-data has more than 64 parts"},
		{name: "script without a program", data: multi("Content-Type: text/x-shellscript\n\necho a"), wantErr: "a script must begin with #! and a program"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parts, err := userdata.Decode([]byte(tt.data), userdata.Options{Fetch: func(address string) ([]byte, error) {
				if text, ok := pages[address]; ok {
					return []byte(text), nil
				}
				return nil, fmt.Errorf("%s: 404 not found", address)
			}})
			if text(err) != tt.wantErr {
				t.Errorf("Decode() error = %q, want %q", text(err), tt.wantErr)
			}
			var got []part
			for _, p := range parts {
				got = append(got, part{string(p.Kind), p.Name, string(p.Data)})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Decode() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeWithoutFetch(t *testing.T) {
	_, err := userdata.Decode([]byte("#include\nhttp://x/a\nhttp://x/b\n"), userdata.Options{})
	if want := "an #include cannot be used here"; text(err) != want {
		t.Errorf("Decode() error = %v, want %s", err, want)
	}
}

func TestFromCompose(t *testing.T) {
	for _, tt := range []struct{ name, data, want, wantErr string }{
		{name: "version 1", data: "#compose\nweb:\n  image: nginx # the usual\n",
			want: "#cloud-config\nrancher:\n    services:\n        #compose\n        web:\n            image: nginx # the usual\n"},
		{name: "version 2", data: "version: '2'\nservices:\n  web: {image: nginx}\n",
			want: "#cloud-config\nrancher:\n    services:\n        web: {image: nginx}\n"},
		{name: "aliases within", data: "a: &a\n  image: x\nb: *a\n",
			want: "#cloud-config\nrancher:\n    services:\n        a: &a\n            image: x\n        b: *a\n"},
		{name: "aliases from outside", data: "x-a: &a {image: x}\nservices:\n  b: *a\n",
			wantErr: `compose file: aliases must stay within "services": is not valid YAML: unknown anchor 'a' referenced`},
		{name: "no services", data: "services: [a]\n", wantErr: `compose file: "services" must be a mapping of services`},
		{name: "a list", data: "- a\n", wantErr: `compose file, line 1: must be a mapping ("key: value" on its first line)`},
		{name: "broken", data: "a: [\n", wantErr: "compose file, line 1: is not valid YAML: did not find expected node content"},
		{name: "empty", data: "#compose\n", wantErr: "compose file is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := userdata.FromCompose([]byte(tt.data))
			if text(err) != tt.wantErr {
				t.Errorf("FromCompose() error = %q, want %q", text(err), tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("FromCompose() (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzDecode: never a panic, never more than the bounds, and what comes out is
// of a kind.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"#cloud-config\na: 1\n", "#!/bin/sh\n", "#compose\na: {image: b}\n", zip("#cloud-config\n"), b64("#!/bin/sh\n"),
		"#include\nhttp://x/\n", multi("Content-Type: text/cloud-config\n\na: 1", "Content-Type: multipart/mixed; boundary=i\n\n--i\n\n#!a\n--i--"),
		"From a\nContent-Type: text/plain\n\n#include\nx\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fetched := 0
		parts, _ := userdata.Decode(data, userdata.Options{Fetch: func(string) ([]byte, error) {
			if fetched++; fetched%2 == 0 {
				return nil, errors.New("no")
			}
			return data, nil
		}})
		if fetched > 64 {
			t.Errorf("%d addresses fetched", fetched)
		}
		total := 0
		for _, p := range parts {
			total += len(p.Data)
			switch p.Kind {
			case userdata.Script:
				if !bytes.HasPrefix(p.Data, []byte("#!")) {
					t.Errorf("script %q", p.Data)
				}
			case userdata.CloudConfig:
			case userdata.Compose:
				if _, err := userdata.FromCompose(p.Data); err != nil {
					continue
				}
			default:
				t.Errorf("kind %q", p.Kind)
			}
		}
		if total > 16<<20+len(data) {
			t.Errorf("%d bytes of parts", total)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
