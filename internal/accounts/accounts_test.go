package accounts_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/accounts"
)

func yes() *bool { b := true; return &b }

// build makes tables and gives what is said about the config.
func build(t *testing.T, cfg *config.Config, past accounts.Past) (accounts.Tables, []string) {
	t.Helper()
	tables, errs := accounts.Build(cfg, past)
	var said []string
	for _, err := range errs {
		said = append(said, err.Error())
	}
	return tables, said
}

func lines(text []byte) []string { return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") }

func TestBuild(t *testing.T) {
	plain := lines(must(accounts.Build(&config.Config{}, accounts.Past{})).Passwd())
	for _, c := range []struct {
		name   string
		cfg    config.Config
		passwd []string // besides the built-in ones
		group  []string // that differ from the built-in ones
		errs   []string
	}{
		{name: "nothing said"},
		{
			name: "numbers from 1500, each with a group of its own",
			cfg: config.Config{Users: []config.User{
				{Name: "ann", Gecos: "Ann A.", Groups: []string{"docker", "staff"}},
				{Name: "bob", Shell: "/bin/sh", HomeDir: "/opt/bob"},
			}},
			passwd: []string{"ann:x:1500:1500:Ann A.:/home/ann:/bin/bash", "bob:x:1501:1501::/opt/bob:/bin/sh"},
			group:  []string{"docker:x:1101:rancher,ann", "ann:x:1500:", "bob:x:1501:", "staff:x:1502:ann"},
		},
		{
			name: "a number that is asked for is nobody else's",
			cfg: config.Config{Users: []config.User{
				{Name: "ann"}, {Name: "bob", UID: 1500}, {Name: "eve", UID: 1500}, {Name: "joe", UID: 1100},
			}},
			passwd: []string{"ann:x:1501:1501::/home/ann:/bin/bash", "bob:x:1500:1500::/home/bob:/bin/bash"},
			group:  []string{"ann:x:1501:", "bob:x:1500:"},
			errs: []string{
				"users: eve: number 1500 is that of bob",
				"users: joe: number 1100 is that of rancher",
			},
		},
		{
			name: "an account for a program",
			cfg: config.Config{
				Groups: []config.Group{{Name: "web", Members: []string{"www", "nobody-there"}}},
				Users:  []config.User{{Name: "www", System: true, PrimaryGroup: "web", Shell: "/usr/sbin/nologin"}},
			},
			passwd: []string{"www:x:500:1500::/nonexistent:/usr/sbin/nologin"},
			group:  []string{"web:x:1500:www"},
			errs:   []string{`groups: web: there is no account "nobody-there"`},
		},
		{
			name: "a group that somebody joined is no obstacle to its user",
			cfg:  config.Config{Users: []config.User{{Name: "ann", Groups: []string{"bob"}}, {Name: "bob"}}},
			passwd: []string{
				"ann:x:1500:1500::/home/ann:/bin/bash", "bob:x:1501:1501::/home/bob:/bin/bash",
			},
			group: []string{"ann:x:1500:", "bob:x:1501:ann"},
		},
		{
			name: "what would break the tables",
			cfg: config.Config{
				Groups: []config.Group{{Name: "a:b"}},
				Users: []config.User{
					{Name: "Ann Smith"}, {Name: "x:y"}, {Name: "sshd"}, {Name: "adm"}, {Name: ""},
					{Name: "ann", Gecos: "A:B", Shell: "/bin/sh\nroot::0:0::/:/bin/sh", Groups: []string{"wh eel"}},
					{Name: "ann"},
					{Name: "rancher", UID: 7},
				},
			},
			passwd: []string{"ann:x:1500:1500::/home/ann:/bin/bash"},
			group:  []string{"ann:x:1500:"},
			errs: []string{
				`users: "Ann Smith" cannot be the name of an account`,
				`users: "x:y" cannot be the name of an account`,
				`users: "sshd" is an account of the system`,
				"users: adm: a group of the system has this name; give primary_group",
				`users: "" cannot be the name of an account`,
				`users: "ann" is named twice; the first counts`,
				`groups: "a:b" cannot be the name of a group`,
				"users: ann: gecos: must not have a colon or a line break",
				"users: ann: shell: must not have a colon or a line break",
				"users: rancher: its number is 1100 on every machine",
				`users: ann: groups: "wh eel" cannot be the name of a group`,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tables, errs := build(t, &c.cfg, accounts.Past{})
			if diff := cmp.Diff(c.errs, errs); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(append(slices.Clone(plain), c.passwd...), lines(tables.Passwd())); diff != "" {
				t.Errorf("passwd (-want +got):\n%s", diff)
			}
			builtIn := lines(must(accounts.Build(&config.Config{}, accounts.Past{})).Group())
			got := slices.DeleteFunc(lines(tables.Group()), func(l string) bool { return slices.Contains(builtIn, l) })
			if diff := cmp.Diff(c.group, got, cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })); diff != "" {
				t.Errorf("group (-want +got):\n%s", diff)
			}
		})
	}
}

func must(tables accounts.Tables, _ []error) accounts.Tables { return tables }

// A number is for ever: files belong to it.
func TestNumbersStay(t *testing.T) {
	two := config.Config{Users: []config.User{{Name: "ann"}, {Name: "bob"}}}
	tables, _ := build(t, &two, accounts.Past{})
	one := config.Config{Users: []config.User{{Name: "bob"}, {Name: "eve"}}}
	tables, _ = build(t, &one, accounts.Past{Numbers: tables.Numbers})
	for name, want := range map[string]int{"bob": 1501, "eve": 1502} {
		if u, _ := tables.Find(name); u.UID != want || u.GID != want {
			t.Errorf("%s has number %d and group %d, want %d", name, u.UID, u.GID, want)
		}
	}
	tables, _ = build(t, &two, accounts.Past{Numbers: tables.Numbers})
	if u, _ := tables.Find("ann"); u.UID != 1500 {
		t.Errorf("ann came back as number %d, want 1500", u.UID)
	}
}

func TestPasswords(t *testing.T) {
	cfg := config.Config{
		Users: []config.User{
			{Name: "ann", Passwd: "$6$salt$hash"},
			{Name: "bob", PlainTextPasswd: "secret"},
			{Name: "eve", Passwd: "$6$salt$hash", LockPasswd: yes()},
			{Name: "joe", Passwd: "!"},
			{Name: "mallory", Passwd: "$6$a:b"},
			{Name: "rancher", Passwd: "$6$other$hash"},
			{Name: "zoe", ExpireDate: "2027-01-31"},
			{Name: "zed", ExpireDate: "soon"},
		},
		Rancher: config.Rancher{Password: "$6$this$counts"},
	}
	tables, errs := build(t, &cfg, accounts.Past{})
	want := []string{
		"password of mallory: the hash of the password has characters that no hash has",
		`users: zed: expiredate: "soon" is not a day like 2027-01-31`,
	}
	if diff := cmp.Diff(want, errs); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"root": "*", "rancher": "$6$this$counts", "docker": "*", "ann": "$6$salt$hash", "eve": "*", "joe": "*", "mallory": "*",
	} {
		if u, _ := tables.Find(name); u.Hash != want {
			t.Errorf("%s has %q in shadow, want %q", name, u.Hash, want)
		}
	}
	bob, _ := tables.Find("bob")
	if !strings.HasPrefix(bob.Hash, "$6$") || strings.Contains(bob.Hash, "secret") {
		t.Fatalf("a plain password is kept as %q", bob.Hash)
	}
	if text := string(tables.Shadow()); !strings.Contains(text, "\nzoe:*:20089:0:99999:7::20849:\n") {
		t.Errorf("shadow does not say when zoe's account ends:\n%s", text)
	}
	again, _ := build(t, &cfg, accounts.Past{Hashes: accounts.Hashes(tables.Shadow())})
	if diff := cmp.Diff(string(tables.Shadow()), string(again.Shadow())); diff != "" {
		t.Errorf("the second time the tables differ:\n%s", diff)
	}
	cfg.Users[1].PlainTextPasswd = "other"
	changed, _ := build(t, &cfg, accounts.Past{Hashes: accounts.Hashes(tables.Shadow())})
	if u, _ := changed.Find("bob"); u.Hash == bob.Hash {
		t.Error("a new password has the old hash")
	}
	cfg.Rancher.Disable = []string{"password"}
	closed, _ := build(t, &cfg, accounts.Past{})
	if hashes := accounts.Hashes(closed.Shadow()); len(hashes) > 0 {
		t.Errorf("passwords are disabled, but there are %v", hashes)
	}
}

// The vector is crypt(3)'s: what libc reads must fit.
func TestHashIsCrypts(t *testing.T) {
	const hash = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
	cfg := config.Config{Rancher: config.Rancher{Password: "Hello world!"}}
	tables, _ := build(t, &cfg, accounts.Past{Hashes: map[string]string{"rancher": hash}})
	if u, _ := tables.Find("rancher"); u.Hash != hash {
		t.Errorf("the known hash of this password was not recognised: %s", u.Hash)
	}
}

func TestKeysAndSudo(t *testing.T) {
	cfg := config.Config{
		SSHAuthorizedKeys: []string{"ssh-ed25519 AAAA machine", " "},
		Users: []config.User{
			{Name: "rancher", SSHAuthorizedKeys: []string{"ssh-ed25519 BBBB more"}},
			{Name: "ann", SSHAuthorizedKeys: []string{"ssh-ed25519 CCCC ann\nssh-ed25519 DDDD", "ssh-rsa EEEE\n"}, Sudo: []string{"ALL=(ALL) NOPASSWD:ALL", "", "ALL=ALL\nroot ALL=ALL", "yes"}},
		},
	}
	tables, errs := build(t, &cfg, accounts.Past{})
	want := []string{
		"users: ann: sudo: a rule is one line",
		`users: ann: sudo: "yes" is no rule such as ALL=(ALL) NOPASSWD:ALL`,
		"users: ann: ssh_authorized_keys: key 1 is more than one line",
	}
	if diff := cmp.Diff(want, errs); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"rancher": "ssh-ed25519 AAAA machine\nssh-ed25519 BBBB more\n",
		"docker":  "ssh-ed25519 AAAA machine\n",
		"ann":     "ssh-rsa EEEE\n",
		"root":    "",
	} {
		u, _ := tables.Find(name)
		if diff := cmp.Diff(want, string(u.AuthorizedKeys())); diff != "" {
			t.Errorf("keys of %s (-want +got):\n%s", name, diff)
		}
	}
	const sudoers = "docker ALL=(ALL:ALL) NOPASSWD: ALL\nann ALL=(ALL) NOPASSWD:ALL\n"
	if diff := cmp.Diff(sudoers, string(tables.Sudoers())); diff != "" {
		t.Errorf("sudoers (-want +got):\n%s", diff)
	}
}

// The images have the same numbers: files and device nodes carry them.
func TestNumbersAreTheImages(t *testing.T) {
	type row struct {
		Name    string
		UID     int
		GID     int
		Home    string
		Shell   string
		Members []string
	}
	tables := must(accounts.Build(&config.Config{}, accounts.Past{}))
	for _, file := range []string{"../../images/base/image.yml", "../../images/ssh/image.yml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var image struct{ Users, Groups []row }
		if err := yaml.Unmarshal(text, &image); err != nil {
			t.Fatal(err)
		}
		for _, want := range image.Users {
			u, _ := tables.Find(want.Name)
			got := row{Name: u.Name, UID: u.UID, GID: u.GID, Home: u.Home, Shell: u.Shell}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: user %s (-want +got):\n%s", file, want.Name, diff)
			}
			if !slices.ContainsFunc(tables.Groups, func(g accounts.Group) bool { return g.Name == want.Name && g.GID == want.GID }) {
				t.Errorf("%s: user %s has no group", file, want.Name)
			}
		}
		for _, want := range image.Groups {
			if !slices.ContainsFunc(tables.Groups, func(g accounts.Group) bool {
				return cmp.Equal(want, row{Name: g.Name, GID: g.GID, Members: g.Members})
			}) {
				t.Errorf("%s: no such group: %+v", file, want)
			}
		}
	}
}
