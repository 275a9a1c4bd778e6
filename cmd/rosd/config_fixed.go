package main

import (
	"fmt"
	"maps"
	"strings"

	"github.com/rosteros/ros/config"
)

// fixedOptions warns of options of dockerd that the config has and that change
// nothing here, each by its key. Other keys without an effect are told to who
// writes them, and that is enough; of these somebody expects that data lie
// elsewhere, or that dockerd is another one, and may have said so in a config
// that nobody has validated.
func fixedOptions(cfg *config.Config) []string {
	d := cfg.Rancher.Docker
	said := map[string]bool{
		"graph":          d.Graph != "" && d.Graph != dataDir,
		"exec_root":      d.ExecRoot != "" && d.ExecRoot != "/run/docker",
		"config_file":    d.ConfigFile != "",
		"args":           len(d.Args) > 0,
		"userland_proxy": d.UserlandProxy != nil && *d.UserlandProxy,
	}
	maps.DeleteFunc(said, func(_ string, it bool) bool { return !it })
	if len(said) == 0 {
		return nil // all keys are many
	}
	var list []string
	for _, k := range config.Keys() {
		if name, ok := strings.CutPrefix(k.Name, "rancher.docker."); ok && said[name] {
			list = append(list, fmt.Sprintf("%s: %s: has no effect: %s", cfg.Origin(k.Name).Layer, k.Name, k.None))
		}
	}
	return list
}
