package accounts

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/config"
)

// builder puts the tables together.
type builder struct {
	past    Past
	numbers Numbers
	users   []User
	groups  []Group
	errs    []error
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

func (b *builder) build(cfg *config.Config) {
	b.numbers = Numbers{Users: map[string]int{}, Groups: map[string]int{}}
	entries := b.usable(cfg.Users)
	b.remember(entries)
	for _, g := range cfg.Groups {
		b.group("groups", g.Name)
	}
	for _, e := range entries {
		b.add(e)
	}
	// Only now, so that a group that somebody joins is not in the way of an
	// account of its name.
	for _, e := range entries {
		b.joinAll(e)
	}
	for _, g := range cfg.Groups {
		b.members(g)
	}
	b.operators(cfg)
	if slices.Contains(cfg.Rancher.Disable, "password") {
		for i := range b.users {
			b.users[i].Hash = NoPassword
		}
	}
}

// nameForm is what names of accounts and groups look like. The tables are
// lines with colons, so nothing else may get into them.
var nameForm = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,31}$`)

// usable are the entries of users that can become accounts.
func (b *builder) usable(list []config.User) []config.User {
	var good []config.User
	for _, e := range list {
		twice := slices.ContainsFunc(good, func(g config.User) bool { return g.Name == e.Name })
		switch {
		case !nameForm.MatchString(e.Name):
			b.fail("users: %q cannot be the name of an account", e.Name)
		case twice:
			b.fail("users: %q is named twice; the first counts", e.Name)
		case builtInUser(e.Name) && !slices.Contains(changeable, e.Name):
			b.fail("users: %q is an account of the system", e.Name)
		case !builtInUser(e.Name) && e.PrimaryGroup == "" && builtInGroup(e.Name):
			b.fail("users: %s: a group of the system has this name; give primary_group", e.Name)
		case claimed(good, e) != "":
			b.fail("users: %s: number %d is that of %s", e.Name, e.UID, claimed(good, e))
		default:
			good = append(good, e)
		}
	}
	return good
}

// claimed says who has the number that an entry asks for.
func claimed(entries []config.User, e config.User) string {
	if e.UID <= 0 || builtInUser(e.Name) {
		return ""
	}
	for _, other := range entries {
		if other.UID == e.UID {
			return other.Name
		}
	}
	for _, u := range builtInUsers {
		if u.UID == e.UID {
			return u.Name
		}
	}
	return ""
}

func builtInUser(name string) bool {
	return slices.ContainsFunc(builtInUsers, func(u User) bool { return u.Name == name })
}

// remember takes over the numbers given out before, but for one that the
// config now gives somebody by name.
func (b *builder) remember(entries []config.User) {
	owner := map[int]string{}
	for _, e := range entries {
		if e.UID > 0 {
			owner[e.UID] = e.Name
		}
	}
	for name, n := range b.past.Numbers.Users {
		if who, taken := owner[n]; !taken || who == name {
			b.numbers.Users[name] = n
		}
	}
	maps.Copy(b.numbers.Groups, b.past.Numbers.Groups)
	for _, e := range entries {
		if e.UID > 0 && !builtInUser(e.Name) {
			b.numbers.Users[e.Name] = e.UID
		}
	}
}

// add makes an account of an entry, or changes the built-in one.
func (b *builder) add(e config.User) {
	i := b.userAt(e.Name)
	if i < 0 {
		u, err := b.newUser(e)
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("users: %s: %w", e.Name, err))
			return
		}
		b.users = append(b.users, u)
		i = len(b.users) - 1
	} else if e.UID != 0 && e.UID != b.users[i].UID {
		b.fail("users: %s: its number is %d on every machine", e.Name, b.users[i].UID)
	}
	b.describe(&b.users[i], e)
}

func (b *builder) newUser(e config.User) (User, error) {
	u := User{Name: e.Name, Hash: NoPassword, Shell: defaultShell, Home: "/home/" + e.Name, MakeHome: !e.NoCreateHome}
	if e.System {
		u.Home, u.MakeHome = "/nonexistent", false
	}
	u.UID = b.uid(e)
	var err error
	u.GID, err = b.primaryGroup(e, u.UID)
	return u, err
}

// uid is the account's number.
func (b *builder) uid(e config.User) int {
	n, known := b.numbers.Users[e.Name]
	if !known {
		first := firstNumber
		if e.System {
			first = firstSystem
		}
		n = b.free(first)
		b.numbers.Users[e.Name] = n
	}
	return n
}

// primaryGroup is the number of the account's main group: the one it names or
// one of its own name, which if possible has the number of the account.
func (b *builder) primaryGroup(e config.User, uid int) (int, error) {
	name := cmp.Or(e.PrimaryGroup, e.Name)
	own := name == e.Name
	if i := b.groupAt(name); i >= 0 {
		return b.groups[i].GID, nil
	}
	if _, known := b.numbers.Groups[name]; own && !known && !b.taken(uid, name) {
		b.numbers.Groups[name] = uid
	}
	i := b.group("users", name)
	if i < 0 {
		return 0, errors.New("it has no main group")
	}
	return b.groups[i].GID, nil
}

// describe takes over what the entry says, where it says something.
func (b *builder) describe(u *User, e config.User) {
	wrong := func(key string, err error) { b.fail("users: %s: %s: %w", e.Name, key, err) }
	for _, f := range []struct {
		key, value string
		to         *string
	}{{"gecos", e.Gecos, &u.Gecos}, {"homedir", e.HomeDir, &u.Home}, {"shell", e.Shell, &u.Shell}} {
		switch {
		case f.value == "":
		case strings.ContainsAny(f.value, ":\n\r\x00"):
			wrong(f.key, errors.New("must not have a colon or a line break"))
		default:
			*f.to = f.value
		}
	}
	for _, rule := range e.Sudo {
		switch rule = strings.TrimSpace(rule); {
		case rule == "":
		case strings.ContainsAny(rule, "\n\r\x00") || strings.HasSuffix(rule, "\\"):
			wrong("sudo", errors.New("a rule is one line"))
		case !strings.Contains(rule, "="):
			wrong("sudo", fmt.Errorf("%q is no rule such as ALL=(ALL) NOPASSWD:ALL", rule))
		default:
			u.Sudo = append(u.Sudo, rule)
		}
	}
	var err error
	if u.Expires, err = day(e.ExpireDate); err != nil {
		wrong("expiredate", err)
	}
	u.Keys = append(u.Keys, b.keys(e.Name, e.SSHAuthorizedKeys)...)
	b.password(u, cmp.Or(e.Passwd, e.PlainTextPasswd))
	if e.LockPasswd != nil && *e.LockPasswd {
		u.Hash = NoPassword
	}
}

// operators gives rancher and docker the keys of the machine, and rancher the
// machine's password. It goes before one that an entry of users gives: it is
// what one puts on the kernel command line to get in.
func (b *builder) operators(cfg *config.Config) {
	keys := b.keys("", cfg.SSHAuthorizedKeys)
	for i := range b.users {
		u := &b.users[i]
		if u.Name != Operator && u.Name != Docker {
			continue
		}
		u.Keys = slices.Concat(keys, u.Keys)
		if u.Name == Operator {
			b.password(u, cfg.Rancher.Password)
		}
	}
}

func (b *builder) password(u *User, password config.Password) {
	if password == "" {
		return
	}
	hash, err := keep(password, b.past.Hashes[u.Name])
	if err != nil {
		b.fail("password of %s: %w", u.Name, err)
		return
	}
	u.Hash = hash
}

// keys are those that fit into a line of authorized_keys.
func (b *builder) keys(account string, list []string) []string {
	of := ""
	if account != "" {
		of = "users: " + account + ": "
	}
	var good []string
	for i, key := range list {
		switch key = strings.TrimSpace(key); {
		case key == "":
		case strings.ContainsAny(key, "\n\r\x00"):
			b.fail("%sssh_authorized_keys: key %d is more than one line", of, i+1)
		default:
			good = append(good, key)
		}
	}
	return good
}

// members puts those into a group who are listed there.
func (b *builder) members(g config.Group) {
	for _, name := range g.Members {
		if b.userAt(name) < 0 {
			b.fail("groups: %s: there is no account %q", g.Name, name)
			continue
		}
		b.join(name, g.Name)
	}
}

// joinAll puts an account into the groups it names.
func (b *builder) joinAll(e config.User) {
	if b.userAt(e.Name) < 0 {
		return // it could not be made
	}
	for _, name := range e.Groups {
		b.join(e.Name, name)
	}
}

// join puts an account into a group, which is made if there is none.
func (b *builder) join(account, name string) {
	i := b.group("users: "+account+": groups", name)
	if i < 0 || slices.Contains(b.groups[i].Members, account) {
		return
	}
	b.groups[i].Members = append(b.groups[i].Members, account)
}

// group finds a group or makes it; -1: its name cannot be one.
func (b *builder) group(where, name string) int {
	if i := b.groupAt(name); i >= 0 {
		return i
	}
	if !nameForm.MatchString(name) {
		b.fail("%s: %q cannot be the name of a group", where, name)
		return -1
	}
	gid, known := b.numbers.Groups[name]
	if !known {
		gid = b.free(firstNumber)
		b.numbers.Groups[name] = gid
	}
	b.groups = append(b.groups, Group{Name: name, GID: gid})
	return len(b.groups) - 1
}

func (b *builder) userAt(name string) int {
	return slices.IndexFunc(b.users, func(u User) bool { return u.Name == name })
}

func (b *builder) groupAt(name string) int {
	return slices.IndexFunc(b.groups, func(g Group) bool { return g.Name == name })
}

// free is the next number that is neither an account's nor a group's, nor was
// one's before.
func (b *builder) free(from int) int {
	for n := from; ; n++ {
		if !b.taken(n, "") {
			return n
		}
	}
}

// taken says whether a number is one of an account or group of another name.
func (b *builder) taken(n int, but string) bool {
	for _, numbers := range []map[string]int{b.numbers.Users, b.numbers.Groups} {
		for name, m := range numbers {
			if m == n && name != but {
				return true
			}
		}
	}
	return slices.ContainsFunc(builtInUsers, func(u User) bool { return u.UID == n }) ||
		slices.ContainsFunc(builtInGroups, func(g Group) bool { return g.GID == n })
}

func builtInGroup(name string) bool {
	return slices.ContainsFunc(builtInGroups, func(g Group) bool { return g.Name == name })
}

// day is a date in days since 1970, as shadow(5) counts. No date is 0.
func day(date string) (int, error) {
	if date == "" {
		return 0, nil
	}
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return 0, fmt.Errorf("%q is not a day like 2027-01-31", date)
	}
	days := t.Unix() / int64(24*time.Hour/time.Second)
	if days < 1 || days > math.MaxInt32 {
		return 0, fmt.Errorf("%q is not a day after 1970", date)
	}
	return int(days), nil
}
