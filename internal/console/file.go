package console

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/compose"
)

// volumes are those of os-services/console.yml, without its os-release, and ours.
var volumes = []string{
	"/run:/run:rshared",
	"/home:/home:rshared",
	"/opt:/opt:rshared",
	"/mnt:/mnt:rshared",
	"/media:/media:rshared",
	"/tmp:/tmp:rshared",
	"/var/log:/var/log",
	"/var/lib/rancher:/var/lib/rancher",
	"/usr/lib/modules:/usr/lib/modules:ro",
	"/usr/lib/ros/release.json:/usr/lib/ros/release.json:ro",
	Layers + ":" + Layers + ":ro",
	"/usr/bin/busybox:" + holder + ":ro",
}

// File is the service file of a console. Of what its own file says, as far as
// it has one, the variables, the volumes and whether it is persistent count;
// what makes it a console is the same for all.
func File(name, origin, image string, from compose.Service) []byte {
	binds := slices.Clone(volumes)
	for _, m := range from.Mounts {
		if m.Type == "tmpfs" || taken(binds, m.Target) {
			continue
		}
		access := "rw"
		if m.ReadOnly {
			access = "ro"
		}
		bind := m.Source + ":" + m.Target + ":" + access
		if m.Propagation != "" {
			bind += "," + m.Propagation
		}
		binds = append(binds, bind)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The console %s, as \"ros console\" has taken it in from\n# %s\n# Logins enter it; it does nothing by itself.\nservices:\n  %s:\n", name, origin, Service(name))
	line := func(key string, value any) { fmt.Fprintf(&b, "    %s: %s\n", key, word(value)) }
	line("image", image)
	line("entrypoint", []string{holder, "sleep", "infinity"})
	line("user", "0:0")
	line("working_dir", "/")
	if len(from.Env) > 0 {
		line("environment", from.Env)
	}
	line("privileged", true)
	line("security_opt", []string{"no-new-privileges:false"})
	line("pid", "host")
	line("ipc", "host")
	line("cgroup", "host")
	b.WriteString("    volumes:\n")
	for _, bind := range binds {
		fmt.Fprintf(&b, "      - %s\n", word(bind))
	}
	line("restart", "always")
	line("stop_grace_period", "2s")
	b.WriteString("    x-ros:\n      scope: system\n")
	fmt.Fprintf(&b, "      persistent: %t\n", from.Persistent)
	b.WriteString("      privileged-reason: operators administer the machine from here; sudo gives them all of it\n")
	return []byte(b.String())
}

// Ephemeral says whether the file of a console wants that nothing stays of what
// is written to its files. When it says nothing, all of it stays.
func Ephemeral(text []byte) bool {
	var file struct {
		Services map[string]struct {
			Ros struct {
				Persistent *bool `yaml:"persistent"`
			} `yaml:"x-ros"`
		} `yaml:"services"`
	}
	_ = yaml.Unmarshal(text, &file) // what is wrong with it says who reads all of it
	for _, s := range file.Services {
		if p := s.Ros.Persistent; p != nil {
			return !*p
		}
	}
	return false
}

func taken(binds []string, target string) bool {
	return slices.ContainsFunc(binds, func(b string) bool { return strings.Split(b, ":")[1] == target })
}

// word is a value for YAML, of which JSON is a part; a dollar sign would begin a
// variable.
func word(v any) string {
	text, _ := json.Marshal(v) // words, lists of words and truths
	return strings.ReplaceAll(string(text), "$", "$$")
}
