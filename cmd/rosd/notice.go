package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/slots"
)

const (
	// noticeFile is what every login shows.
	noticeFile = "/run/ros/login/notice"
	// trustedKeys are the keys in the OS image that releases are checked with.
	trustedKeys = "/usr/share/ros/keys/*.pub"
)

// notice is what somebody who logs in should know about the OS, "" if it is as
// it should be. Times are in zone.
func notice(running slots.Running, record slots.Record, version string, trusted bool, zone *time.Location) string {
	text := ""
	switch {
	case running.Trial:
		text = fmt.Sprintf("%s is on trial here. It is not committed yet, and goes back by itself if it does not work.\n\"ros os status\" says more.\n", version)
	case record.Last == slots.Failed && len(record.Failures) > 0:
		f := record.Failures[0]
		instead := version + " runs instead."
		if f.Slot != "" && f.Slot == running.Slot {
			instead = "It runs until the next restart."
		}
		text = fmt.Sprintf("%s was given up at %s: %s.\n%s \"ros os status\" says more.\n",
			f.Version, f.At.In(zone).Format("2006-01-02 15:04 MST"), f.Reason, instead)
	case running.Failed != "": // and the reason is not written down yet
		text = fmt.Sprintf("The release in slot %s was given up. %s runs instead. \"ros os status\" says why.\n", running.Failed, version)
	}
	if !trusted {
		text += "This OS image was built without a key: it trusts nobody's releases by itself.\n"
	}
	return text
}

// writeNotice puts it where logins look.
func writeNotice(running slots.Running, version string, log *slog.Logger) {
	var record slots.Record
	if running.Slot != "" {
		record, _ = slots.LoadRecord(slots.RecordPath) // one that is lost has nothing to say
	}
	keys, _ := filepath.Glob(trustedKeys)
	err := os.MkdirAll(filepath.Dir(noticeFile), 0o755)
	if err == nil {
		err = atomicfile.WriteFile(noticeFile, []byte(notice(running, record, version, len(keys) > 0, machineZone(zoneFile))), 0o644)
	}
	if err != nil {
		log.Warn("logins are shown no notice", "error", err)
	}
}
