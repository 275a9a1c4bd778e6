package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/cmdline"
)

// What the service docker reads when it starts. daemon.json also at a SIGHUP.
const (
	dockerDir     = "run/ros/config/docker"
	dockerOptions = dockerDir + "/daemon.json"
	dockerArgs    = dockerDir + "/args"        // one a line
	dockerEnv     = dockerDir + "/environment" // NAME=value, one a line
	dockerRefused = dockerDir + "/refused"     // the service writes there why dockerd takes none of it
	// dockerImage is where the image of the service is.
	dockerImage   = "usr/lib/ros/layers/docker"
	builtInDocker = "/usr/share/ros-docker/daemon.json"
)

// dockerReloads are the options that dockerd takes in without a restart.
var dockerReloads = []string{"debug", "insecure-registries", "live-restore", "registry-mirrors"}

// hidingRuntime makes containers that do not see the kernel command line. It is
// a script around crun, which costs every start a little, so it is taken only
// where there is something to hide: where PID 1 has written cmdline.VisibleFile.
const hidingRuntime = "/usr/lib/ros-docker/crun-hiding"

func (d *dockerd) runtime() {
	if _, err := os.Stat(d.h.Path(cmdline.VisibleFile)); err != nil {
		return
	}
	runtimes, _ := d.options["runtimes"].(map[string]any)
	changed := map[string]any{}
	for name, runtime := range runtimes {
		runtime, _ := runtime.(map[string]any)
		options, _ := runtime["options"].(map[string]any)
		runtime, options = maps.Clone(runtime), maps.Clone(options)
		if options != nil {
			options["BinaryName"] = hidingRuntime
			runtime["options"] = options
		}
		changed[name] = runtime
	}
	d.options["runtimes"] = changed
}

// Docker gives dockerd its options: the built-in ones, and over them what the
// config says. Containers go on while dockerd restarts, unless live_restore is
// off.
func Docker(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	options := builtInDocker
	if h.DockerOptions != nil {
		options = h.DockerOptions()
	}
	builtIn := h.text(dockerImage + options)
	d := &dockerd{h: h, c: cfg.Rancher.Docker, options: map[string]any{}}
	if err := json.Unmarshal(builtIn, &d.options); err != nil {
		return Outcome{}, fmt.Errorf("rancher.docker: cannot read the built-in options of dockerd: %w", err)
	}
	before := maps.Clone(d.options)
	d.plain()
	d.network()
	d.logs()
	d.storage()
	d.group()
	d.users()
	d.listen()
	d.runtime()
	d.arguments()
	text := builtIn
	if !reflect.DeepEqual(before, d.options) {
		var err error
		text, err = json.MarshalIndent(d.options, "", "  ")
		d.failed(err)
	}
	d.write(text, cfg.Rancher.Network)
	return d.outcome, errors.Join(d.errs...)
}

// dockerd does the work of Docker.
type dockerd struct {
	h       *Host
	c       config.Docker
	options map[string]any // daemon.json
	args    []string
	renewed bool // certificates
	outcome Outcome
	errs    []error
}

func (d *dockerd) failed(err error) {
	if err != nil {
		d.errs = append(d.errs, err)
	}
}

func (d *dockerd) wrong(key, format string, args ...any) {
	d.failed(fmt.Errorf("rancher.docker."+key+": "+format, args...))
}

// plain are the options that dockerd knows by other names only.
func (d *dockerd) plain() {
	d.options["debug"] = d.c.Debug
	d.options["live-restore"] = d.c.LiveRestore
	d.options["insecure-registries"] = list(d.c.InsecureReg)
	d.options["registry-mirrors"] = list(d.c.RegistryMirror)
	if d.c.UserlandProxy != nil && *d.c.UserlandProxy {
		d.outcome.Notes = append(d.outcome.Notes, "docker has no proxy for published ports here: the firewall forwards them")
	}
}

// list is a list as JSON reads it.
func list(words []string) []any {
	all := []any{}
	for _, word := range words {
		all = append(all, word)
	}
	return all
}

// usualAddress is the one that dockerd chooses for docker0.
const usualAddress = "172.17.0.1/16"

// hadAddress says whether dockerd has been told an address of docker0 in this
// boot. It keeps what it was told last, in its data too, until it is told
// another one.
func (d *dockerd) hadAddress() bool {
	var given struct{ BIP string }
	return json.Unmarshal(d.h.text(dockerOptions), &given) == nil && given.BIP != ""
}

func (d *dockerd) network() {
	switch {
	case d.c.Bridge != "" && d.c.BIP != "":
		d.wrong("bip", "docker0 has no address when bridge is set: %s", d.c.Bridge)
	case d.c.BIP != "":
		d.options["bip"] = d.c.BIP
	case d.c.Bridge == "" && d.hadAddress():
		d.options["bip"] = usualAddress
	}
	if d.c.Bridge != "" {
		d.options["bridge"] = d.c.Bridge
	}
	// https://docs.docker.com/engine/daemon/live-restore/: containers that live on
	// keep the bridge they are attached to.
	if (d.options["bridge"] != nil || d.options["bip"] != nil) && d.c.LiveRestore {
		d.outcome.Notes = append(d.outcome.Notes, "containers that run keep docker0 as it is: bip and bridge take effect when docker starts and none runs")
	}
}

// logs replaces the built-in limits when another driver is wanted, which would
// not know them.
func (d *dockerd) logs() {
	options, _ := d.options["log-opts"].(map[string]any)
	options = maps.Clone(options)
	if d.c.LogDriver != "" && d.c.LogDriver != d.options["log-driver"] {
		d.options["log-driver"] = d.c.LogDriver
		options = nil
	}
	if options == nil {
		options = map[string]any{}
	}
	for key, value := range d.c.LogOpts {
		options[key] = value
	}
	d.options["log-opts"] = options
}

// goneDrivers were storage drivers when RancherOS was young.
var goneDrivers = []string{"aufs", "devicemapper", "overlay"}

func (d *dockerd) storage() {
	switch driver := d.c.StorageDriver; {
	case driver == "":
	case slices.Contains(goneDrivers, driver):
		d.wrong("storage_driver", "docker has no %s any more; overlay2 and overlayfs are there", driver)
	default:
		d.options["storage-driver"] = driver
		if driver == "overlay2" { // else an engine before 29 takes it for one of containerd's
			delete(d.options, "features")
		}
	}
}

// group is by its number if only logins know it: dockerd reads the machine's
// table.
func (d *dockerd) group() {
	name := d.c.Group
	if name == "" || tableField(d.h.text("etc/group"), name, 2) != "" {
		if name != "" {
			d.options["group"] = name
		}
		return
	}
	if number := tableField(d.h.text(groupFile), name, 2); number != "" {
		d.options["group"] = number
		return
	}
	d.wrong("group", "there is no group %s", name)
}

// tableField is a field of the line of name in a table such as /etc/group.
func tableField(table []byte, name string, field int) string {
	for line := range strings.Lines(string(table)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); fields[0] == name && len(fields) > field {
			return fields[field]
		}
	}
	return ""
}

// Users of containers with userns_enabled are these on the machine.
const (
	remapUser  = "dockremap"
	remapFirst = 165536
	remapCount = 65536
)

// users sees to it that dockerd finds the account and the numbers it needs.
func (d *dockerd) users() {
	if d.c.UsernsEnabled == nil || !*d.c.UsernsEnabled {
		return
	}
	for file, line := range map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%d:Users of containers:/nonexistent:/usr/sbin/nologin", remapUser, remapFirst, remapFirst),
		"group":  fmt.Sprintf("%s:x:%d:", remapUser, remapFirst),
		"subuid": fmt.Sprintf("%s:%d:%d", remapUser, remapFirst, remapCount),
		"subgid": fmt.Sprintf("%s:%d:%d", remapUser, remapFirst, remapCount),
	} {
		path := "etc/" + file
		table := d.h.text(path)
		if tableField(table, remapUser, 1) != "" {
			continue
		}
		if _, err := d.h.put(path, append(table, line+"\n"...), 0o644); err != nil {
			d.wrong("userns_enabled", "%w", err)
			return
		}
	}
	d.options["userns-remap"] = remapUser
}

// dockerFlags are flags whose name is not the one in daemon.json. dockerd does
// not start when it is told something in both ways.
var dockerFlags = map[string]string{
	"b": "bridge", "D": "debug", "G": "group", "l": "log-level", "s": "storage-driver",
	"insecure-registry": "insecure-registries", "registry-mirror": "registry-mirrors",
	"log-opt": "log-opts", "exec-opt": "exec-opts", "label": "labels", "storage-opt": "storage-opts",
}

// fixedFlags would lead dockerd away from what the rest of the machine relies on.
var fixedFlags = []string{"config-file", "containerd", "data-root", "exec-root", "pidfile", "p", "cgroup-parent"}

// arguments are extra_args and tls_args, without those that are fixed. What
// they say daemon.json must not say too.
func (d *dockerd) arguments() {
	words := d.args
	d.args = nil
	for i := 0; i < len(words); i++ {
		name, value, own := flagName(words[i])
		takesNext := !own && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-")
		switch {
		case name == "":
			d.args = append(d.args, words[i])
		case slices.Contains(fixedFlags, name):
			d.wrong("extra_args", "%s is fixed", strings.TrimSuffix(words[i], "="+value))
			if takesNext {
				i++
			}
		default:
			if key, ok := dockerFlags[name]; ok {
				name = key
			}
			delete(d.options, name)
			d.args = append(d.args, words[i])
		}
	}
}

// flagName takes --name=value apart. A word that is no flag has no name.
func flagName(word string) (name, value string, own bool) {
	name, value, own = strings.Cut(word, "=")
	switch trimmed := strings.TrimLeft(name, "-"); {
	case strings.HasPrefix(name, "--"), len(name) == 2 && name[0] == '-':
		return trimmed, value, own
	case len(name) > 2 && name[0] == '-': // -Htcp://…
		return name[1:2], word[2:], true
	}
	return "", "", false
}

// write puts the files where the service finds them, and finds out what has to
// be done for dockerd to take them in.
func (d *dockerd) write(text []byte, network config.Network) {
	first := !d.h.present(dockerOptions)
	old := map[string]any{}
	if !first {
		d.failed(json.Unmarshal(d.h.text(dockerOptions), &old))
	}
	var environment bytes.Buffer
	variables := proxies(network)
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		environment.WriteString(name + "=" + variables[name] + "\n")
	}
	environment.Write(lines(d.c.Environment))
	changed := changedKeys(old, text)
	restart := d.renewed || d.h.present(dockerRefused)
	for _, file := range []struct {
		path, what string
		text       []byte
	}{{dockerArgs, "arguments", lines(d.args)}, {dockerEnv, "environment", environment.Bytes()}} {
		if d.putOrRemove(file.path, file.text) {
			changed = append(changed, file.what)
			restart = true
		}
	}
	if d.renewed {
		changed = append(changed, "certificates")
	}
	_, err := d.h.put(dockerOptions, text, 0o600)
	d.failed(err)
	switch why := d.h.line(dockerRefused); {
	case first:
		return
	case len(changed) == 0 && why != "":
		d.failed(fmt.Errorf("rancher.docker: docker runs with the built-in options, dockerd does not take these: %s", why))
		return
	case len(changed) == 0:
		return
	}
	d.outcome.Did = append(d.outcome.Did, "options of dockerd are new: "+strings.Join(changed, ", "))
	if slices.Contains(changed, "userns-remap") {
		d.outcome.Notes = append(d.outcome.Notes, "docker keeps images and containers apart with and without userns_enabled: those of before are not seen now")
	}
	if restart || slices.ContainsFunc(changed, func(key string) bool { return !slices.Contains(dockerReloads, key) }) {
		d.outcome.Restart = append(d.outcome.Restart, "docker")
	} else {
		d.outcome.Reload = append(d.outcome.Reload, "docker")
	}
}

// putOrRemove writes a file for root's eyes, and none for no text.
func (d *dockerd) putOrRemove(path string, text []byte) (changed bool) {
	var err error
	if len(text) == 0 {
		changed, err = d.h.remove(path)
	} else {
		changed, err = d.h.put(path, text, 0o600)
	}
	d.failed(err)
	return changed
}

// changedKeys are the options in which two versions of daemon.json differ.
func changedKeys(old map[string]any, text []byte) []string {
	now := map[string]any{}
	if json.Unmarshal(text, &now) != nil {
		return nil
	}
	var changed []string
	for key := range now {
		if !reflect.DeepEqual(old[key], now[key]) {
			changed = append(changed, key)
		}
	}
	for key := range old {
		if _, ok := now[key]; !ok {
			changed = append(changed, key)
		}
	}
	slices.Sort(changed)
	return changed
}
