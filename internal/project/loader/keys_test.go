package loader_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/project/loader"
)

var update = flag.Bool("update", false, "write the table of docs/compose.md anew")

func TestMain(m *testing.M) {
	flag.Parse()
	logrus.SetOutput(io.Discard) // compose-go warns where we refuse
	os.Exit(m.Run())
}

// leaves are refused as a whole; what stands below them has no rows.
var leaves = []string{
	"jobs", "models",
	"services.NAME.build", "services.NAME.credential_spec", "services.NAME.develop", "services.NAME.models",
	"services.NAME.post_start", "services.NAME.pre_start", "services.NAME.pre_stop", "services.NAME.provider",
	"services.NAME.deploy.placement", "services.NAME.deploy.rollback_config", "services.NAME.deploy.update_config",
	"services.NAME.deploy.resources.reservations.generic_resources",
}

// remarks say more about a row. A key that is listed in withoutEffect may be
// there and changes nothing.
var remarks = map[string]string{
	"networks.NAME.attachable":            "in scope system no effect",
	"networks.NAME.labels":                "in scope system no effect",
	"services.NAME.dns":                   systemNetwork,
	"services.NAME.dns_opt":               systemNetwork,
	"services.NAME.dns_search":            systemNetwork,
	"services.NAME.expose":                "in scope system no effect: within a network every port can be reached",
	"services.NAME.extra_hosts":           systemNetwork,
	"services.NAME.links":                 "in scope system only with a network of its own: `networks`; services of the same file",
	"services.NAME.mac_address":           systemNetwork,
	"services.NAME.network_mode":          "in scope system `host`, `none` and `service:NAME`",
	"networks.NAME.enable_ipv6":           "in scope system `false`",
	"volumes.NAME.labels":                 "in scope system no effect",
	"services.NAME.volumes.volume.labels": "in scope system no effect",
	"services.NAME.networks":              "in scope system a service that names neither networks nor ports has the machine's network",
	"services.NAME.ports":                 "in scope system a port of the machine has to be given, IPv4 only",
	"version":                             "no effect, as with docker compose",
	"name":                                "of the project; without it, the name of the file or of its folder",
	"include":                             "read when the service is enabled; not in a file that came from an address",
	"services.NAME.attach":                "no effect: nobody is attached",
	"services.NAME.configs.gid":           "in scope user, as with docker compose, for content and environment; in scope system always",
	"services.NAME.configs.uid":           "as gid",
	"services.NAME.configs.mode":          "as gid",
	"services.NAME.read_only":             "in scope user, as with docker compose, not together with a config or secret that is no file",
	"services.NAME.secrets.gid":           "in scope user, as with docker compose, for environment; in scope system always",
	"services.NAME.secrets.uid":           "as gid",
	"services.NAME.secrets.mode":          "as gid",
	"services.NAME.container_name":        "in scope system it can only say what it is anyway, the name of the service",
	"services.NAME.logging.driver":        "in scope system `local` and `json-file`, which are the same there",
	"services.NAME.platform":              "in scope system that of the machine",
	"services.NAME.userns_mode":           "in scope system `host`",
	"services.NAME.volumes.bind.selinux":  "no effect: the machine has no SELinux",
	"services.NAME.volumes_from":          "in scope system of services of the same file",
	"services.NAME.volumes.volume.nocopy": "in scope system only `true`: a new volume is empty",
	"volumes.NAME.driver":                 "in scope system `local`",
	"volumes.NAME.driver_opts":            "in scope system only `{type: none, o: bind, device: /PATH}`",
	"services.NAME.deploy.mode":           "`replicated`",
	"services.NAME.deploy.replicas":       "1",
	"services.NAME.env_file":              "read when the service is enabled",
	"services.NAME.extends.file":          "read when the service is enabled",
	"services.NAME.label_file":            "read when the service is enabled",
	"services.NAME.ports.app_protocol":    "no effect, as with docker compose",
	"services.NAME.ports.mode":            "no effect, as with docker compose",
	"services.NAME.ports.name":            "no effect, as with docker compose",
	"services.NAME.profiles":              "COMPOSE_PROFILES in `.env` or in rancher.environment switches them on",
	"services.NAME.pull_policy":           "counts when the service is enabled; nothing is pulled at boot",
	"services.NAME.restart":               "by rosd; the engine itself starts nothing",
	"services.NAME.scale":                 "1",
	"services.NAME.security_opt":          "`seccomp:FILE` is read when the service is enabled; not in a file that came from an address",
	"services.NAME.volumes.consistency":   "no effect, as with docker compose",
	"services.NAME.volumes.type":          "`bind`, `volume`, `tmpfs`, `image`",
	"configs.NAME.labels":                 "no effect, as with docker compose",
	"configs.NAME.name":                   "no effect, as with docker compose",
	"secrets.NAME.labels":                 "no effect, as with docker compose",
	"secrets.NAME.name":                   "no effect, as with docker compose",
	"networks.NAME.external.name":         "old form of `name`",
	"volumes.NAME.external.name":          "old form of `name`",
	"services.NAME.healthcheck":           "in scope user the engine probes and rosd reads the outcome",
}

const systemNetwork = "in scope system only with a network of its own: `networks` or `ports`"

var withoutEffect = []string{
	"version", "services.NAME.attach", "services.NAME.deploy.mode", "services.NAME.deploy.replicas", "services.NAME.scale",
	"services.NAME.ports.app_protocol", "services.NAME.ports.mode", "services.NAME.ports.name", "services.NAME.volumes.consistency",
	"configs.NAME.labels", "configs.NAME.name", "secrets.NAME.labels", "secrets.NAME.name",
	"include.project_directory",                                        // without a path there is a fault, and "." is where it would be anyway
	"services.NAME.env_file.required", "services.NAME.env_file.format", // the file is there, and simple
}

func TestEveryKeyOfComposeHasARow(t *testing.T) {
	keys, err := loader.Keys(leaves...)
	if err != nil {
		t.Fatal(err)
	}
	examples := examples(t)
	dir := folder(t)
	var rows []string
	for _, key := range keys {
		example, ok := lookup(examples, key)
		if !ok {
			t.Errorf("key %s of the Compose specification has no example in testdata/keys.yml", key)
			continue
		}
		system, user := inSystem(t, dir, key, example), inUser(t, dir, key, example)
		remark := remarks[key]
		if why := user.why; why != "" && remark == "" {
			remark = why
		} else if why := system.why; why != "" && remark == "" {
			remark = why
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", strings.ReplaceAll(key, ".NAME", ".*"), system.word, user.word, remark))
	}
	table := strings.Join(rows, "\n") + "\n"
	const path, begin, end = "../../../docs/compose.md", "<!-- table -->\n", "<!-- end of the table -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table", path)
	}
	want := head + begin + "\n| Key | system | user | Why refused, or what to know |\n|---|---|---|---|\n" + table + "\n" + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), want); diff != "" {
		t.Errorf("%s is not what happens (go test -update writes it; -file +happens):\n%s", path, diff)
	}
}

// outcome is what a key does in one scope.
type outcome struct{ word, why string }

// inUser loads an example for the engine, with the key and without it.
func inUser(t *testing.T, dir, key string, example []byte) outcome {
	t.Helper()
	result := load(dir, example)
	if len(result.Faults) > 0 {
		f := result.Faults[0]
		if !names(f.Key, key) {
			t.Errorf("%s in scope user: the fault does not name the key: %v", key, f)
		}
		return outcome{"refused", strings.TrimPrefix(f.Message, `is not supported in scope "user": `)}
	}
	if slices.Contains(withoutEffect, key) || strings.Count(key, ".") == 0 {
		return outcome{word: "works"}
	}
	other := load(dir, without(t, example, key))
	if cmp.Equal(result, other) {
		t.Errorf("%s in scope user: the example loads to the same without it:\n%s", key, example)
	}
	return outcome{word: "works"}
}

// inSystem reads an example for the system's containerd. A key is refused when a
// fault names it, or goes away with it.
func inSystem(t *testing.T, dir, key string, example []byte) outcome {
	t.Helper()
	read := func(text []byte) []compose.Fault {
		text = bytes.ReplaceAll(text, []byte("linux/amd64"), []byte("linux/"+runtime.GOARCH))
		env := map[string]string{"SET": "x"}
		_, faults := compose.ParseIn(filepath.Join(dir, "shop.yml"), scoped(t, text), compose.Setting{Env: env, Files: compose.FromDisk, Resolve: resolver(env, false)})
		return faults
	}
	faults := read(example)
	why := func(f compose.Fault) outcome {
		return outcome{"refused", strings.TrimPrefix(f.Message, `is not supported in scope "system": `)}
	}
	for _, f := range faults {
		if names(f.Key, key) {
			return why(f)
		}
	}
	if strings.HasPrefix(key, "volumes.NAME.") && len(faults) > 0 { // said where the volume is mounted
		return why(faults[0])
	}
	if strings.Count(key, ".") > 1 && len(faults) > 0 {
		if fewer := read(without(t, example, key)); len(fewer) < len(faults) {
			return why(faults[0])
		}
	}
	return outcome{word: "works"}
}

// names says whether a fault about one key refuses another: it is the same one
// or stands above it.
func names(fault, key string) bool {
	var parts []string
	for _, p := range strings.Split(fault, ".") {
		p, _, _ = strings.Cut(p, "[")
		parts = append(parts, p)
	}
	want := strings.Split(key, ".")
	if len(parts) > len(want) {
		return false
	}
	for i, p := range parts {
		if p != want[i] && want[i] != "NAME" {
			return false
		}
	}
	return len(parts) > 0 && parts[0] != ""
}

func load(dir string, text []byte) project.Result {
	result := loader.Load(context.Background(), project.Request{
		Path: filepath.Join(dir, "shop.yml"), Text: text, Dir: dir, Name: "shop", Env: map[string]string{"SET": "x"},
	})
	for i := range result.Services {
		result.Services[i].Line = 0
		for j := range result.Services[i].DependsOn {
			result.Services[i].DependsOn[j].Line = 0
		}
	}
	return result
}

// folder has the files that the examples name.
func folder(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"other.yml":  "services: {b: {image: \"test/${VALUE}\"}}",
		"base.yml":   "services: {base: {command: echo}, a: {image: x}}",
		"values.env": "VALUE=b\n",
		"labels.env": "L=b\n",
		"file":       "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func examples(t *testing.T) map[string]string {
	text, err := os.ReadFile("testdata/keys.yml")
	if err != nil {
		t.Fatal(err)
	}
	var list map[string]string
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// lookup is the example for a key, as a whole file.
func lookup(examples map[string]string, key string) ([]byte, bool) {
	if text, ok := examples[key]; ok {
		return whole(key, text), true
	}
	for _, suffix := range []string{".*", ""} {
		for at := key; strings.Contains(at, "."); {
			at = at[:strings.LastIndexByte(at, '.')]
			if text, ok := examples[at+suffix]; ok {
				return whole(at, text), true
			}
		}
	}
	return nil, false
}

func whole(key, text string) []byte {
	switch {
	case strings.Contains(text, "services:"):
		return []byte(text)
	case strings.HasPrefix(key, "services.NAME."):
		return []byte("services:\n  a:\n    image: test/a\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n")
	default:
		return []byte("services: {a: {image: test/a}}\n" + text)
	}
}

// scoped gives every service of a file to the system's containerd.
func scoped(t *testing.T, text []byte) []byte {
	doc := node(t, text)
	services := value(doc, "services")
	for i := 1; i < len(services.Content); i += 2 {
		ours := "{scope: system}"
		if value(services.Content[i], "privileged") != nil {
			ours = "{scope: system, privileged-reason: x}"
		}
		s := services.Content[i]
		s.Content = append(s.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "x-ros"}, node(t, []byte(ours)))
	}
	return written(t, doc)
}

// without takes a key out of a file.
func without(t *testing.T, text []byte, key string) []byte {
	doc := node(t, text)
	if !remove(doc, strings.Split(key, ".")) {
		t.Errorf("the example for %s does not have it:\n%s", key, text)
	}
	return written(t, doc)
}

func remove(n *yaml.Node, path []string) (found bool) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			found = remove(item, path) || found
		}
	case yaml.MappingNode:
		for i := len(n.Content) - 2; i >= 0; i -= 2 {
			switch {
			case n.Content[i].Value != path[0] && path[0] != "NAME":
			case len(path) == 1:
				n.Content = slices.Delete(n.Content, i, i+2)
				found = true
			default:
				found = remove(n.Content[i+1], path[1:]) || found
			}
		}
	}
	return found
}

func node(t *testing.T, text []byte) *yaml.Node {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return doc.Content[0]
}

func written(t *testing.T, doc *yaml.Node) []byte {
	out, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func value(m *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i+1]
		}
	}
	return nil
}
