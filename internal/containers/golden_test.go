package containers_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/images"
)

var update = flag.Bool("update", false, "write testdata/spec anew")

// TestSpecOfEveryService pins the rights of the built-in services: a new
// capability, mount or device shows up in the diff of its file.
func TestSpecOfEveryService(t *testing.T) {
	const golden = "testdata/spec"
	services, faults := compose.LoadDir("../../os-services")
	for _, f := range faults {
		t.Error(f)
	}
	if len(services) == 0 {
		t.Fatal("no services in os-services")
	}
	recipes := readRecipes(t)
	want := map[string]bool{}
	for _, svc := range services {
		file := filepath.Join(golden, svc.Name+".json")
		want[file] = true
		t.Run(svc.Name, func(t *testing.T) {
			r, ok := recipes[svc.Image]
			if !ok {
				t.Fatalf("%s:%d: image %q is not in images/", svc.File, svc.Line, svc.Image)
			}
			spec, err := containers.Spec(svc, r.image(recipes), r.machine(recipes))
			if err != nil {
				t.Fatal(err)
			}
			got := reviewable(t, spec)
			if *update {
				write(t, file, got)
				return
			}
			pinned, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v (go test ./internal/containers -update writes it)", err)
			}
			if diff := cmp.Diff(string(pinned), string(got)); diff != "" {
				t.Errorf("the spec has changed; if that is meant, run go test ./internal/containers -update (-pinned +now):\n%s", diff)
			}
		})
	}
	files, _ := filepath.Glob(golden + "/*.json")
	for _, f := range files {
		if !want[f] {
			t.Errorf("%s belongs to no service in os-services", f)
		}
	}
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// reviewable is the spec as JSON with one line of seccomp instead of 900. The
// profile differs between architectures; what a service's capabilities add to
// it does not.
func reviewable(t *testing.T, spec *specs.Spec) []byte {
	t.Helper()
	profile := spec.Linux.Seccomp
	spec.Linux.Seccomp = nil
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	doc["linux"].(map[string]any)["seccomp"] = summary(t, spec, profile)
	return append(layOut(doc, ""), '\n')
}

// layOut writes JSON with each innermost list and object on one line, so that
// a mount or a device is one line of a diff.
func layOut(v any, indent string) []byte {
	flat, _ := json.Marshal(v)
	var items []string
	open, end := "{", "}"
	inner := indent + "  "
	nested := false
	note := func(key string, v any) {
		switch v.(type) {
		case map[string]any, []any:
			nested = true
		}
		items = append(items, "\n"+inner+key+string(layOut(v, inner)))
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			note(fmt.Sprintf("%q: ", k), v[k])
		}
		// A mount is an object with one list in it.
		nested = nested && v["destination"] == nil
	case []any:
		open, end = "[", "]"
		for _, e := range v {
			note("", e)
		}
	}
	if !nested {
		return flat
	}
	return []byte(open + strings.Join(items, ",") + "\n" + indent + end)
}

func summary(t *testing.T, spec *specs.Spec, profile *specs.LinuxSeccomp) string {
	if profile == nil {
		return "unconfined"
	}
	none := box("none")
	none.CapDrop = []string{"ALL"}
	base, err := containers.Spec(none, boxImage, noMachine)
	if err != nil {
		t.Fatal(err)
	}
	added := allowed(profile)
	for name := range allowed(base.Linux.Seccomp) {
		delete(added, name)
	}
	s := fmt.Sprintf("default profile (%s)", profile.DefaultAction)
	if len(added) > 0 {
		s += " and, by its capabilities, " + strings.Join(slices.Sorted(maps.Keys(added)), " ")
	}
	return s
}

func allowed(profile *specs.LinuxSeccomp) map[string]bool {
	names := map[string]bool{}
	for _, rule := range profile.Syscalls {
		if rule.Action == specs.ActAllow && len(rule.Args) == 0 {
			for _, n := range rule.Names {
				names[n] = true
			}
		}
	}
	return names
}

// recipe is what the spec of a service needs of images/<folder>/image.yml.
type recipe struct {
	Name       string
	From       string
	Entrypoint []string
	Cmd        []string
	Env        map[string]string
	User       string
	WorkDir    string `yaml:"workdir"`
	Users      []struct {
		Name     string
		UID, GID int
		Home     string
		Shell    string
	}
	Groups []struct {
		Name    string
		GID     int
		Members []string
	}
}

// readRecipes are all recipes, both by image name and by folder name.
func readRecipes(t *testing.T) map[string]recipe {
	t.Helper()
	recipes := map[string]recipe{}
	files, _ := filepath.Glob("../../images/*/image.yml")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var r recipe
		if err := yaml.Unmarshal(b, &r); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		recipes[r.Name] = r
		recipes[filepath.Base(filepath.Dir(f))] = r
	}
	return recipes
}

// chain is the recipe and those it is built on, the lowest first.
func (r recipe) chain(all map[string]recipe) []recipe {
	chain := []recipe{r}
	for chain[0].From != "" {
		chain = append([]recipe{all[chain[0].From]}, chain...)
	}
	return chain
}

func (r recipe) image(all map[string]recipe) images.Image {
	env := map[string]string{}
	for _, c := range r.chain(all) {
		maps.Copy(env, c.Env)
	}
	img := images.Image{Name: r.Name, Layers: []string{"layer"}}
	img.Config = images.Config{Entrypoint: r.Entrypoint, Cmd: r.Cmd, User: r.User, WorkingDir: r.WorkDir}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		img.Config.Env = append(img.Config.Env, k+"="+env[k])
	}
	return img
}

// machine has the users of the image, and every device as 240:0.
func (r recipe) machine(all map[string]recipe) containers.Machine {
	var passwd, group bytes.Buffer
	for _, c := range r.chain(all) {
		for _, u := range c.Users {
			fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:%s\n", u.Name, u.UID, u.GID, u.Home, u.Shell)
			fmt.Fprintf(&group, "%s:x:%d:\n", u.Name, u.GID)
		}
		for _, g := range c.Groups {
			fmt.Fprintf(&group, "%s:x:%d:%s\n", g.Name, g.GID, strings.Join(g.Members, ","))
		}
	}
	m := noMachine
	m.ReadFile = func(path string) ([]byte, error) {
		switch path {
		case "etc/passwd":
			return passwd.Bytes(), nil
		case "etc/group":
			return group.Bytes(), nil
		}
		return nil, fs.ErrNotExist
	}
	m.Devices = func(path string) ([]specs.LinuxDevice, error) {
		return []specs.LinuxDevice{{Path: path, Type: "c", Major: 240}}, nil
	}
	return m
}

// noMachine has no users and no devices.
var noMachine = containers.Machine{
	ReadFile:     func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	Devices:      func(string) ([]specs.LinuxDevice, error) { return nil, nil },
	VolumesDir:   "/var/lib/rancher/volumes",
	FilesDir:     "/run/files",
	CgroupParent: containers.CgroupParent,
}

var boxImage = images.Image{
	Name: "ros/box", Layers: []string{"base", "box"},
	Config: images.Config{Cmd: []string{"sleep", "1000"}, Env: []string{"FROM=image", "LANG=C"}},
}

func box(name string) compose.Service {
	return compose.Service{
		Name: name, File: "box.yml", Image: "ros/box", NetworkMode: "host",
		NoNewPrivileges: true, LogMaxBytes: 1 << 20, LogFiles: 3,
	}
}
