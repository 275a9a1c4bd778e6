package apply_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

const (
	bootDir  = "run/ros/config/console/boot.d"
	userData = "/var/lib/rancher/conf/datasource/30-user-data-00.yml"
)

// bootFiles are the names of what the console runs, without their hashes.
func (b *box) bootFiles() (names []string) {
	b.t.Helper()
	files, err := os.ReadDir(b.Path(bootDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name()[:len(f.Name())-len("-000000000000")])
	}
	return names
}

// bootFile is the one file of that name.
func (b *box) bootFile(name string) string {
	b.t.Helper()
	found, err := filepath.Glob(b.Path(bootDir, name+"-????????????"))
	if err != nil || len(found) != 1 {
		b.t.Fatalf("%s: %q, %v", name, found, err)
	}
	return found[0]
}

func TestBoot(t *testing.T) {
	m := newMachine(t)
	m.write("usr/lib/ros/release.json", `{"version": "1.0"}`)
	m.fail["run false"] = errors.New("false: exit status 1")
	cfg := load(t, `
bootcmd:
- echo one
- [false, a b]
runcmd:
- echo "it's"; exit 3
- [printf, "%s\n", "two words", "it's"]
final_message: up after $uptime s, $VERSION, "$HOME"
power_state: {mode: poweroff, delay: "+2", condition: test -e /mnt}
`)
	m.expect(apply.Boot, cfg, did("ran 2 commands of bootcmd"), "bootcmd: command 2: false: exit status 1")
	m.called("run /usr/bin/busybox sh -c echo one", "run false a b")
	if diff := cmp.Diff([]string{"50-runcmd", "90-final-message", "99-power-state"}, m.bootFiles()); diff != "" {
		t.Errorf("the console runs (-want +got):\n%s", diff)
	}

	out, err := exec.Command(m.bootFile("50-runcmd")).CombinedOutput()
	want := "it's\nruncmd: command 1: exit status 3\ntwo words\nit's\n"
	if string(out) != want || err != nil {
		t.Errorf("runcmd prints %q, %v; want %q", out, err, want)
	}
	read := func(name string) string {
		text, err := os.ReadFile(m.bootFile(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if diff := cmp.Diff(`#!/bin/sh
# final_message, written by rosd.
text='up after '"$(cut -d ' ' -f 1 /proc/uptime)"' s, ''1.0'', "$HOME"'
printf '%s\n' "$text"
printf '\n%s\n' "$text" >/dev/console
`, read("90-final-message")); diff != "" {
		t.Errorf("final_message (-want +got):\n%s", diff)
	}
	power := read("99-power-state")
	id := power[len(power)-len("000000000000 >/var/lib/rancher/conf/power_state.done && sync && exec poweroff\n"):][:12]
	if diff := cmp.Diff(`#!/bin/sh
# power_state, written by rosd. The stamp keeps it from being done at every boot.
set -u
'sh' '-c' 'test -e /mnt' || exit 0
printf '\n%s\n' 'power_state: poweroff' | tee /dev/console
sleep 120
echo `+id+` >/var/lib/rancher/conf/power_state.done && sync && exec poweroff
`, power); diff != "" {
		t.Errorf("power_state (-want +got):\n%s", diff)
	}

	// What is changed by hand is for the next boot. There power_state is done.
	cfg.RunCmd = cfg.RunCmd[:1]
	cfg.BootCmd = cfg.BootCmd[:1]
	before := m.bootFile("50-runcmd")
	m.expect(apply.Boot, cfg, apply.Outcome{}, "")
	if m.bootFile("50-runcmd") != before {
		t.Error("runcmd has changed in this boot")
	}
	m.reboot()
	m.write("var/lib/rancher/conf/power_state.done", id+"\n")
	m.write("var/lib/rancher/conf/datasource/source.json", `{"source": "ec2", "instance_id": "i-1"}`)
	m.expect(apply.Boot, cfg, did("ran 1 commands of bootcmd"), "")
	if diff := cmp.Diff([]string{"50-runcmd", "90-final-message"}, m.bootFiles()); diff != "" {
		t.Errorf("the console runs after a reboot (-want +got):\n%s", diff)
	}
	m.reboot()
	m.expect(apply.Boot, config.Config{}, apply.Outcome{}, "")
	if files := m.bootFiles(); files != nil {
		t.Errorf("the console runs %q", files)
	}
}

// TestBootcmdMakesWhatIsMounted: it runs before anything is mounted, and after
// the modules that it may need.
func TestBootcmdMakesWhatIsMounted(t *testing.T) {
	m := newMachine(t)
	d := &apply.Driver{Host: m.Host, Appliers: apply.Appliers(), Bound: time.Minute}
	d.Apply(t.Context(), new(load(t, `
bootcmd: [[serve]]
mounts: [[made, /mnt/made, tmpfs]]
rancher: {modules: [needed]}
`)))
	var order []string
	for _, call := range m.calls {
		switch word, _, _ := strings.Cut(call, " "); word {
		case "load", "run", "mount":
			order = append(order, word)
		}
	}
	if diff := cmp.Diff([]string{"load", "run", "mount"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s\n%q", diff, m.calls)
	}
}

// TestPowerStateRuns lets the script run, with programs that only say what they
// would do.
func TestPowerStateRuns(t *testing.T) {
	programs := t.TempDir()
	for _, name := range []string{"reboot", "poweroff", "halt", "sleep", "sync"} {
		if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\necho \""+name+"${*:+ $*}\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, power, want string }{
		{"as told", "{mode: halt, delay: +1, message: \"it's over\"}", "it's over\nsleep 60\nsync\nhalt"},
		{"no message", "{mode: poweroff, condition: [test, 1, -lt, 2]}", "power_state: poweroff\nsync\npoweroff"},
		{"condition that holds not", "{mode: poweroff, condition: test 1 -gt 2}", ""},
		{"never", "{mode: poweroff, condition: false}", ""},
		{"always", "{mode: poweroff, condition: true}", "power_state: poweroff\nsync\npoweroff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.expect(apply.Boot, load(t, "power_state: "+tt.power), apply.Outcome{}, "")
			text, err := os.ReadFile(m.bootFile("99-power-state"))
			if err != nil {
				t.Fatal(err)
			}
			here := strings.NewReplacer("/dev/console", m.Path("console"), ">/var/", ">"+m.Path("var")+"/").Replace(string(text))
			if err := os.MkdirAll(m.Path("var/lib/rancher/conf"), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", here)
			cmd.Env = []string{"PATH=" + programs + ":/usr/bin:/bin"}
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); got != tt.want || err != nil {
				t.Errorf("it says %q, %v; want %q", got, err, tt.want)
			}
			if done := m.read("var/lib/rancher/conf/power_state.done") != "(none)"; done != (tt.want != "") {
				t.Errorf("it is remembered as done: %v", done)
			}
		})
	}
}

// reboot empties /run.
func (b *box) reboot() {
	b.t.Helper()
	if err := os.RemoveAll(b.Path("run")); err != nil {
		b.t.Fatal(err)
	}
}

func TestBootFromDatasource(t *testing.T) {
	m := newMachine(t)
	m.expect(apply.Boot, config.Config{}, apply.Outcome{}, "")
	m.write("var/lib/rancher/conf/datasource/script-00", "#!/bin/sh\necho first\n")
	m.write("var/lib/rancher/conf/datasource/source.json", `{"source": "ec2", "instance_id": "i-1"}`)
	text := "bootcmd: [boot]\nruncmd: [run]\nfinal_message: from $datasource\npower_state: {mode: reboot}\n"
	told := apply.Outcome{
		Did:    []string{"ran 1 commands of bootcmd", "the console runs what the datasource says"},
		Reload: []string{"console"},
	}
	m.expect(apply.Boot, loadFrom(t, userData, text), told, "")
	m.called("run /usr/bin/busybox sh -c boot")
	if diff := cmp.Diff([]string{"50-runcmd", "60-script-00", "90-final-message", "99-power-state"}, m.bootFiles()); diff != "" {
		t.Errorf("the console runs (-want +got):\n%s", diff)
	}
	if link, err := os.Readlink(m.bootFile("60-script-00")); link != userData[:len(userData)-len("30-user-data-00.yml")]+"script-00" {
		t.Errorf("the script is %q, %v", link, err)
	}
	m.write("var/lib/rancher/conf/datasource/script-00", "#!/bin/sh\necho second\n")
	m.expect(apply.Boot, loadFrom(t, userData, text+"hostname: x\n"), apply.Outcome{
		Did:    []string{"the console runs what the datasource says"},
		Reload: []string{"console"},
	}, "")
	if !slices.Contains(m.bootFiles(), "60-script-00") {
		t.Errorf("the console runs %q", m.bootFiles())
	}
}

func TestBootFaults(t *testing.T) {
	m := newMachine(t)
	m.disk("vda", "")
	m.expect(apply.Boot, config.Config{
		PowerState: config.Power{Mode: "sleep"},
		Growpart:   config.Growpart{Devices: []string{"LABEL=NONE"}},
		Rancher:    config.Rancher{ResizeDevice: "/dev/none"},
	}, apply.Outcome{}, `growpart: cannot find device "LABEL=NONE": no such device
rancher.resize_device: cannot find device "/dev/none": no such device
power_state: mode "sleep" is none of reboot, poweroff, halt`)
	m.reboot()
	m.expect(apply.Boot, config.Config{PowerState: config.Power{Mode: "halt", Delay: "later"}},
		apply.Outcome{}, `power_state: delay "later" is neither now nor +minutes`)
}

// TestBootKillsNothing: nobody waits for a program longer than there is time,
// but it comes to its end. Half a resize2fs would be worse than none.
func TestBootKillsNothing(t *testing.T) {
	m := newMachine(t)
	m.disk("vdb", "DATA")
	m.write("sys/devices/vdb/size", "16384\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := load(t, "bootcmd: [echo one]\ngrowpart: {devices: [LABEL=DATA]}\n")
	if _, err := apply.Boot(ctx, m.Host, &cfg); err != nil {
		t.Fatal(err)
	}
	m.called("run /usr/bin/busybox sh -c echo one", "run /usr/sbin/e2fsck -f -p /dev/vdb", "run /usr/sbin/resize2fs /dev/vdb")
	if m.ended {
		t.Error("a program is killed when its time is over")
	}
}

// TestGrow has file systems that are smaller than what they are on.
func TestGrow(t *testing.T) {
	m := newMachine(t)
	m.disk("vdb", "DATA")
	m.disk("vdc", "MOUNTED")
	for _, disk := range []string{"vdb", "vdc"} {
		m.write("sys/devices/"+disk+"/size", "16384\n")
	}
	m.write("proc/self/mountinfo", m.read("proc/self/mountinfo")+"30 20 254:32 / /mnt rw - ext4 "+m.Path("dev/vdc")+" rw\n")
	cfg := config.Config{
		Growpart: config.Growpart{Mode: "auto", Devices: []string{"/", "LABEL=DATA"}},
		Rancher:  config.Rancher{ResizeDevice: m.Path("dev/vdc")},
	}
	m.expect(apply.Boot, cfg, did("grew "+m.Path("dev/vdb")+" to 8 MiB", "grew "+m.Path("dev/vdc")+" to 8 MiB"), "")
	m.called("run /usr/sbin/e2fsck -f -p /dev/vdb", "run /usr/sbin/resize2fs /dev/vdb", "run /usr/sbin/resize2fs /dev/vdc")
	m.want(map[string]string{"var/lib/rancher/resizefs.done": m.Path("dev/vdc") + "\n"})
	m.reboot()
	cfg.Growpart.Mode = "off"
	m.expect(apply.Boot, cfg, apply.Outcome{}, "") // once for good
	m.called()
}
