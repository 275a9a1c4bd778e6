package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

// notHere are the appliers that are rosd's, whose keys its own tests apply twice
// (cmd/rosd/appliers_test.go), and those that have no work when a key changes.
var notHere = map[string]bool{"services": true, "log": true, "power": true, "kernel": true, "use": true}

// TestTwiceIsOnce applies every example of a cloud-config twice, which together
// have every key: the second time nothing is done, nothing is restarted, and the
// files and the kernel are as they were. Then all of it is taken back, and that
// too is done once.
func TestTwiceIsOnce(t *testing.T) {
	needRoot(t)
	files, err := filepath.Glob("../../config/testdata/examples/*.yml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	applied := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, _ := config.Load(config.Layer{Name: "/var/lib/rancher/conf/cloud-config.yml", Data: text})
			m := wholeMachine(t)
			d := &apply.Driver{Host: m.Host, Appliers: apply.Appliers(), Bound: time.Minute}
			d.Apply(t.Context(), cfg)
			m.nothingNew(d, cfg)
			nothing, _ := config.Load()
			d.Apply(t.Context(), nothing)
			m.nothingNew(d, nothing)
			for _, key := range keysIn(t, text) {
				applied[key] = true
			}
		})
	}
	for _, k := range config.Keys() {
		if !k.Section && k.None == "" && k.Applier != "" && !notHere[k.Applier] && !applied[k.Name] {
			t.Errorf("%s is in no example", k.Name)
		}
	}
}

// nothingNew applies a config once more.
func (m *machine) nothingNew(d *apply.Driver, cfg *config.Config) {
	m.t.Helper()
	m.calls = nil
	before := m.files()
	for _, r := range d.Apply(m.t.Context(), cfg) {
		r.Outcome.Notes = nil // what is not as it seems is said each time
		if len(r.Outcome.Did)+len(r.Outcome.Restart)+len(r.Outcome.Reload) > 0 {
			m.t.Errorf("%s is done a second time: %+v", r.Applier, r.Outcome)
		}
	}
	for _, call := range m.calls {
		m.t.Errorf("a second time: %s", call)
	}
	if diff := cmp.Diff(before, m.files()); diff != "" {
		m.t.Errorf("files change the second time (-before +after):\n%s", diff)
	}
}

// files are all files of the machine: when each was changed, and its mode.
func (m *machine) files() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	err := filepath.Walk(m.Root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() && !strings.HasSuffix(path, ".lock") {
			all[strings.TrimPrefix(path, m.Root)] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

// wholeMachine has what all appliers look at.
func wholeMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.Consoles = []string{"ttyS0"}
	m.disk("vdb", "DATA")
	m.write("proc/sys/kernel/hostname", "(none)\n")
	m.write("proc/meminfo", "MemTotal: 3100 kB\n")
	for _, name := range []string{"vm/max_map_count", "vm/swappiness", "net/ipv4/ip_forward"} {
		m.write("proc/sys/"+name, "0\n")
	}
	m.write("usr/share/zoneinfo/Europe/Vienna", "TZif2")
	m.write("usr/share/ca-certificates/mozilla/A.crt", "built-in\n")
	m.write("etc/group", "root:x:0:\ndocker:x:1101:rancher\n")
	daemon, err := os.ReadFile("../../images/docker/rootfs/usr/share/ros-docker/daemon.json")
	if err != nil {
		t.Fatal(err)
	}
	m.write("usr/lib/ros/layers/docker/usr/share/ros-docker/daemon.json", string(daemon))
	for _, service := range []string{"console", "ssh", "cron"} {
		m.roots[service] = m.Path("roots", service)
		m.write("roots/"+service+"/etc/profile", "the image's\n")
	}
	return m
}

// keysIn are the keys of the schema that a cloud-config gives a value.
func keysIn(t *testing.T, text []byte) []string {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{} // also by their other names
	for _, k := range config.Keys() {
		known[k.Name] = k.Name
		for _, also := range k.Also {
			known[k.Name[:strings.LastIndex(k.Name, ".")+1]+also] = k.Name
		}
	}
	var found []string
	var walk func(path string, value any)
	walk = func(path string, value any) {
		found = append(found, path)
		switch v := value.(type) {
		case map[string]any:
			for name, entry := range v {
				next := strings.TrimPrefix(path+"."+name, ".")
				if name, ok := known[next]; ok {
					next = name
				} else {
					next = path + ".NAME"
				}
				walk(next, entry)
			}
		case []any:
			for _, entry := range v {
				if entry, ok := entry.(map[string]any); ok {
					walk(path+"[]", entry)
				}
			}
		}
	}
	walk("", doc)
	return found
}
