package loader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/internal/compose"
)

// security are the options of security_opt. Two of them are for whoever asks the
// engine, as docker compose does: a seccomp profile is a file here and its text
// there, and systempaths=unconfined says that no path of the system is hidden.
func (t *translation) security() {
	h := &t.out.HostConfig
	for _, given := range t.service.SecurityOpt {
		name, value := option(given)
		switch {
		case name == "systempaths" && value == "unconfined":
			h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
		case name == "seccomp" && value != "unconfined" && value != "builtin":
			if t.remote {
				t.wrongKey("security_opt", "%q is not supported: %s", given, compose.Alone)
				continue
			}
			profile, err := t.profile(value)
			if err != nil {
				t.wrongKey("security_opt", "%v", err)
				continue
			}
			h.SecurityOpt = append(h.SecurityOpt, "seccomp="+profile)
		case value == "":
			h.SecurityOpt = append(h.SecurityOpt, name)
		default: // the engine wants a colon, Compose takes "=" too
			h.SecurityOpt = append(h.SecurityOpt, name+":"+value)
		}
	}
}

// option is NAME:VALUE, or NAME=VALUE, or a name alone.
func option(text string) (name, value string) {
	if at := strings.IndexAny(text, ":="); at >= 0 {
		return text[:at], text[at+1:]
	}
	return text, ""
}

// profile is the text of a seccomp profile.
func (t *translation) profile(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(t.project.WorkingDir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("the seccomp profile: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return "", fmt.Errorf("the seccomp profile %s: %w", path, err)
	}
	return compact.String(), nil
}
