package containers

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/images"
)

// account is who a service runs as.
type account struct {
	user specs.User
	home string
}

// lookUp finds the service's user and groups in the image's etc/passwd and
// etc/group. Numbers need no entry there.
func lookUp(svc compose.Service, img images.Image, m Machine) (account, error) {
	read := func(path string) ([]byte, error) {
		b, err := m.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return b, err
	}
	passwd, err := read("etc/passwd")
	if err != nil {
		return account{}, fmt.Errorf("users of image %q: %w", img.Name, err)
	}
	group, err := read("etc/group")
	if err != nil {
		return account{}, fmt.Errorf("groups of image %q: %w", img.Name, err)
	}
	name := firstOf(svc.User, img.Config.User)
	u, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return account{}, fmt.Errorf("user %q: %w", name, err)
	}
	more, err := user.GetAdditionalGroups(svc.GroupAdd, bytes.NewReader(group))
	if err != nil {
		return account{}, fmt.Errorf("group_add: %w", err)
	}
	// The primary group stands in the list too: without it, a program that
	// drops it with setgid would get past a file that denies the group.
	gids := slices.Concat([]int{u.Gid}, u.Sgids, more)
	slices.Sort(gids)
	a := account{home: u.Home, user: specs.User{UID: uint32(u.Uid), GID: uint32(u.Gid)}}
	for _, g := range slices.Compact(gids) {
		a.user.AdditionalGids = append(a.user.AdditionalGids, uint32(g))
	}
	return a, nil
}
