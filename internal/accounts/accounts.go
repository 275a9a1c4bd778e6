// Package accounts turns what the config says about people into the tables of
// Unix: passwd, group, shadow, the rules of sudo and the keys of ssh.
//
// It owns the accounts that every machine has, the numbers that are given out,
// and how passwords are kept. It touches no file: package apply writes what it
// returns and keeps what must be the same the next time (Past).
package accounts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
)

// Operator is the account that administers the machine; Docker has the same
// keys and is there because RancherOS had it.
const (
	Operator = "rancher"
	Docker   = "docker"
)

// NoPassword in place of a hash: no password fits, but keys do. (With "!", as
// packages have it, sshd would turn even keys away.)
const NoPassword = "*"

// User is an account.
type User struct {
	Name        string
	UID, GID    int
	Gecos       string
	Home, Shell string
	MakeHome    bool
	Hash        string   // of its password, or NoPassword
	Expires     int      // day since 1970 from which it cannot log in; 0: never
	Keys        []string // lines of authorized_keys
	Sudo        []string // rules without the name in front
}

// Group is a group.
type Group struct {
	Name    string
	GID     int
	Members []string
}

// Tables are all accounts of a machine.
type Tables struct {
	Users   []User
	Groups  []Group
	Numbers Numbers // to be kept for the next Build
}

// Numbers are user and group numbers by name. A number once given out is never
// another account's: files belong to numbers.
type Numbers struct {
	Users  map[string]int `json:"users"`
	Groups map[string]int `json:"groups"`
}

// Past is what must stay as it was.
type Past struct {
	Numbers Numbers
	Hashes  map[string]string // of passwords, by account
}

// builtInUsers are in every image (images/base and images/ssh), under the same
// numbers. docker is only here: no service runs as it.
var builtInUsers = []User{
	{Name: "root", UID: 0, GID: 0, Gecos: "root", Home: "/root", Shell: "/bin/sh"},
	{Name: Operator, UID: 1100, GID: 1100, Gecos: "Operator", Home: "/home/rancher", Shell: "/bin/bash", MakeHome: true},
	{Name: Docker, UID: 1101, GID: 1101, Gecos: "Docker", Home: "/home/docker", Shell: "/bin/bash", MakeHome: true, Sudo: []string{"ALL=(ALL:ALL) NOPASSWD: ALL"}},
	{Name: "sshd", UID: 1203, GID: 1203, Gecos: "Secure shell", Home: "/run/sshd", Shell: noLogin},
	{Name: "nobody", UID: 65534, GID: 65534, Gecos: "nobody", Home: "/nonexistent", Shell: noLogin},
}

// builtInGroups have Debian's numbers where Debian fixes them.
var builtInGroups = []Group{
	{Name: "root", GID: 0},
	{Name: "adm", GID: 4, Members: []string{Operator}},
	{Name: "tty", GID: 5},
	{Name: "disk", GID: 6},
	{Name: "lp", GID: 7},
	{Name: "kmem", GID: 15},
	{Name: "dialout", GID: 20},
	{Name: "cdrom", GID: 24},
	{Name: "floppy", GID: 25},
	{Name: "tape", GID: 26},
	{Name: "sudo", GID: 27, Members: []string{Operator}},
	{Name: "audio", GID: 29},
	{Name: "utmp", GID: 43},
	{Name: "video", GID: 44},
	{Name: "input", GID: 104},
	{Name: "kvm", GID: 105},
	{Name: "render", GID: 106},
	{Name: "sgx", GID: 107},
	{Name: Operator, GID: 1100},
	{Name: Docker, GID: 1101, Members: []string{Operator}},
	{Name: "ros", GID: 1102, Members: []string{Operator}},
	{Name: "sshd", GID: 1203},
	{Name: "nobody", GID: 65534},
}

// changeable are the built-in accounts that an entry of users may change.
var changeable = []string{"root", Operator, Docker}

const (
	noLogin      = "/usr/sbin/nologin"
	defaultShell = "/bin/bash"
	firstNumber  = 1500 // of people
	firstSystem  = 500  // of programs; up to 999
)

// Build makes the tables. What cannot be is left out, with an error for each;
// the accounts that every machine has are always there.
func Build(cfg *config.Config, past Past) (Tables, []error) {
	b := &builder{past: past}
	for _, u := range builtInUsers {
		u.Hash, u.Sudo = NoPassword, slices.Clone(u.Sudo)
		b.users = append(b.users, u)
	}
	for _, g := range builtInGroups {
		g.Members = slices.Clone(g.Members)
		b.groups = append(b.groups, g)
	}
	b.build(cfg)
	return Tables{Users: b.users, Groups: b.groups, Numbers: b.numbers}, b.errs
}

// Find is the account of that name.
func (t Tables) Find(name string) (User, bool) {
	i := slices.IndexFunc(t.Users, func(u User) bool { return u.Name == name })
	if i < 0 {
		return User{}, false
	}
	return t.Users[i], true
}

// Passwd is the text of /etc/passwd.
func (t Tables) Passwd() []byte {
	var b strings.Builder
	for _, u := range t.Users {
		fmt.Fprintf(&b, "%s:x:%d:%d:%s:%s:%s\n", u.Name, u.UID, u.GID, u.Gecos, u.Home, u.Shell)
	}
	return []byte(b.String())
}

// Group is the text of /etc/group.
func (t Tables) Group() []byte {
	var b strings.Builder
	for _, g := range t.Groups {
		fmt.Fprintf(&b, "%s:x:%d:%s\n", g.Name, g.GID, strings.Join(g.Members, ","))
	}
	return []byte(b.String())
}

// passwordDay is when all passwords were set, as far as programs ask: they do
// not age here.
const passwordDay = 20089

// Shadow is the text of /etc/shadow. It holds hashes: for root's eyes.
func (t Tables) Shadow() []byte {
	var b strings.Builder
	for _, u := range t.Users {
		expires := ""
		if u.Expires > 0 {
			expires = fmt.Sprint(u.Expires)
		}
		fmt.Fprintf(&b, "%s:%s:%d:0:99999:7::%s:\n", u.Name, u.Hash, passwordDay, expires)
	}
	return []byte(b.String())
}

// Hashes reads the hashes back out of a shadow file.
func Hashes(shadow []byte) map[string]string {
	hashes := map[string]string{}
	for line := range strings.Lines(string(shadow)) {
		if fields := strings.Split(line, ":"); len(fields) > 1 && strings.HasPrefix(fields[1], "$") {
			hashes[fields[0]] = fields[1]
		}
	}
	return hashes
}

// Sudoers is a file for sudo to include.
func (t Tables) Sudoers() []byte {
	var b strings.Builder
	for _, u := range t.Users {
		for _, rule := range u.Sudo {
			fmt.Fprintf(&b, "%s %s\n", u.Name, rule)
		}
	}
	return []byte(b.String())
}

// AuthorizedKeys is the file of an account's ssh keys.
func (u User) AuthorizedKeys() []byte {
	var b strings.Builder
	for _, key := range u.Keys {
		b.WriteString(key + "\n")
	}
	return []byte(b.String())
}
