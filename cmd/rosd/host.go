package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/cmdline"
)

// Where services read what the config says. The formats are those that the
// images network, console and ssh expect.
const (
	netDir   = "run/ros/net"    // hostname, hosts: every container's /etc/hostname, /etc/hosts
	loginDir = "run/ros/config" // hostname (only a configured one), authorized_keys, password, autologin, consoles
)

// login is who may log in where.
type login struct {
	keys      []string
	password  string   // plain or hashed; "": none
	consoles  []string // terminals with a login prompt
	autologin []string // those that need no password
}

// logins decides that. The consoles of a live ISO let anybody in who stands
// before them: the machine keeps nothing, and nobody knows a password yet.
func logins(cfg *config.Config, slot string, kernel cmdline.Line) login {
	l := login{
		keys:     cfg.SSHAuthorizedKeys,
		password: string(cfg.Rancher.Password),
		consoles: []string{"tty1"},
	}
	for _, tty := range kernel.Consoles() {
		if tty == "tty0" { // whichever is in front
			tty = "tty1"
		}
		if !slices.Contains(l.consoles, tty) {
			l.consoles = append(l.consoles, tty)
		}
	}
	if slot == "iso" {
		l.autologin = slices.Clone(l.consoles)
	}
	for _, tty := range cfg.Rancher.Autologin {
		if !slices.Contains(l.autologin, tty) {
			l.autologin = append(l.autologin, tty)
		}
	}
	if slices.Contains(cfg.Rancher.Disable, "autologin") {
		l.autologin = nil
	}
	if slices.Contains(cfg.Rancher.Disable, "password") {
		l.password = ""
	}
	return l
}

// host is the machine as far as rosd itself changes it.
type host struct {
	root        string
	setHostname func([]byte) error
}

// apply writes the names and the login inputs. A file that says the same
// already is left alone. One failure does not keep the rest from being done.
func (h host) apply(cfg *config.Config, l login) []error {
	var errs []error
	do := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, dir := range []string{netDir, loginDir} {
		do(os.MkdirAll(filepath.Join(h.root, dir), 0o755))
	}
	if name := cfg.Hostname; name != "" {
		if err := h.setHostname([]byte(name)); err != nil {
			do(fmt.Errorf("cannot set host name %q: %w", name, err))
		}
		do(h.write(netDir+"/hostname", name+"\n", 0o644))
		do(h.write(netDir+"/hosts", hosts(name), 0o644))
		do(h.write(loginDir+"/hostname", name+"\n", 0o644))
	} else {
		do(h.remove(loginDir + "/hostname"))
	}
	do(h.write(loginDir+"/authorized_keys", lines(l.keys), 0o644))
	do(h.write(loginDir+"/password", oneLine(l.password), 0o600))
	do(h.write(loginDir+"/consoles", lines(l.consoles), 0o644))
	do(h.write(loginDir+"/autologin", lines(l.autologin), 0o644))
	return errs
}

func (h host) write(path, text string, perm os.FileMode) error {
	path = filepath.Join(h.root, path)
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm() == perm {
			return nil
		}
	}
	return atomicfile.WriteFile(path, []byte(text), perm)
}

func (h host) remove(path string) error {
	err := os.Remove(filepath.Join(h.root, path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// hosts is /etc/hosts of a machine of that name, as the network service writes
// it for a name that DHCP gives.
func hosts(name string) string {
	names := name
	if short, _, full := strings.Cut(name, "."); full {
		names += " " + short
	}
	return lines([]string{
		"127.0.0.1 localhost",
		"::1 localhost ip6-localhost ip6-loopback",
		"ff02::1 ip6-allnodes",
		"ff02::2 ip6-allrouters",
		"127.0.1.1 " + names,
	})
}

func lines(list []string) string {
	var b strings.Builder
	for _, line := range list {
		b.WriteString(oneLine(line))
	}
	return b.String()
}

// oneLine ends a non-empty text with a newline.
func oneLine(text string) string {
	if text == "" {
		return ""
	}
	return text + "\n"
}

// readLine is the text of a file of one line, "" if it cannot be read.
func readLine(path string) string {
	text, _ := os.ReadFile(path)
	return string(bytes.TrimSpace(text))
}
