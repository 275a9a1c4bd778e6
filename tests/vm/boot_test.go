//go:build vm

package vm

import (
	"os"
	"strings"
	"testing"
)

// scenario is one machine, or a chain of them that share a disk, and what is
// checked on it.
type scenario struct {
	name string
	run  func(*testing.T, lab)
}

// core is what every change must pass; `make test` runs it.
var core = map[string][]scenario{
	"amd64": {
		{"bios", biosBoot},
		{"state-disk", stateDisk}, // uefi, bad-input
		{"config", configured},
		{"config-drive", configDrive},
		{"small", smallMemory},
		{"no-network", noNetwork},
		{"flipped", flippedByte},
		{"required", stateRequired},
		{"trial-fails", trialFails},
		{"trial-hangs", trialHangs},
		{"trial-runs", trialRuns},
		{"rescue", rescued},
		{"install", installs},
		{"upgrade-bios", upgrades("bios", brokenReleases[:4])},
	},
	"arm64": {
		{"uefi", uefiBoot},
	},
}

// slow is added by `make test-all`.
var slow = map[string][]scenario{
	"amd64": {
		{"enable", enableFromURL}, // network, cut-off
		{"networks", systemNetworks},
		{"catalog", catalogued},
		{"metal", metal},
		{"config-at-boot", configAtBoot},
		{"engine", engineSwitch},
		{"pulled-images", pulledImages},
		{"console", otherConsoles},
		{"full-disk", fullDisk},
		{"power-cut", powerCut},
		{"power-cuts", powerCuts},
		{"upgrade-by-itself", automatic},
		{"upgrade-ways", otherWays},
		{"broken-bios", brokenOnly("bios")},
		{"broken-uefi", brokenOnly("uefi")},
		{"reboots", reboots},
		{"autoformat", autoformat},
		{"install-order", installsAlone},
		{"install-buses", installsOnBuses},
		{"disk-images", diskImages},
		{"grub-bios", grub("bios")},
		{"grub-uefi", grub("uefi")},
		{"grub-watchdog", grubWatchdog},
	},
	"arm64": {
		{"upgrade-uefi", upgrades("uefi", nil)},
		{"kills", isoKills},
		{"grub-uefi", grub("uefi")},
		{"state-disk", stateDisk},
		{"small", smallMemory},
		{"no-network", noNetwork},
		{"flipped", flippedByte},
		{"required", stateRequired},
	},
}

// TestBoot runs the scenarios, one machine at a time: two emulated machines on
// two cores would only make each other slow.
func TestBoot(t *testing.T) {
	arches := os.Getenv("ROS_ARCH")
	if arches == "" {
		arches = "amd64,arm64"
	}
	for _, arch := range strings.FieldsFunc(arches, func(r rune) bool { return r == ',' || r == ' ' }) {
		list := core[arch]
		if os.Getenv("ROS_TEST_ALL") == "1" {
			list = append(list[:len(list):len(list)], slow[arch]...)
		}
		if len(list) == 0 {
			t.Errorf("no scenario for ROS_ARCH=%s", arch)
		}
		t.Run(arch, func(t *testing.T) {
			l := openLab(t, arch)
			for _, s := range list {
				t.Run(s.name, func(t *testing.T) { s.run(t, l) })
			}
		})
	}
}
