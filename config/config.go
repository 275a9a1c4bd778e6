// Package config is what a machine should be: one #cloud-config, put together
// from layers.
//
// It owns the keys, their types, meanings and defaults, the order of the
// layers, what puts a changed key into effect, and what is said about keys that
// are wrong. It reads files and changes nothing; those who act on a key
// (package apply, rosd, the services) get a Config, which nobody changes after
// Load.
//
// Reading is lenient, because a machine has to boot with the config it has: a
// file, a key or an entry of a list that cannot be used becomes a Warning, and
// the layers below still count for that key. Validate is the strict look at one
// file, for people.
package config

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// ShutdownTimeout is how long all services together have to stop.
func (r Rancher) ShutdownTimeout() time.Duration {
	return time.Duration(r.ShutdownTimeoutSeconds) * time.Second
}

// Password is plain or hashed as in crypt(5).
type Password string

// Hashed says whether the password is a hash ("$6$…"), or "!" or "*", which no
// password matches.
func (p Password) Hashed() bool {
	return strings.HasPrefix(string(p), "$") || strings.HasPrefix(string(p), "!") || p == "*"
}

// Login is the user and the password of a registry, however they are given.
// Both are empty if there are none, or only a token.
func (r Registry) Login() (user, password string) {
	if r.Auth == "" {
		return r.Username, string(r.Password)
	}
	text, err := base64.StdEncoding.DecodeString(string(r.Auth))
	if err != nil {
		return "", ""
	}
	user, password, _ = strings.Cut(string(text), ":")
	return user, password
}

// hidden stands for a secret in everything that is shown.
const hidden = "(hidden)"

// String keeps passwords out of everything printed; string(p) has the text.
func (p Password) String() string {
	if p == "" {
		return ""
	}
	return hidden
}

// defaults is the lowest layer.
func defaults() *Config {
	return &Config{
		Rancher: Rancher{
			Console:                "default",
			Docker:                 Docker{LiveRestore: true},
			State:                  State{Dev: "LABEL=RANCHER_STATE", OEMDev: "LABEL=RANCHER_OEM"},
			ShutdownTimeoutSeconds: 60,
			Upgrade: Upgrade{
				Policy: "none", JitterSeconds: 1800, IntervalSeconds: 21600,
				CommitWindowSeconds: 120, DeadlineSeconds: 600,
			},
			Defaults: Defaults{
				Hostname: "rancher",
				Network:  DefaultsNetwork{DHCPTimeoutSeconds: 10, DNS: DNS{Nameservers: []string{"8.8.8.8", "8.8.4.4"}}},
			},
		},
		origins: map[string][]said{},
	}
}

// Origin is where a value came from.
type Origin struct {
	Layer string `json:"layer"`           // the name of the layer; "defaults"
	Line  int    `json:"line,omitempty"`  // in the layer's file; 0: no file
	Value string `json:"value,omitempty"` // what that layer says, as YAML; only in an Entry
}

// said is what one layer says about a key.
type said struct {
	layer string
	line  int
	value any // of the type of the key
}

// defaultsLayer is the name of the lowest layer.
const defaultsLayer = "defaults"

// Origin says which layer set a key such as "rancher.state.dev".
func (c *Config) Origin(key string) Origin {
	if all := c.origins[key]; len(all) > 0 {
		last := all[len(all)-1]
		return Origin{Layer: last.layer, Line: last.line}
	}
	return Origin{Layer: defaultsLayer}
}

// Severity says how bad a warning is.
type Severity string

// The severities. What Load warns of is wrong; the others only Validate says.
const (
	Wrong  Severity = "wrong"  // does not count
	Unwise Severity = "unwise" // counts, but there is a better way
	Note   Severity = "note"   // is accepted and has no effect, or not the one it seems to have
)

// Warning is something that is to be said about a layer.
type Warning struct {
	Layer    string   `json:"layer"`            // the path of a file, or "kernel command line"
	Line     int      `json:"line,omitempty"`   // 0: the whole layer
	Column   int      `json:"column,omitempty"` // 0: the whole line
	Key      string   `json:"key,omitempty"`
	Message  string   `json:"message"`
	Severity Severity `json:"severity"`
}

// String is one line: "cloud-config.yml:3:10: rancher.debug: …".
func (w Warning) String() string {
	s := w.Layer
	if w.Line > 0 {
		s += fmt.Sprintf(":%d", w.Line)
		if w.Column > 0 {
			s += fmt.Sprintf(":%d", w.Column)
		}
	}
	if w.Key != "" {
		s += ": " + w.Key
	}
	return s + ": " + w.Message
}
