package osupdate

import "github.com/rosteros/ros/internal/slots"

// PauseFile holds the moment (RFC 3339) until which automatic upgrades are
// paused.
const PauseFile = "/var/lib/rancher/os/paused"

// Upgrade are the options of the verb upgrade.
type Upgrade struct {
	// Release says which: a reference, a path, a URL, or a version of the list of
	// releases; "": the list's current one.
	Release    string `json:"release,omitempty"`
	Digest     string `json:"digest,omitempty"` // of the release, if it must be this one and no other
	Stage      bool   `json:"stage,omitempty"`  // write it, and try it another time
	Check      bool   `json:"check,omitempty"`  // only say whether there is anything to do
	Append     string `json:"append,omitempty"`
	Kexec      bool   `json:"kexec,omitempty"`     // load its kernel for a start without firmware
	Automatic  bool   `json:"automatic,omitempty"` // a release that runs, or failed here, is no error
	Unsigned   bool   `json:"unsigned,omitempty"`  // take it though no trusted key signed it
	BelowFloor bool   `json:"below_floor,omitempty"`
	Retry      bool   `json:"retry,omitempty"` // take it though it failed here
}

// Upgraded is what the verb upgrade has done.
type Upgraded struct {
	slots.Release
	Slot        slots.Slot `json:"slot,omitempty"`
	Key         string     `json:"key,omitempty"`     // that signed it; "": unsigned
	Nothing     string     `json:"nothing,omitempty"` // why there was nothing to do
	Already     bool       `json:"already,omitempty"` // it was there, whole; nothing was written
	Transferred int64      `json:"transferred"`       // bytes that had to travel, packed as they come
	Size        int64      `json:"size"`              // of kernel, initrd and OS image, as used
	Armed       bool       `json:"armed,omitempty"`   // the next start tries it
	Kexec       bool       `json:"kexec,omitempty"`   // its kernel is loaded
}

// Verified is what one slot was found to hold.
type Verified struct {
	Slot slots.Slot `json:"slot"`
	slots.Release
	Key    string   `json:"key,omitempty"`    // that signed it; "": no trusted key did
	Empty  bool     `json:"empty,omitempty"`  // it holds no whole system
	Faults []string `json:"faults,omitempty"` // none: every byte is as it was built
}

// Listed is one release of the list.
type Listed struct {
	Version string `json:"version"`
	Release string `json:"release"` // the reference
	Current bool   `json:"current,omitempty"`
	Running bool   `json:"running,omitempty"`
}
