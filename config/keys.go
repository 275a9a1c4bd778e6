package config

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/yamldoc"
)

// setter puts a value into the config, or says what it must be.
type setter func(*Config, yamldoc.Value) error

// sections are the keys that take effect, by the mapping they stand in.
var sections = map[string]map[string]setter{
	"": {
		"hostname":            func(c *Config, v yamldoc.Value) error { return set(&c.Hostname, v, hostname) },
		"ssh_authorized_keys": func(c *Config, v yamldoc.Value) error { return set(&c.SSHAuthorizedKeys, v, sshKeys) },
	},
	"rancher": {
		"password":         func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.Password, v, password) },
		"autologin":        func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.Autologin, v, terminals) },
		"debug":            func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.Debug, v, boolean) },
		"shutdown_timeout": func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.ShutdownTimeoutSeconds, v, timeout) },
		"disable":          func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.Disable, v, logins) },
	},
	"rancher.state": {
		"dev":        func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.State.Dev, v, device) },
		"autoformat": func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.State.Autoformat, v, devices) },
		"required":   func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.State.Required, v, boolean) },
		"wait":       func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.State.Wait, v, boolean) },
		"directory":  func(c *Config, v yamldoc.Value) error { return set(&c.Rancher.State.Directory, v, directory) },
	},
}

// notYet are keys of RancherOS that we mean to honour and do not honour yet. A
// machine that is moved over keeps them in its cloud-config.
var notYet = keySet("", "write_files mounts runcmd bootcmd",
	"rancher", "console environment services bootstrap cloud_init_services system_docker docker cloud_init services_include "+
		"repositories network modules sysctl ssh upgrade registry_auths defaults resize_device restart_services log recovery "+
		"hypervisor_service http_load_retries preload_wait",
	"rancher.state", "fstype mdadm_scan lvm_scan cryptsetup script oem_fstype oem_dev boot_fstype boot_dev")

// gone are keys of RancherOS that will never do anything, and why.
var gone = map[string]string{
	"rancher.bootstrap_docker":      "there is no Docker at that point of the boot",
	"rancher.rm_usr":                "the OS image is not copied to the state disk",
	"rancher.no_sharedroot":         "mounts are shared where a service asks for it",
	"rancher.force_console_rebuild": "the console is made anew at every boot",
	"rancher.state.rngd":            "the kernel seeds itself",
}

func keySet(groups ...string) map[string]bool {
	keys := map[string]bool{}
	for i := 0; i < len(groups); i += 2 {
		for _, name := range strings.Fields(groups[i+1]) {
			if groups[i] != "" {
				name = groups[i] + "." + name
			}
			keys[name] = true
		}
	}
	return keys
}

func names(table map[string]setter) []string { return slices.Sorted(maps.Keys(table)) }

// below are the sections that stand directly in a section.
func below(section string) []string {
	var list []string
	for name := range sections {
		parent, last := "", name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			parent, last = name[:i], name[i+1:]
		}
		if name != "" && parent == section {
			list = append(list, last)
		}
	}
	return list
}

// set reads a value into a field, and leaves the field alone when it is wrong.
func set[T any](field *T, v yamldoc.Value, read func(yamldoc.Value) (T, error)) error {
	value, err := read(v)
	if err == nil {
		*field = value
	}
	return err
}

// text is a scalar as it is written. A number is fine where text is wanted:
// nobody quotes a password of digits, least of all on a kernel command line.
func text(v yamldoc.Value) (string, error) {
	if v.Kind() != yamldoc.Scalar {
		return "", errors.New("must be text")
	}
	if strings.ContainsAny(v.Text(), "\x00\n") {
		return "", errors.New("must be one line of text")
	}
	return v.Text(), nil
}

// texts is a list, or one entry of it.
func texts(v yamldoc.Value) ([]string, error) {
	items := []yamldoc.Value{v}
	switch v.Kind() {
	case yamldoc.Mapping:
		return nil, errors.New("must be a list")
	case yamldoc.List:
		items = v.Items()
	}
	values := []string{}
	for _, item := range items {
		value, err := text(item)
		if err != nil || item.Tag() == "!!null" || strings.TrimSpace(value) == "" {
			return nil, errors.New("must be a list of texts, none of them empty")
		}
		values = append(values, strings.TrimSpace(value))
	}
	return values, nil
}

func boolean(v yamldoc.Value) (bool, error) {
	switch word := strings.ToLower(v.Text()); {
	case v.Kind() != yamldoc.Scalar:
	case slices.Contains([]string{"true", "yes", "on", "1"}, word):
		return true, nil
	case slices.Contains([]string{"false", "no", "off", "0"}, word):
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func number(v yamldoc.Value, least, most int) (int, error) {
	n, err := strconv.Atoi(v.Text())
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
	}
	return n, nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func hostname(v yamldoc.Value) (string, error) {
	name, err := text(v)
	if err != nil || len(name) > 64 || !hostName.MatchString(name) {
		return "", errors.New("must be a host name: at most 64 letters, digits and -, with dots between them")
	}
	return name, nil
}

// sshKeys takes what sshd takes, options in front included; what it cannot be
// is a private key or a path.
func sshKeys(v yamldoc.Value) ([]string, error) {
	keys, err := texts(v)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if len(strings.Fields(key)) < 2 || strings.Contains(key, "PRIVATE KEY") {
			return nil, fmt.Errorf("entry %d is no public key (\"ssh-ed25519 AAAA… name\")", i+1)
		}
	}
	return keys, nil
}

// hash is the form of crypt(5): $id$…$digest.
var hash = regexp.MustCompile(`^\$[0-9a-z]+\$[./0-9A-Za-z$=,+-]+$`)

func password(v yamldoc.Value) (Password, error) {
	p, err := text(v)
	switch {
	case err != nil || p == "":
		return "", errors.New("must be a password, or its hash as in /etc/shadow")
	case strings.HasPrefix(p, "$") && !hash.MatchString(p):
		return "", errors.New("begins with $, but is no hash as in /etc/shadow ($6$salt$digest)")
	}
	return Password(p), nil
}

var terminal = regexp.MustCompile(`^[a-z][a-zA-Z0-9/]{0,31}$`)

func terminals(v yamldoc.Value) ([]string, error) {
	values, err := texts(v)
	if err != nil {
		return nil, err
	}
	for i, value := range values {
		value = strings.TrimPrefix(value, "/dev/")
		if !terminal.MatchString(value) || value == "true" || value == "false" {
			return nil, errors.New("must name terminals (tty1, ttyS0)")
		}
		values[i] = value
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}

// timeout: less than 5 s is no shutdown in order, and more than a day nobody
// means.
func timeout(v yamldoc.Value) (int, error) { return number(v, 5, 86400) }

func logins(v yamldoc.Value) ([]string, error) {
	values, err := texts(v)
	for _, value := range values {
		if value != "password" && value != "autologin" {
			err = errors.New(`must be a list of "password" and "autologin"`)
		}
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}

func device(v yamldoc.Value) (string, error) {
	name, err := text(v)
	known := slices.ContainsFunc([]string{"/dev/", "LABEL=", "UUID=", "PARTLABEL=", "PARTUUID="}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix) && len(name) > len(prefix)
	})
	if err != nil || !known || strings.Contains(name, " ") {
		return "", errors.New("must be a device: /dev/…, LABEL=…, UUID=…, PARTLABEL=… or PARTUUID=…")
	}
	return name, nil
}

func devices(v yamldoc.Value) ([]string, error) {
	values, err := texts(v)
	if err != nil {
		return nil, err
	}
	for _, value := range values {
		if !strings.HasPrefix(value, "/dev/") || path.Clean(value) != value {
			return nil, errors.New("must be a list of disks (/dev/…)")
		}
	}
	return values, nil
}

// directory stays on the state disk, whatever it says.
func directory(v yamldoc.Value) (string, error) {
	dir, err := text(v)
	if err != nil || dir == "" || slices.Contains(strings.Split(dir, "/"), "..") {
		return "", errors.New("must be a directory of the state disk")
	}
	return strings.Trim(path.Clean("/"+dir), "/"), nil
}
