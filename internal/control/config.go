package control

import (
	"time"

	"github.com/rosteros/ros/config"
)

// Routes about the config. Those that change something are for root only: rosd
// asks the kernel who is at the other end of the socket.
//
//	GET  /v1/config            ConfigView
//	POST /v1/config/preview    body ConfigWrite, of which only the text counts; answers ConfigPreview; changes nothing
//	POST /v1/config/write      body ConfigWrite; answers ConfigApplied; 409 when the file has changed meanwhile
//	POST /v1/config/apply      read all layers again and apply them; answers ConfigApplied
//	POST /v1/config/confirm    keep what is on trial; answers ConfigApplied
//	POST /v1/config/rollback   back to the last good config; answers ConfigApplied

// ConfigView is the config that counts, and where it stands.
type ConfigView struct {
	Entries  []config.Entry `json:"entries"`             // secrets hidden unless root asks
	Warnings []string       `json:"warnings,omitempty"`  // what does not count, and what could not be applied
	Pending  *Trial         `json:"pending,omitempty"`   // a change that is on trial
	LastGood *time.Time     `json:"last_good,omitempty"` // when the config was kept as the last good one
}

// ConfigWrite replaces cloud-config.yml.
type ConfigWrite struct {
	Text       []byte `json:"text"`
	Was        string `json:"was"`                   // sha256, in hex, of the file it replaces; "" if there is none
	TrySeconds int    `json:"try_seconds,omitempty"` // take it back after so long unless it is confirmed; 0: it stays
}

// ConfigPreview is what a change would do to services, each named once.
type ConfigPreview struct {
	Start    []string `json:"start,omitempty"`
	Stop     []string `json:"stop,omitempty"`
	Recreate []string `json:"recreate,omitempty"` // their specs change
}

// ConfigApplied is what a change did.
type ConfigApplied struct {
	Results  []ApplyResult `json:"results,omitempty"` // only of appliers that did, noted or failed something
	Warnings []string      `json:"warnings,omitempty"`
	Trial    *Trial        `json:"trial,omitempty"`
}

// ApplyResult is what one applier did.
type ApplyResult struct {
	Applier string   `json:"applier"`         // its name in config.Appliers
	Keys    []string `json:"keys,omitempty"`  // the changed keys that it stands for
	Did     []string `json:"did,omitempty"`   // "host name is now edge-7", "restarted ntp"
	Notes   []string `json:"notes,omitempty"` // what could not be taken back, what takes effect later
	Error   string   `json:"error,omitempty"`
}

// Trial is a change that is taken back unless it is confirmed in time.
type Trial struct {
	Until time.Time `json:"until"`
}
