package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// addUsers appends the users and groups of a recipe to etc/passwd, etc/group
// and etc/shadow. A layer hides the files of the layers below it, so it starts
// from the nearest copy below.
//
// The password field is "*": no password fits. "!" would mean a locked account,
// which sshd refuses whatever key is offered.
func (f *forge) addUsers(r *recipe, target string) error {
	if len(r.Users) == 0 && len(r.Groups) == 0 {
		return nil
	}
	passwd, shadow, groups := f.account(r, "etc/passwd"), f.account(r, "etc/shadow"), f.account(r, "etc/group")
	for _, u := range r.Users {
		passwd = append(passwd, fmt.Sprintf("%s:x:%d:%d:%s:%s:%s", u.Name, u.UID, u.GID, u.Gecos, u.Home, u.Shell))
		shadow = append(shadow, u.Name+":*:20089:0:99999:7:::")
		if !slices.ContainsFunc(r.Groups, func(g group) bool { return g.GID == u.GID }) && !hasGID(groups, u.GID) {
			groups = append(groups, fmt.Sprintf("%s:x:%d:", u.Name, u.GID))
		}
	}
	for _, g := range r.Groups {
		groups = append(groups, fmt.Sprintf("%s:x:%d:%s", g.Name, g.GID, strings.Join(g.Members, ",")))
	}
	for _, file := range []struct {
		name  string
		lines []string
		mode  fs.FileMode
	}{{"etc/passwd", passwd, 0o644}, {"etc/group", groups, 0o644}, {"etc/shadow", shadow, 0o640}} {
		to := filepath.Join(target, file.name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, []byte(strings.Join(file.lines, "\n")+"\n"), file.mode); err != nil {
			return err
		}
		if err := os.Chmod(to, file.mode); err != nil {
			return err
		}
	}
	return nil
}

// account reads an account file of the nearest layer that has one.
func (f *forge) account(r *recipe, name string) []string {
	for b := r; b != nil; b = b.from {
		text, err := os.ReadFile(filepath.Join(f.layerDir(b), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if text := strings.TrimSpace(string(text)); text != "" {
			return strings.Split(text, "\n")
		}
	}
	return nil
}

func hasGID(groups []string, gid int) bool {
	return slices.ContainsFunc(groups, func(line string) bool {
		fields := strings.Split(line, ":")
		return len(fields) > 2 && fields[2] == fmt.Sprint(gid)
	})
}
