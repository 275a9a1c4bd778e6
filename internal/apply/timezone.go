package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rosteros/ros/config"
)

// Time zones. /etc/localtime of every image is a link to zoneFile, which all
// containers see; so is the machine's own. Without the file the time is UTC.
const (
	zoneDir          = "usr/share/zoneinfo"
	zoneFile         = "run/ros/net/localtime"
	machineLocaltime = "etc/localtime"
)

// Timezone sets the time zone of the machine and of all services.
func Timezone(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	if _, err := h.link("/"+zoneFile, machineLocaltime); err != nil {
		return Outcome{}, fmt.Errorf("timezone: %w", err)
	}
	name := cfg.Timezone
	if name == "" {
		removed, err := h.remove(zoneFile)
		if removed {
			return Outcome{Did: []string{"time zone is UTC again"}}, err
		}
		return Outcome{}, err
	}
	rules, err := h.zone(name)
	if err != nil {
		return Outcome{}, err
	}
	changed, err := h.put(zoneFile, rules, 0o644)
	if changed && err == nil {
		return Outcome{Did: []string{"time zone is now " + name}}, nil
	}
	return Outcome{}, err
}

// zone reads the rules of a time zone.
func (h *Host) zone(name string) ([]byte, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("timezone: %q is not a time zone", name)
	}
	text, err := os.ReadFile(h.Path(zoneDir, name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.HasPrefix(text, []byte("TZif")) {
		return nil, fmt.Errorf("timezone: there is no time zone %q", name)
	}
	if err != nil {
		return nil, fmt.Errorf("timezone: %w", err)
	}
	return text, nil
}
