package apply

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
)

// environmentFile is for login shells to read.
const environmentFile = "run/ros/login/environment"

// Environment gives login shells rancher.environment and the proxies. What
// services get is Variables, for whoever reads service files.
func Environment(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	variables := Variables(cfg)
	if len(variables) == 0 {
		removed, err := h.remove(environmentFile)
		if removed {
			return Outcome{Did: []string{"no variables of the config for logins any more"}}, err
		}
		return Outcome{}, err
	}
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if isVariable(name) { // others only fill ${NAME} in service files
			fmt.Fprintf(&b, "export %s=%s\n", name, quote(variables[name]))
		}
	}
	changed, err := h.put(environmentFile, b.Bytes(), 0o644)
	if changed && err == nil {
		return Outcome{Did: []string{"variables of logins are new"}}, nil
	}
	return Outcome{}, err
}

// Variables are those that fill ${NAME} in service files and entries of their
// environment without a value: rancher.environment and, below it, the proxies.
func Variables(cfg *config.Config) map[string]string {
	variables := proxies(cfg.Rancher.Network)
	maps.Copy(variables, cfg.Rancher.Environment)
	return variables
}

// proxies are variables that programs look at, in both of their spellings.
func proxies(n config.Network) map[string]string {
	variables := map[string]string{}
	for name, value := range map[string]string{
		"http_proxy": n.HTTPProxy, "https_proxy": n.HTTPSProxy, "no_proxy": n.NoProxy,
	} {
		if value != "" {
			variables[name] = value
			variables[strings.ToUpper(name)] = value
		}
	}
	return variables
}

// isVariable says whether a shell takes it as a name.
func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
