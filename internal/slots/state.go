package slots

import "time"

// State is where an upgrade stands.
type State string

// The states of an upgrade.
const (
	Idle      State = "idle"      // nothing was ever staged here
	Staged    State = "staged"    // the other slot holds a release that was never started, or is armed for the next start
	Trying    State = "trying"    // the running system is on trial
	Committed State = "committed" // the last release that was tried is the committed one
	Failed    State = "failed"    // the last release that was tried was not committed
)

// Status is where an upgrade stands, and all that explains it. It is what
// "osupdate status" tells, rosd passes on, and "ros os status" shows.
type Status struct {
	State      State            `json:"state"`
	Running    Running          `json:"running"`             // Slot is empty on the live system
	Version    string           `json:"version"`             // of the running system
	Boot       *Boot            `json:"boot,omitempty"`      // what the boot loader keeps; nil on the live system, or if it cannot be read
	Next       Slot             `json:"next,omitempty"`      // what starts next, if nobody touches the boot menu
	Slots      map[Slot]Content `json:"slots,omitempty"`     // what is in them
	Wanted     *Release         `json:"wanted,omitempty"`    // what was asked for last
	Committed  *time.Time       `json:"committed,omitempty"` // when a trial was committed last
	Failure    *Failure         `json:"failure,omitempty"`   // of the last trial, if that was not committed
	TrustedKey bool             `json:"trusted_key"`         // the image has a key to check releases with
	Warnings   []string         `json:"warnings,omitempty"`
}

// Where says where an upgrade stands. other says whether the slot that is not
// committed holds a whole system. Without a record it tells what the boot loader
// alone can say.
func Where(b Boot, running Running, r Record, other bool) State {
	staged := other && b.Previous == ""
	switch {
	case b.Trial != "" && running.Trial && running.Slot == b.Trial:
		return Trying
	case b.Trial != "" && b.Tries > 0:
		return Staged
	case b.Trial != "": // its tries are used up
		return Failed
	case r.Last == Failed, r.Last == Committed:
		return r.Last
	case staged:
		return Staged
	case b.Previous != "":
		return Committed
	}
	return Idle
}
