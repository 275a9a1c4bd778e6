package osupdate

import "github.com/rosteros/ros/internal/slots"

// The verb status answers slots.Status. None of the verbs here has options.

// Changed is what the verbs commit, rollback, disarm and rearm have done.
type Changed struct {
	Boot    slots.Boot `json:"boot"`              // what the boot loader keeps now
	Slot    slots.Slot `json:"slot"`              // what starts next
	Version string     `json:"version"`           // what that slot holds
	Nothing string     `json:"nothing,omitempty"` // why there was nothing to do
	Restart bool       `json:"restart,omitempty"` // another system runs than the one that starts next
}

// Settled is what the verb settle found out about the start of this system.
type Settled struct {
	Failure *slots.Failure `json:"failure,omitempty"` // the trial that did not come through
	Mended  bool           `json:"mended,omitempty"`  // the boot loader's variables were lost, and are back
}
