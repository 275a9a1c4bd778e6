package containers

import (
	"fmt"
	"slices"

	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rosteros/ros/internal/compose"
)

// defaultCapabilities are Docker's.
var defaultCapabilities = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
	"NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// capabilities are the default ones (all of them for a privileged service)
// less cap_drop, plus cap_add. As with Docker a user other than root has them
// in the bounding set only, that is, through set-user-ID programs and file
// capabilities.
func capabilities(svc compose.Service, uid uint32) (*specs.LinuxCapabilities, error) {
	const all = "ALL"
	known := slices.Clone(cap.Known()) // in the kernel's order
	for _, c := range slices.Concat(svc.CapAdd, svc.CapDrop) {
		if c != all && !slices.Contains(known, "CAP_"+c) {
			return nil, fmt.Errorf("%q is not a capability", c)
		}
	}
	has := func(c string) bool {
		switch name := c[len("CAP_"):]; {
		case slices.Contains(svc.CapAdd, name):
			return true
		case slices.Contains(svc.CapDrop, name):
			return false
		case slices.Contains(svc.CapAdd, all):
			return true
		case slices.Contains(svc.CapDrop, all):
			return false
		default:
			return svc.Privileged || slices.Contains(defaultCapabilities, name)
		}
	}
	bounding := slices.DeleteFunc(known, func(c string) bool { return !has(c) })
	caps := &specs.LinuxCapabilities{Bounding: bounding}
	if uid == 0 {
		caps.Effective, caps.Permitted = slices.Clone(bounding), slices.Clone(bounding)
	}
	return caps, nil
}
