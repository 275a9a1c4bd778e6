package bootloader

import (
	"strings"

	"github.com/rosteros/ros/internal/slots"
)

// SlotCmdline is the Cmdline of an Entry: what a release needs of the kernel
// command line, and on which partition of this disk its OS image is.
func SlotCmdline(s slots.Slot, partUUID, release string) string {
	words := []string{"ros.image=PARTUUID=" + partUUID, "ros.slot=" + string(s)}
	return strings.Join(append(words, strings.Fields(release)...), " ")
}
