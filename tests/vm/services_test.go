//go:build vm

package vm

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/control"
)

// builtIn are the services that every machine has. A service may be made of
// several, so each is the beginning of a name.
var builtIn = []string{"acpid", "console", "cron", "docker", "logrotate", "network", "ntp", "ssh", "syslog", "udev"}

// services asks rosd.
func (g *guest) services(t *testing.T) (map[string]control.Service, error) {
	t.Helper()
	r := g.try(t, "ros service ps --json", nil)
	if r.Code != 0 {
		return nil, fmt.Errorf("ros service ps --json: exit code %d: %s", r.Code, r.Stderr)
	}
	var list []control.Service
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
		return nil, fmt.Errorf("ros service ps --json: %w in %s", err, r.Stdout)
	}
	all := map[string]control.Service{}
	for _, s := range list {
		all[s.Name] = s
	}
	return all, nil
}

func (g *guest) status(t *testing.T) control.Status {
	t.Helper()
	var s control.Status
	if err := json.Unmarshal([]byte(g.sh(t, "ros status --json")), &s); err != nil {
		t.Fatalf("ros status --json: %v", err)
	}
	return s
}

// unsettled says which services are not where they should be: one-shots done,
// the others running, and healthy if they have a health check. A service in
// except is left out.
func unsettled(all map[string]control.Service, except ...string) error {
	var wrong []string
	for _, name := range builtIn {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(n string) bool { return strings.HasPrefix(n, name) }) {
			wrong = append(wrong, name+" is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		good := s.State == control.Running || s.State == control.Healthy
		if s.OneShot {
			good = s.State == control.Done
		}
		if !good && !slices.Contains(except, name) {
			wrong = append(wrong, fmt.Sprintf("%s is %s %s%s", name, s.State, s.Reason, strings.Join(s.WaitingFor, ", ")))
		}
	}
	if wrong != nil {
		return fmt.Errorf("services: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// settle waits until every service is where it should be. It gives up as soon
// as one has failed, which is for good, and shows what the troubled ones said.
func (g *guest) settle(t *testing.T, except ...string) map[string]control.Service {
	t.Helper()
	ctx, cancel := g.within(bootPatience)
	defer cancel()
	for {
		all, err := g.services(t)
		if err == nil {
			err = unsettled(all, except...)
		}
		if err == nil {
			return all
		}
		given := slices.ContainsFunc(slices.Collect(maps.Values(all)), func(s control.Service) bool {
			return s.State == control.Failed && !slices.Contains(except, s.Name)
		})
		if !given {
			select {
			case <-g.Ended():
				t.Fatalf("the machine ended: %v", err)
			case <-ctx.Done():
				given = true
			case <-time.After(time.Second):
			}
		}
		if given {
			t.Fatalf("%v\n%s", err, g.try(t, `ros service ps; sudo sh -c "tail -n 12 /var/log/ros/*.log"`, nil).Stdout)
		}
	}
}

// process is one process of the guest.
type process struct {
	pid     int
	name    string
	cgroup  string // from the root of the hierarchy
	mounts  string // its mount namespace; "": it ended meanwhile
	cmdline string
}

// ourService stands for the service that our shell runs in, when a cgroup
// namespace hides its name.
const ourService = "(ours)"

const kernelThread = 0x200000 // PF_KTHREAD in the flags of /proc/PID/stat

var (
	statLine = regexp.MustCompile(`^(\d+) \((.*)\) \S \S+ \S+ \S+ \S+ \S+ (\d+) `)
	mntLink  = regexp.MustCompile(` (\d+)/ns/mnt -> (mnt:\S+)`)
)

// listProc prints what processes reads, with a handful of commands for all
// processes together: one for each of them takes a quarter of a minute.
const listProc = `sudo sh -c 'cd /proc
	cat [0-9]*/stat; echo ==
	grep -H . [0-9]*/cgroup; echo ==
	ls -l [0-9]*/ns/mnt; echo ==
	grep -aH . [0-9]*/cmdline | tr "\0" " "' 2>/dev/null; true`

// processes lists everything that runs on the machine, kernel threads left
// out, PID 1 first.
func (g *guest) processes(t *testing.T) []process {
	t.Helper()
	// Four, because our own command line is in the last part.
	parts := strings.SplitN(g.sh(t, listProc), "==\n", 4)
	if len(parts) != 4 {
		t.Fatalf("cannot read the list of processes: %d parts, want 4: %q", len(parts), parts)
	}
	mounts := map[string]string{}
	for _, m := range mntLink.FindAllStringSubmatch(parts[2], -1) {
		mounts[m[1]] = m[2]
	}
	cgroups, cmdlines := byPid(parts[1]), byPid(parts[3])
	var all []process
	for line := range strings.Lines(parts[0]) {
		stat := statLine.FindStringSubmatch(line)
		if stat == nil {
			t.Fatalf("not the stat of a process: %q", line)
		}
		flags, err := strconv.ParseUint(stat[3], 10, 64)
		cgroup, found := cgroups[stat[1]]
		if err != nil || flags&kernelThread != 0 || !found {
			continue
		}
		p := process{name: stat[2], cgroup: strings.TrimPrefix(cgroup, "0::"), mounts: mounts[stat[1]], cmdline: cmdlines[stat[1]]}
		p.pid, _ = strconv.Atoi(stat[1])
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b process) int { return a.pid - b.pid })
	if len(all) == 0 || all[0].pid != 1 || all[0].mounts == "" {
		t.Fatalf("the shell does not see all of PID 1, only %v", all)
	}
	// Inside a cgroup namespace paths begin at the namespace's root, which is the
	// service that the shell runs in, and lead out of it with /.. .
	switch up := strings.Count(all[0].cgroup, ".."); up {
	case 0:
	case 2:
		for i := range all {
			all[i].cgroup = path.Join("/services", ourService, all[i].cgroup)
		}
	default:
		t.Fatalf("PID 1 is in cgroup %s: the shell should be in /services/NAME", all[0].cgroup)
	}
	return all
}

// byPid takes lines like "12/cgroup:text" apart. Several for one process are
// joined: busybox's grep takes each argument of a command line for a line.
func byPid(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		pid, rest, _ := strings.Cut(line, "/")
		if _, value, ok := strings.Cut(rest, ":"); ok {
			all[pid] = strings.TrimSpace(all[pid] + " " + strings.TrimSpace(value))
		}
	}
	return all
}

// ofRole picks the processes of a program in a cgroup.
func ofRole(all []process, cgroup, name string) []process {
	return slices.DeleteFunc(slices.Clone(all), func(p process) bool { return p.cgroup != cgroup || p.name != name })
}

// inCgroup says whether a cgroup is another one or below it.
func inCgroup(cgroup, of string) bool { return cgroup == of || strings.HasPrefix(cgroup, of+"/") }

// checkContainment is what `ps` on the host must look like: PID 1, containerd,
// rosd, shims, and nothing else outside of the services' cgroups and of
// Docker's.
func checkContainment(t *testing.T, g *guest) {
	all := g.processes(t)
	services, err := g.services(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		top, rest, _ := strings.Cut(strings.TrimPrefix(p.cgroup, "/"), "/")
		service, _, _ := strings.Cut(rest, "/")
		fine := false
		switch top {
		case "init":
			fine = p.pid == 1
		case "containerd":
			fine = p.name == "containerd"
		case "rosd":
			fine = p.name == "rosd"
		case "shims":
			// A shim, or for a moment the runtime and the log hand-over it starts.
			fine = strings.HasPrefix(p.name, "containerd-shim") || p.name == "crun" || p.name == "init"
		case "services":
			_, known := services[service]
			fine = known || service == ourService
		case "docker", "docker-shims":
			fine = true
		}
		if !fine {
			t.Errorf("process %d (%s: %s) is in cgroup %s: outside of every service", p.pid, p.name, p.cmdline, p.cgroup)
		}
	}
	for _, s := range services {
		if s.Pid == 0 {
			continue
		}
		at := slices.IndexFunc(all, func(p process) bool { return p.pid == s.Pid })
		if at < 0 {
			t.Errorf("service %s says its pid is %d: there is no such process", s.Name, s.Pid)
			continue
		}
		p := all[at]
		if own := "/services/" + s.Name; !inCgroup(p.cgroup, own) && !inCgroup(p.cgroup, "/services/"+ourService) {
			t.Errorf("service %s: its process %d is in cgroup %s, want %s", s.Name, s.Pid, p.cgroup, own)
		}
		if p.mounts == "" || p.mounts == all[0].mounts {
			t.Errorf("service %s: its process %d has the mount namespace %s of PID 1", s.Name, s.Pid, p.mounts)
		}
	}
	if n := len(ofRole(all, "/containerd", "containerd")); n != 1 {
		t.Errorf("%d processes containerd in /containerd, want 1", n)
	}
	if n := len(ofRole(all, "/rosd", "rosd")); n != 1 {
		t.Errorf("%d processes rosd in /rosd, want 1", n)
	}
}

// checkShell is what an operator finds after ssh.
func checkShell(t *testing.T, g *guest) {
	if who := g.sh(t, "id -un"); who != "rancher" {
		t.Errorf("id -un = %q, want rancher", who)
	}
	if root := g.sh(t, "sudo -n id -u"); root != "0" {
		t.Errorf("sudo -n id -u = %q, want 0", root)
	}
	g.sh(t, "docker version && ros os version && ps")
	// Completion needs /dev/fd; the PATH is that of a login, with sbin.
	g.prints(t, map[string]string{
		`bash -ic 'COMP_WORDS=(ros serv); COMP_CWORD=1; _ros; echo $COMPREPLY' 2>/dev/null`: "service",
		"command -v poweroff clear": "/usr/sbin/poweroff\n/usr/bin/clear",
		// Compared within the machine: whoever asks is told of the release that runs.
		`[ "$(. /etc/os-release; echo "$PRETTY_NAME")" = "Roster $(ros os version)" ] && docker info --format '{{.OperatingSystem}}' | sed "s/$(ros os version)/VERSION/"`: "Roster VERSION (containerized)", // as dockerd says of itself
	})
	if s := g.status(t); s.Hostname != "tested" || s.Arch != g.lab.arch {
		t.Errorf("ros status: hostname %q on %q, want \"tested\" on %q", s.Hostname, s.Arch, g.lab.arch)
	}
}
