package osupdate

import "fmt"

// InstallOptions are the options of the verb install.
type InstallOptions struct {
	Device     string `json:"device"`                // a whole disk: /dev/vda, /dev/disk/by-id/…
	Type       string `json:"type,omitempty"`        // Generic (as "") or NoFormat
	Config     string `json:"config,omitempty"`      // a cloud-config for the installed machine
	ConfigName string `json:"config_name,omitempty"` // what it is called in messages
	ConfigURL  string `json:"config_url,omitempty"`  // where to get it instead
	Append     string `json:"append,omitempty"`      // kernel arguments
	StateDir   string `json:"state_dir,omitempty"`   // rancher.state.directory of the installed machine
	Check      bool   `json:"check,omitempty"`       // only look: answers InstallPlan
	// Automatic is for rancher.install: the disk must be empty unless Force is
	// set, and the config is what the datasource said.
	Automatic bool `json:"automatic,omitempty"`
	Force     bool `json:"force,omitempty"`
}

// Types of an installation.
const (
	Generic  = "generic"  // the whole disk anew
	NoFormat = "noformat" // slot A and the boot loader anew on a disk of Roster; its state disk stays
)

// InstallPlan is what an installation would do.
type InstallPlan struct {
	Version string   `json:"version"` // of the release that would be installed
	Device  string   `json:"device"`
	Model   string   `json:"model,omitempty"`
	Size    int64    `json:"size"`  // bytes
	Found   []string `json:"found"` // what is on the disk, a line each; none: it is empty
	Lost    bool     `json:"lost"`  // all of that will be lost
	Notes   []string `json:"notes,omitempty"`
}

// Installed is what an installation did.
type Installed struct {
	Version string `json:"version"`
	Device  string `json:"device"`
	Slot    string `json:"slot"`
}

// rancherTypes are the names that RancherOS had for ways to install, and what
// becomes of them: another name, or why there is no such way.
var rancherTypes = map[string]struct{ is, why string }{
	"":                {is: Generic},
	Generic:           {is: Generic},
	NoFormat:          {is: NoFormat},
	"syslinux":        {is: Generic},
	"gptsyslinux":     {is: Generic}, // the partition table always is a GPT
	"raid":            {why: "this version knows no RAID"},
	"arm":             {why: "on arm64 generic makes a disk that UEFI starts; boards without UEFI are not supported"},
	"bootstrap":       {why: "an image for a cloud is a disk image of the release, not an installation"},
	"amazon-ebs-pv":   {why: "paravirtual instances are no more; use a disk image of the release"},
	"amazon-ebs-hvm":  {why: "use a disk image of the release"},
	"googlecompute":   {why: "use a disk image of the release"},
	"upgrade":         {why: "use ros os upgrade"},
	"rancher-upgrade": {why: "use ros os upgrade"},
}

// InstallType is the type of installation that a name means, as RancherOS or
// as this version calls it.
func InstallType(name string) (string, error) {
	t, known := rancherTypes[name]
	switch {
	case !known:
		return "", fmt.Errorf("there is no installation type %q: want %s or %s", name, Generic, NoFormat)
	case t.is == "":
		return "", fmt.Errorf("there is no installation type %q here: %s", name, t.why)
	}
	return t.is, nil
}
