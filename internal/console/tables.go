package console

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Tables are the machine's accounts: the texts of passwd and group.
type Tables struct{ Passwd, Group []byte }

// firstOfPeople is the lowest number that Roster gives to a person or a group
// of its own; those of an image lie below.
const firstOfPeople = 1100

// nobody is in every table, under the same number.
const nobody = 65534

// row is a line of a table.
type row []string

func rows(table []byte) []row {
	var list []row
	for line := range bytes.Lines(table) {
		if fields := strings.Split(strings.TrimRight(string(line), "\r\n"), ":"); len(fields) > 2 {
			list = append(list, fields)
		}
	}
	return list
}

func (r row) number() int {
	n, err := strconv.Atoi(r[2])
	if err != nil {
		return -1
	}
	return n
}

func named(list []row, name string) int {
	return slices.IndexFunc(list, func(r row) bool { return r[0] == name })
}

func text(list []row) []byte {
	var b strings.Builder
	for _, r := range list {
		b.WriteString(strings.Join(r, ":") + "\n")
	}
	return []byte(b.String())
}

// mergeTables puts the machine's people and groups into the tables of an image.
// The accounts of the image's own programs stay; what carries a name of ours is
// ours.
func mergeTables(root *os.Root, t Tables) error {
	read := func(name string) []byte {
		b, err := root.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return b
	}
	if err := root.MkdirAll("etc", 0o755); err != nil {
		return err
	}
	passwd, people := mergePasswd(read("etc/passwd"), t.Passwd, func(wanted string) string { return shellIn(root.Name(), wanted) })
	err := replace(root, "etc/passwd", passwd, 0o644)
	err = errors.Join(err, replace(root, "etc/group", mergeGroup(read("etc/group"), t.Group), 0o644))
	if shadow := read("etc/shadow"); shadow != nil {
		err = errors.Join(err, replace(root, "etc/shadow", mergeShadow(shadow, people), 0o640))
	}
	return err
}

func mergePasswd(image, machine []byte, shell func(wanted string) string) (merged []byte, people []string) {
	list := rows(image)
	for _, r := range rows(machine) {
		at := named(list, r[0])
		ours := r.number() >= firstOfPeople && r.number() != nobody
		if ours {
			people = append(people, r[0])
			if len(r) > 6 {
				r[6] = shell(r[6])
			}
		}
		switch {
		case at >= 0 && ours:
			list[at] = r
		case at < 0:
			list = append(list, r)
		}
	}
	return text(list), people
}

// mergeGroup takes numbers of ours over, and members everywhere: who is in adm
// is so in any image.
func mergeGroup(image, machine []byte) []byte {
	list := rows(image)
	for _, r := range rows(machine) {
		for len(r) < 4 {
			r = append(r, "")
		}
		at := named(list, r[0])
		if at < 0 {
			list = append(list, r)
			continue
		}
		have := slices.Clone(list[at])
		for len(have) < 4 {
			have = append(have, "")
		}
		if r.number() >= firstOfPeople && r.number() != nobody {
			have[2] = r[2]
		}
		members := strings.FieldsFunc(have[3], func(c rune) bool { return c == ',' })
		for _, m := range strings.FieldsFunc(r[3], func(c rune) bool { return c == ',' }) {
			if !slices.Contains(members, m) {
				members = append(members, m)
			}
		}
		have[3] = strings.Join(members, ",")
		list[at] = have
	}
	return text(list)
}

// mergeShadow gives people a line with no password that fits: programs that ask
// whether an account is valid look for one. Hashes stay on the machine.
func mergeShadow(shadow []byte, people []string) []byte {
	list := rows(shadow)
	for _, name := range people {
		if named(list, name) < 0 {
			list = append(list, row{name, "*", "20089", "0", "99999", "7", "", "", ""})
		}
	}
	return text(list)
}

func owner(info os.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return 0, 0
}
