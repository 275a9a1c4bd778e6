package apply

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/accounts"
)

// What the ssh service reads. sshd includes sshd.conf before all else, and of
// an option that is given twice the first counts.
const (
	sshdFile   = "run/ros/config/ssh/sshd.conf"
	sshOffFile = "run/ros/config/ssh/off" // there: no ssh server
	hostKeyDir = "var/lib/rancher/ssh"
)

// SSH makes the ssh server what the config says. sshd reads its options again
// without ending a session.
func SSH(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	var o Outcome
	var errs []error
	options, err := h.sshdOptions(cfg)
	errs = append(errs, err)
	kinds, changed, err := h.hostKeys(cfg.Rancher.SSH.Keys, &o)
	errs = append(errs, err)
	for _, kind := range kinds {
		if !slices.Contains(madeKeys, kind) { // sshd_config names those
			options = append(options, "HostKey /"+hostKeyPath(kind))
		}
	}
	wrote, err := h.put(sshdFile, []byte(strings.Join(options, "\n")+"\n"), 0o644)
	errs = append(errs, err)
	off := cfg.Rancher.SSH.Daemon != nil && !*cfg.Rancher.SSH.Daemon
	switch was := h.present(sshOffFile); {
	case was != off:
		errs = append(errs, h.mark(sshOffFile, "", off))
		o.Restart = append(o.Restart, "ssh")
		o.Did = append(o.Did, onOff("ssh server is ", !off))
	case (wrote || changed) && !off:
		o.Reload = append(o.Reload, "ssh")
		if wrote {
			o.Did = append(o.Did, "options of sshd are new")
		}
	}
	return o, errors.Join(errs...)
}

func onOff(what string, on bool) string {
	if on {
		return what + "on"
	}
	return what + "off"
}

// sshdOptions are the lines of sshd.conf.
func (h *Host) sshdOptions(cfg *config.Config) ([]string, error) {
	var errs []error
	lines := []string{"# Written by rosd from the config."}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if port := cfg.Rancher.SSH.Port; port < 0 || port > 65535 {
		errs = append(errs, fmt.Errorf("rancher.ssh.port: %d is not a port", port))
	} else if port != 0 {
		add("Port %d", port)
	}
	// The health check asks for the banner from there, without logging in.
	exempt := "127.0.0.1"
	if text := cfg.Rancher.SSH.ListenAddress; text != "" {
		address, err := netip.ParseAddr(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("rancher.ssh.listen_address: %q is not an address", text))
		} else {
			add("ListenAddress %s", address)
			exempt += "," + address.String()
		}
	}
	add("PerSourcePenaltyExemptList %s", exempt)
	// What Logins made of the accounts: it comes before this.
	if len(accounts.Hashes(h.text(shadowFile))) > 0 {
		add("PasswordAuthentication yes")
	}
	if h.present(keysDir + "/root") {
		add("PermitRootLogin prohibit-password")
	}
	return lines, errors.Join(errs...)
}

// madeKeys are the host keys that the ssh service makes when they are missing.
var madeKeys = []string{"ed25519", "ecdsa"}

// hostKeyKinds are all that sshd can use.
var hostKeyKinds = []string{"ed25519", "ecdsa", "rsa"}

func hostKeyPath(kind string) string { return hostKeyDir + "/ssh_host_" + kind + "_key" }

// hostKeys puts the keys of the config where sshd looks for them, and says
// which kinds those are. A key that is no longer in the config stays: clients
// know the machine by it.
func (h *Host) hostKeys(keys map[string]config.Secret, o *Outcome) (kinds []string, changed bool, err error) {
	var errs []error
	for name := range keys {
		if kind := strings.TrimSuffix(name, "-pub"); !slices.Contains(hostKeyKinds, kind) {
			errs = append(errs, fmt.Errorf("rancher.ssh.keys: %s: sshd has no such kind of key, only %s", name, strings.Join(hostKeyKinds, ", ")))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	for _, kind := range hostKeyKinds {
		if keys[kind] == "" {
			continue
		}
		wrote, err := h.hostKey(kind, string(keys[kind]), string(keys[kind+"-pub"]))
		if err != nil {
			errs = append(errs, fmt.Errorf("rancher.ssh.keys: %s: %w", kind, err))
			continue
		}
		kinds = append(kinds, kind)
		if wrote {
			changed = true
			o.Did = append(o.Did, "host key "+kind+" is the config's")
		}
	}
	errs = append(errs, h.noteKeptKeys(kinds, o))
	return kinds, changed, errors.Join(errs...)
}

// noteKeptKeys says which keys are no longer in the config.
func (h *Host) noteKeptKeys(kinds []string, o *Outcome) error {
	var was []string
	if err := h.recall("ssh", &was); err != nil {
		return err
	}
	for _, kind := range was {
		if !slices.Contains(kinds, kind) {
			o.Notes = append(o.Notes, "host key "+kind+" stays: clients know the machine by it. For a new one remove /"+hostKeyPath(kind)+" and restart ssh")
		}
	}
	if len(was) == 0 && len(kinds) == 0 {
		return nil
	}
	return h.remember("ssh", kinds)
}

func (h *Host) hostKey(kind, private, public string) (changed bool, err error) {
	text := []byte(strings.TrimSpace(strings.ReplaceAll(private, "\r\n", "\n")) + "\n") // sshd insists on the line break
	if err := checkHostKey(text); err != nil {
		return false, err
	}
	path := hostKeyPath(kind)
	// First the public half: with the private one the pair is there. One of
	// another key would only make sshd complain.
	if public = strings.TrimSpace(public); public == "" {
		_, err = h.remove(path + ".pub")
	} else {
		changed, err = h.put(path+".pub", []byte(public+"\n"), 0o644)
	}
	if err != nil {
		return false, err
	}
	wrote, err := h.put(path, text, 0o600)
	return changed || wrote, err
}

// checkHostKey keeps what sshd could not read from taking the place of a key
// that works.
func checkHostKey(text []byte) error {
	block, rest := pem.Decode(text)
	switch {
	case block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return errors.New("is not a private key in PEM")
	case len(bytes.TrimSpace(rest)) > 0:
		return errors.New("is more than one key")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" || encryptedOpenSSH(block.Bytes):
		return errors.New("is locked with a passphrase, which nobody can type at boot")
	}
	return nil
}

// encryptedOpenSSH looks into OpenSSH's own format: a magic word, then the
// cipher's name with its length in front.
func encryptedOpenSSH(key []byte) bool {
	rest, ok := bytes.CutPrefix(key, []byte("openssh-key-v1\x00"))
	return ok && !bytes.HasPrefix(rest, []byte("\x00\x00\x00\x04none"))
}
