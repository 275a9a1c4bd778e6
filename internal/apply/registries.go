package apply

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rosteros/ros/config"
)

// Logins to registries, where the docker command looks for them. root's home in
// console and ssh is made anew with them: .docker in it is a link to rootDocker.
const (
	rootDocker       = "run/ros/login/docker"
	registriesRecord = "var/lib/rancher/conf/registries.json"
	dockerGroup      = "docker"
	hub              = "docker.io"
	dockerHub        = "https://index." + hub + "/v1/" // what docker login calls it
)

// Registries writes the logins to registries for all who may use Docker. A file
// that somebody has written or changed himself stays as it is.
func Registries(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	r := &registries{h: h, wrote: map[string]string{}}
	if kept := h.text(registriesRecord); len(kept) > 0 {
		if err := json.Unmarshal(kept, &r.wrote); err != nil {
			r.failed(fmt.Errorf("rancher.registry_auths: cannot tell which files are ours: /%s: %w", registriesRecord, err))
		}
	}
	known := len(r.wrote)
	text := r.text(cfg.Rancher.RegistryAuths)
	for _, a := range r.accounts() {
		if err := r.account(a, text); err != nil {
			r.failed(fmt.Errorf("rancher.registry_auths: cannot write %s: %w", a.path(), err))
		}
	}
	if known+len(r.wrote) > 0 {
		record, err := json.Marshal(r.wrote)
		r.failed(err)
		_, err = h.put(registriesRecord, append(record, '\n'), 0o600)
		r.failed(err)
	}
	return r.outcome, errors.Join(r.errs...)
}

// registries does the work of Registries.
type registries struct {
	h       *Host
	wrote   map[string]string // path: sum of what we wrote there
	outcome Outcome
	errs    []error
}

func (r *registries) failed(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// registryLogin is an entry of the docker command's config.json.
type registryLogin struct {
	Auth          string `json:"auth,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// text is config.json; nil if there is no login.
func (r *registries) text(auths map[string]config.Registry) []byte {
	logins := map[string]registryLogin{}
	for _, host := range slices.Sorted(maps.Keys(auths)) {
		login, err := newLogin(auths[host])
		if err != nil {
			r.failed(fmt.Errorf("rancher.registry_auths: %s: %w", host, err))
			continue
		}
		name := RegistryHost(host)
		if name == hub {
			name = dockerHub
		}
		logins[name] = login
	}
	if len(logins) == 0 {
		return nil
	}
	text, err := json.MarshalIndent(map[string]any{"auths": logins}, "", "\t")
	r.failed(err)
	return append(text, '\n')
}

func newLogin(a config.Registry) (registryLogin, error) {
	login := registryLogin{Auth: string(a.Auth), IdentityToken: string(a.IdentityToken), RegistryToken: string(a.RegistryToken)}
	switch {
	case login.Auth != "":
		if text, err := base64.StdEncoding.DecodeString(login.Auth); err != nil || !strings.Contains(string(text), ":") {
			return login, errors.New("auth is not base64 of user:password")
		}
	case a.Username != "" && (a.Password != "" || login.IdentityToken != ""):
		login.Auth = base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + string(a.Password)))
	case login.IdentityToken == "" && login.RegistryToken == "":
		return login, errors.New("there is neither a user with a password, nor auth, nor a token")
	}
	return login, nil
}

// RegistryHost is the host of a registry, however the config calls it. Docker
// Hub has one name, docker.io.
func RegistryHost(name string) string {
	host := strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	switch host {
	case hub, "index." + hub, "registry-1." + hub, "registry.hub.docker.com", "hub.docker.com":
		return hub
	}
	return host
}

// dockerAccount is somebody who may use Docker.
type dockerAccount struct {
	dir      string // the folder that .docker is in, from the root
	name     string // of the folder
	uid, gid int
}

func (a dockerAccount) path() string { return "/" + filepath.Join(a.dir, a.name, "config.json") }

// accounts are root and the members of the group docker that have a home.
func (r *registries) accounts() []dockerAccount {
	list := []dockerAccount{{dir: filepath.Dir(rootDocker), name: filepath.Base(rootDocker)}}
	groups := r.h.text(groupFile)
	members := strings.Split(tableField(groups, dockerGroup, 3), ",")
	number := tableField(groups, dockerGroup, 2)
	for line := range strings.Lines(string(r.h.text(passwdFile))) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 7 || fields[2] == "0" || fields[3] != number && !slices.Contains(members, fields[0]) {
			continue
		}
		uid, uerr := strconv.Atoi(fields[2])
		gid, gerr := strconv.Atoi(fields[3])
		home := strings.TrimPrefix(filepath.Clean(fields[5]), "/")
		if uerr == nil && gerr == nil && home != "" && r.h.present(home) {
			list = append(list, dockerAccount{home, ".docker", uid, gid})
		}
	}
	return list
}

// account makes the file of an account say text, if it is ours to write.
func (r *registries) account(a dockerAccount, text []byte) error {
	if err := os.MkdirAll(r.h.Path(a.dir), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(r.h.Path(a.dir)) // it is the account's: no link leads out of it
	if err != nil {
		return err
	}
	defer root.Close()
	file := filepath.Join(a.name, "config.json")
	have, err := root.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil
	path := a.path()
	switch ours := r.wrote[path] == fullSum(have); {
	case there && !ours:
		if text != nil || r.wrote[path] != "" {
			r.outcome.Notes = append(r.outcome.Notes, path+" stays as it is: it is not what the config wrote")
		}
		delete(r.wrote, path)
		return nil
	case text == nil && there:
		if err := root.Remove(file); err != nil {
			return err
		}
		r.outcome.Did = append(r.outcome.Did, "removed "+path)
		fallthrough
	case text == nil:
		delete(r.wrote, path)
		return nil
	case there && string(have) == string(text):
		return nil
	}
	if err := a.write(root, text); err != nil {
		return err
	}
	r.wrote[path] = fullSum(text)
	r.outcome.Did = append(r.outcome.Did, "wrote "+path)
	return nil
}

func fullSum(text []byte) string { return fmt.Sprintf("%x", sha256.Sum256(text)) }

// write replaces the file in one step.
func (a dockerAccount) write(root *os.Root, text []byte) error {
	if err := root.Mkdir(a.name, 0o700); err == nil {
		err = root.Lchown(a.name, a.uid, a.gid)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	fresh := filepath.Join(a.name, ".config.json.new")
	if err := root.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chown(a.uid, a.gid), f.Sync(), f.Close()); err != nil {
		return err
	}
	return root.Rename(fresh, filepath.Join(a.name, "config.json"))
}
