package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/accounts"
	"github.com/rosteros/ros/internal/console"
)

// What console and ssh read at each login; their start scripts make
// /etc/passwd and the like links to here.
const (
	loginDir      = "run/ros/login"
	keysDir       = loginDir + "/authorized_keys" // a file for each account
	passwdFile    = loginDir + "/passwd"
	groupFile     = loginDir + "/group"
	shadowFile    = loginDir + "/shadow"
	sudoersFile   = loginDir + "/sudoers.d/config" // in a folder: sudo minds a missing file, but no missing folder
	consolesFile  = loginDir + "/consoles"         // terminals with a login, one a line
	autologinFile = loginDir + "/autologin"        // those that need no password
	localeFile    = loginDir + "/locale"           // for login shells to read
	numbersFile   = "var/lib/rancher/conf/accounts.json"
)

// Logins makes the accounts and says who may log in where. Sessions go on
// whatever changes; what is new counts from the next login.
func Logins(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	l := &logins{h: h}
	tables := l.tables(cfg)
	before := h.text(passwdFile)
	// root's eyes only before anything is in it that needs them.
	hidden := l.put(shadowFile, tables.Shadow(), 0o600)
	shown := l.passwd(tables)
	grouped := l.put(groupFile, tables.Group(), 0o644)
	if shown || hidden || grouped {
		l.did(describe(before, tables.Passwd())...)
	}
	if l.put(sudoersFile, tables.Sudoers(), 0o440) {
		l.did("rules of sudo are new")
	}
	l.keys(tables)
	l.homes(tables)
	l.terminals(cfg)
	l.locale(cfg.Locale)
	return l.outcome, errors.Join(l.errs...)
}

// logins does the work of Logins.
type logins struct {
	h       *Host
	outcome Outcome
	errs    []error
}

func (l *logins) did(what ...string) { l.outcome.Did = append(l.outcome.Did, what...) }

func (l *logins) failed(err error) {
	if err != nil {
		l.errs = append(l.errs, err)
	}
}

func (l *logins) put(path string, text []byte, perm os.FileMode) (changed bool) {
	changed, err := l.h.put(path, text, perm)
	l.failed(err)
	return changed && err == nil
}

// tables are the accounts. Numbers given out are kept on the state disk, where
// the files are that belong to them.
func (l *logins) tables(cfg *config.Config) accounts.Tables {
	past := accounts.Past{Hashes: accounts.Hashes(l.h.text(shadowFile))}
	kept := l.h.text(numbersFile)
	if len(kept) > 0 {
		if err := json.Unmarshal(kept, &past.Numbers); err != nil {
			l.failed(fmt.Errorf("cannot read the numbers of accounts, which may be others now: %s: %w", "/"+numbersFile, err))
		}
	}
	tables, errs := accounts.Build(cfg, past)
	l.errs = append(l.errs, errs...)
	l.shells(cfg, tables)
	if len(kept) > 0 || len(tables.Numbers.Users)+len(tables.Numbers.Groups) > 0 {
		text, err := json.Marshal(tables.Numbers)
		if err == nil {
			_, err = l.h.put(numbersFile, append(text, '\n'), 0o600)
		}
		if err != nil {
			l.failed(fmt.Errorf("cannot keep the numbers of accounts: they may be others after a reboot: %w", err))
		}
	}
	return tables
}

// consoleShells are in the image of console and ssh.
var consoleShells = []string{
	"/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/rbash",
	"/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false",
}

// passwd writes the accounts. While another console is in use, the shell of
// people is what enters it, and the true one is in a table beside; root stays
// where he is.
func (l *logins) passwd(tables accounts.Tables) (changed bool) {
	if l.h.console() == "" {
		changed = l.put(passwdFile, tables.Passwd(), 0o644)
		_, err := l.h.remove(console.Accounts)
		l.failed(err)
		return changed
	}
	l.put(console.Accounts, tables.Passwd(), 0o644)
	entering := accounts.Tables{Users: slices.Clone(tables.Users)}
	for i := range entering.Users {
		u := &entering.Users[i]
		if u.UID != 0 && !slices.Contains(closedShells, u.Shell) {
			u.Shell = console.Enter
		}
	}
	return l.put(passwdFile, entering.Passwd(), 0o644)
}

// closedShells let nobody in.
var closedShells = []string{"/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false"}

// shells sees to it that nobody is locked out by a shell that is not there.
func (l *logins) shells(cfg *config.Config, tables accounts.Tables) {
	if l.h.console() != "" {
		return // the console has it, or another one that will do
	}
	for i := range tables.Users {
		u := &tables.Users[i]
		if !slices.Contains(consoleShells, u.Shell) && !l.hasShell(cfg, u.Shell) {
			l.failed(fmt.Errorf("users: %s: shell %s is not in the console; it has %s instead", u.Name, u.Shell, consoleShells[0]))
			u.Shell = consoleShells[0]
		}
	}
}

// hasShell says whether a shell is where console and ssh share the machine's
// files, in the console as it runs, or about to be written.
func (l *logins) hasShell(cfg *config.Config, shell string) bool {
	if slices.ContainsFunc(cfg.WriteFiles, func(f config.File) bool { return f.Path == shell }) {
		return true
	}
	dir, _ := l.h.Services.Files("console")
	for _, place := range homePlaces {
		if strings.HasPrefix(filepath.Clean(shell), "/"+place+"/") {
			dir = l.h.Root
		}
	}
	if dir == "" {
		return false
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	info, err := root.Stat(strings.TrimPrefix(filepath.Clean(shell), "/"))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// describe says in what way the accounts are others than before.
func describe(before, after []byte) []string {
	if len(before) == 0 {
		return []string{"made the accounts"}
	}
	names := func(passwd []byte) (list []string) {
		for line := range bytes.Lines(passwd) {
			name, _, _ := strings.Cut(string(line), ":")
			list = append(list, name)
		}
		return list
	}
	old, new := names(before), names(after)
	var did []string
	for _, name := range new {
		if !slices.Contains(old, name) {
			did = append(did, "added account "+name)
		}
	}
	for _, name := range old {
		if !slices.Contains(new, name) {
			did = append(did, "removed account "+name+"; its files stay")
		}
	}
	if did == nil {
		did = []string{"changed accounts"}
	}
	return did
}

// keys writes the files of keys and removes those of accounts that have none.
func (l *logins) keys(tables accounts.Tables) {
	l.failed(os.MkdirAll(l.h.Path(keysDir), 0o755))
	for _, u := range tables.Users {
		if len(u.Keys) > 0 && l.put(keysDir+"/"+u.Name, u.AuthorizedKeys(), 0o644) {
			l.did(fmt.Sprintf("ssh keys for %s: %d", u.Name, len(u.Keys)))
		}
	}
	files, err := os.ReadDir(l.h.Path(keysDir))
	l.failed(err)
	for _, f := range files {
		if u, ok := tables.Find(f.Name()); ok && len(u.Keys) > 0 {
			continue
		}
		if _, err := l.h.remove(keysDir + "/" + f.Name()); err != nil {
			l.failed(err)
			continue
		}
		l.did("ssh keys for " + f.Name() + ": none")
	}
}

// homePlaces are directories of the machine that console and ssh share.
var homePlaces = []string{"home", "opt", "mnt", "media", "var/lib/rancher"}

func (l *logins) homes(tables accounts.Tables) {
	for _, u := range tables.Users {
		if !u.MakeHome {
			continue
		}
		if err := l.home(u); err != nil {
			l.failed(fmt.Errorf("users: %s: cannot make home directory %s: %w", u.Name, u.Home, err))
		}
	}
}

// home makes a home directory. What lies above it may belong to other people,
// so links that lead out of the place are not followed.
func (l *logins) home(u accounts.User) error {
	clean := strings.TrimPrefix(filepath.Clean(u.Home), "/")
	for _, place := range homePlaces {
		below, ok := strings.CutPrefix(clean, place+"/")
		if !ok {
			continue
		}
		if err := os.MkdirAll(l.h.Path(place), 0o755); err != nil {
			return err
		}
		root, err := os.OpenRoot(l.h.Path(place))
		if err != nil {
			return err
		}
		defer root.Close()
		return makeHome(root, below, u)
	}
	return errors.New("it must be below /home, /opt, /mnt, /media or /var/lib/rancher")
}

func makeHome(root *os.Root, path string, u accounts.User) error {
	if _, err := root.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// Under another name first: a home that is there is complete.
	fresh := path + ".new"
	if err := root.Mkdir(fresh, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := root.Chmod(fresh, 0o750); err != nil {
		return err
	}
	if err := root.Lchown(fresh, u.UID, u.GID); err != nil {
		return err
	}
	return root.Rename(fresh, path)
}

// terminals decides where there is a login prompt and where none is needed.
// The consoles of a live ISO let anybody in who stands before them: the machine
// keeps nothing, and nobody knows a password yet.
func (l *logins) terminals(cfg *config.Config) {
	consoles := []string{"tty1"}
	add := func(list *[]string, tty string) {
		tty = strings.TrimPrefix(tty, "/dev/")
		if tty == "tty0" { // whichever is in front
			tty = "tty1"
		}
		if tty != "" && !strings.ContainsAny(tty, "/ \n") && !slices.Contains(*list, tty) {
			*list = append(*list, tty)
		}
	}
	for _, tty := range l.h.Consoles {
		add(&consoles, tty)
	}
	var open []string
	if l.h.Slot == "iso" {
		open = slices.Clone(consoles)
	}
	for _, tty := range cfg.Rancher.Autologin {
		add(&open, tty)
		add(&consoles, tty)
	}
	if slices.Contains(cfg.Rancher.Disable, "autologin") {
		open = nil
	}
	offered := l.put(consolesFile, lines(consoles), 0o644)
	opened := l.put(autologinFile, lines(open), 0o644)
	if offered || opened {
		l.did("logins on " + strings.Join(consoles, ", ") + "; without a password: " + orNone(open))
		l.outcome.Reload = append(l.outcome.Reload, "console")
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// locale is for shells to read, so nothing but a plain name gets into it.
func (l *logins) locale(name string) {
	if strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-", r)
	}) {
		l.failed(fmt.Errorf("locale: %q cannot be the name of a locale", name))
		name = ""
	}
	if name == "" {
		if removed, err := l.h.remove(localeFile); err != nil || removed {
			l.failed(err)
			l.did("locale is the built-in one")
		}
		return
	}
	if l.put(localeFile, []byte("export LANG="+name+"\n"), 0o644) {
		l.did("locale is now " + name)
	}
}

func lines(list []string) []byte {
	var b bytes.Buffer
	for _, line := range list {
		b.WriteString(line + "\n")
	}
	return b.Bytes()
}

// text is what is in a file, nothing if it cannot be read.
func (h *Host) text(path string) []byte {
	text, _ := os.ReadFile(h.Path(path))
	return text
}
