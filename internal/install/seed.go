package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/yamledit"
)

const (
	confDir = "var/lib/rancher/conf" // on the state disk; /var/lib/rancher/conf of the machine
	// seedName is what RancherOS called the config that came with an installation.
	seedName = "cloud-config.d/user_config.yml"
)

// installKey is what a machine must not do again once it is installed.
var installKey = []string{"rancher", "install"}

// ConfigSeed is the cloud-config called name as a file for the state disk.
// Every fault in it is an error with its place; what is merely without effect
// is in notes.
func ConfigSeed(name string, text []byte) (files []File, notes []string, err error) {
	var wrong []error
	for _, w := range config.Validate(name, text) {
		if w.Severity == config.Wrong {
			wrong = append(wrong, errors.New(w.String()))
			continue
		}
		notes = append(notes, w.String())
	}
	if len(wrong) > 0 {
		return nil, nil, fmt.Errorf("cannot use the config: %w", errors.Join(wrong...))
	}
	if text, err = withoutInstall(text); err != nil {
		return nil, nil, fmt.Errorf("cannot use the config %s: %w", name, err)
	}
	if !loginPossible(name, text) {
		notes = append(notes, name+": no ssh_authorized_keys, no users and no password: nobody will be able to log in over ssh")
	}
	return []File{{Path: path.Join(confDir, seedName), Mode: 0o600, Data: text}}, notes, nil
}

// loginPossible is a guess good enough for a hint.
func loginPossible(name string, text []byte) bool {
	cfg, _ := config.Load(config.Layer{Name: name, Data: text})
	return len(cfg.SSHAuthorizedKeys) > 0 || len(cfg.Users) > 0 || cfg.Rancher.Password != ""
}

// withoutInstall leaves out the order to install: the machine that carries it
// out is another than the one that it makes.
func withoutInstall(text []byte) ([]byte, error) { return yamledit.Unset(text, installKey) }

// DatasourceSeed is what the service datasource found for this machine (the
// folder dir), as files for the state disk of the one that is installed: there
// it counts as found at an earlier boot.
func DatasourceSeed(dir string) ([]File, error) {
	files, err := datasourceSeed(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot use what the datasource said: %w", err)
	}
	return files, nil
}

func datasourceSeed(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []File
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(e.Name(), ".yml") {
			if text, err = withoutInstall(text); err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name(), err)
			}
		}
		files = append(files, File{Path: path.Join(confDir, "datasource", e.Name()), Mode: 0o600, Data: text})
	}
	return files, nil
}
