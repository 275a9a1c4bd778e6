package datasource

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// locals are the sources that need no cloud.
var locals = []kind{
	{"nocloud", hasNoCloud, newNoCloud},
	{"configdrive", func(m Machine) bool { return m.has(isConfigDrive) }, newConfigDrive},
	{"cmdline", hasCmdline, newCmdline},
	{"proxmox", nil, newProxmox}, // its disk is NoCloud's, which is found by itself
	{"file", nil, newFile},
	{"url", nil, newURL},
	{"tftp", nil, newTFTP},
}

// needArgument are those that nobody can ask without knowing what for.
var needArgument = []string{"file", "url", "tftp"}

// has tells whether there is a disk that is wanted.
func (m Machine) has(want func(Volume) bool) bool { return slices.ContainsFunc(m.Volumes, want) }

// ReadDMI reads what the firmware says of the machine, from the files of a
// directory such as /sys/class/dmi/id. Some of them are for root only, and many
// machines have none of them.
func ReadDMI(dir string) map[string]string {
	dmi := make(map[string]string)
	for _, name := range []string{
		"bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_vendor", "chassis_asset_tag", "chassis_vendor",
		"product_name", "product_serial", "product_uuid", "product_version", "sys_vendor",
	} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			dmi[name] = strings.TrimSpace(string(text))
		}
	}
	return dmi
}

// Detect are the sources to ask: those that are named, in that order, or, when
// none is, those that the machine itself points to. "*" stands for every one.
// An address on the kernel command line is asked in any case. A name that
// nobody knows, or whose argument is wrong, is an error beside the rest.
func Detect(m Machine, configured []string) (sources []Source, errs []error) {
	kinds := slices.Concat(locals, clouds)
	add := func(k kind, argument string) {
		s, err := k.source(m, argument)
		if err != nil {
			errs = append(errs, fmt.Errorf("datasource %s: %w", k.name, err))
			return
		}
		sources = append(sources, s)
	}
	taken := make(map[string]bool)
	for _, named := range configured {
		if named == "*" {
			for _, k := range kinds {
				if !taken[k.name] && !slices.Contains(needArgument, k.name) {
					taken[k.name] = true
					add(k, "")
				}
			}
			continue
		}
		name, argument, _ := strings.Cut(named, ":")
		at := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
		switch {
		case at < 0:
			errs = append(errs, fmt.Errorf("datasource %q is not known", name))
		case argument == "" && slices.Contains(needArgument, name):
			errs = append(errs, fmt.Errorf("datasource %s needs to say which one: %s:…", name, name))
		default:
			taken[name] = true
			add(kinds[at], argument)
		}
	}
	for _, k := range kinds {
		if (len(configured) == 0 || k.name == "cmdline") && !taken[k.name] && k.detected != nil && k.detected(m) {
			add(k, "")
		}
	}
	return sources, errs
}
