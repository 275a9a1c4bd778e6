package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Validate looks at one file with the eyes of somebody who can still change it:
// besides what does not count it says what is unwise, and what has no effect
// here and why. Of keys that must fit each other the other layers of the machine
// may say one; without them the defaults do. The warnings come in the order of
// the lines.
func Validate(name string, data []byte, others ...Layer) []Warning {
	l := &loader{cfg: defaults()}
	for _, layer := range Replaced(others, name, data) {
		l.strict = layer.Name == name
		l.load(layer)
	}
	l.together()
	l.trialTimes()
	warnings := slices.DeleteFunc(l.warnings, func(w Warning) bool { return w.Layer != name })
	slices.SortStableFunc(warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return warnings
}

// notes says why a key that is accepted has no effect, or not here.
func (l *loader) notes(k *key, at place, name string) {
	switch {
	case !l.strict || !k.says:
	case k.none != "":
		l.warn(at, name, Note, "has no effect: %s", k.none)
	case k.when == "kernel":
		l.warn(at, name, Note, "has an effect only on the kernel command line: the boot needs it before it can read this file")
	}
}

// plainPassword says that a password can be read by whoever reads the file.
func (l *loader) plainPassword(v yamldoc.Value, p Password) {
	if l.strict && p != "" && !p.Hashed() {
		l.warn(place{v.Line, v.Column}, v.Path.String(), Unwise, "is a password in clear; a hash says the same to nobody else (mkpasswd -m yescrypt, or openssl passwd -6)")
	}
}

// foreign says why a key is not ours; full is the key as it was written.
func (l *loader) foreign(k *key, name, full string, at place) {
	if why := elsewhere[join(k.path, name)]; why != "" {
		l.warn(at, full, Wrong, "unknown key: %s", why)
		return
	}
	err := unknown("key", name, k.names())
	if place := homeOf(name); place != "" && yamldoc.Nearest(name, k.names()) == "" {
		err = fmt.Errorf("unknown key here (did you mean %q?)", place)
	}
	l.warn(at, full, Wrong, "%v", err)
}

// homeOf is where a key of that name stands, if that is one place only.
func homeOf(name string) string {
	place, places := "", 0
	schema().walk(func(k *key) {
		if k.name == name && k.path != "" {
			place = k.path
			places++
		}
	})
	if places != 1 {
		return ""
	}
	return place
}

// unknown is the error for a word that is none of those that are known.
func unknown(what, word string, known []string) error {
	if meant := yamldoc.Nearest(word, known); meant != "" {
		return fmt.Errorf("unknown %s (did you mean %q?)", what, meant)
	}
	return errors.New("unknown " + what)
}

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// elsewhere are keys of cloud-init and of old RancherOS that people try, and
// what there is instead.
var elsewhere = map[string]string{
	"packages":                   noPackages,
	"package_update":             noPackages,
	"package_upgrade":            noPackages,
	"package_reboot_if_required": noPackages,
	"apt":                        noPackages,
	"apt_update":                 noPackages,
	"apt_sources":                noPackages,
	"yum_repos":                  noPackages,
	"snap":                       noPackages,
	"snappy":                     noPackages,
	"password":                   "use rancher.password, or users with passwd",
	"chpasswd":                   "use rancher.password, or users with passwd",
	"ssh_pwauth":                 "a login with a password is open when an account has one; close it with rancher.disable: [password]",
	"disable_root":               "root has no password and no keys here",
	"ssh_keys":                   "use rancher.ssh.keys",
	"ssh_deletekeys":             "host keys are made once and kept on the state disk",
	"ssh_genkeytypes":            "host keys are made once and kept on the state disk",
	"fqdn":                       "use hostname, which may have dots",
	"prefer_fqdn_over_hostname":  "use hostname, which may have dots",
	"preserve_hostname":          "leave hostname out, and the network names the machine",
	"network":                    "use rancher.network",
	"resolv_conf":                "use rancher.network.dns",
	"manage_resolv_conf":         "use rancher.network.dns",
	"disk_setup":                 "use rancher.state.autoformat for the state disk, and a command in runcmd for others",
	"fs_setup":                   "use rancher.state.autoformat for the state disk, and a command in runcmd for others",
	"resize_rootfs":              "the state partition grows by itself; others: growpart, rancher.resize_device",
	"coreos":                     "services are Compose files; use rancher.services",
	"chef":                       "run it as a service: rancher.services",
	"puppet":                     "run it as a service: rancher.services",
	"salt_minion":                "run it as a service: rancher.services",
	"ansible":                    "run it as a service: rancher.services",
	"rsyslog":                    "logs are in /var/log/ros; send them on with a service",
	"phone_home":                 "use a command in runcmd",
	"output":                     "the output of commands is in the log of the console: ros service logs console",
	"rancher.formatzero":         "use rancher.state.autoformat",
	"rancher.hostname":           "use hostname, at the top",
	"rancher.ntp":                "use ntp, at the top",
}

const noPackages = "the OS image is read-only; run the program in a container"
