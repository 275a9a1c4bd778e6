package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/osupdate"
)

// allowed says why an order to install (rancher.install) is not carried out. A
// medium that stays first in the boot order must not install for ever.
func (in installer) allowed(ctx context.Context, o osupdate.InstallOptions, target install.Target, mark string) error {
	if slot, _ := in.kernel.Value("ros.slot"); slot != "iso" {
		return fmt.Errorf("cannot install on %q: rancher.install is for the live ISO, this system runs from slot %s", target.Path, slot)
	}
	if target.Empty {
		return nil
	}
	if target.IsRoster() && (!o.Force || in.machine.Mark(ctx, target, in.run) == mark) {
		return fmt.Errorf("cannot install on %q: Roster is on it already: take the medium out, or let the machine start from the disk first", target.Path)
	}
	if !o.Force {
		return fmt.Errorf("cannot install on %q: it is not empty and rancher.install.force is not set; on it: %s",
			target.Path, strings.Join(target.Found(), "; "))
	}
	return nil
}

// order is the same for the same order: release, disk, arguments and config.
func order(o osupdate.InstallOptions, source install.Source, seed []install.File) string {
	h := sha256.New()
	fmt.Fprintf(h, "%x\n%q %q\n", sha256.Sum256(source.Bundle.Release), o.Device, o.Append)
	for _, f := range seed {
		if !strings.HasSuffix(f.Path, ".json") { // which says when the datasource was asked
			fmt.Fprintf(h, "%q %x\n", f.Path, sha256.Sum256(f.Data))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
