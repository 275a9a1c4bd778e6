package apply

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/config"
)

// What is run once in a boot.
//
// The console runs every executable file of bootDir, one after the other in the
// order of their names, in the background and as root. Of each name it keeps
// below /run/ros that it has been run, so one that is restarted runs nothing
// twice. At a SIGHUP it looks again: a datasource may have answered late. What
// is new has a new name, the hash at its end.
const (
	bootDir       = "run/ros/config/console/boot.d"
	datasourceDir = "var/lib/rancher/conf/datasource"
	powerStamp    = "var/lib/rancher/conf/power_state.done" // what power_state has done already
)

// booted is what Boot remembers of this boot.
type booted struct {
	Bootcmd string   // sum of the bootcmd that has been run
	Grown   []string // devices of growpart that have been looked at
}

// Boot prepares what is done once in a boot: growing partitions, bootcmd,
// runcmd and the scripts of a datasource, final_message and power_state. A key
// that changes later counts at the next boot, unless a datasource has only now
// said it: then this boot is the one it means.
func Boot(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	b := &boot{h: h, cfg: cfg, first: !h.present(appliedDir + "/boot.json")}
	if err := h.recall("boot", &b.was); err != nil {
		return Outcome{}, err
	}
	b.bootcmd(ctx)
	b.growpart(ctx)
	b.resizeDevice(ctx)
	b.put("50-runcmd", runcmd(cfg.RunCmd), "runcmd")
	b.scripts()
	b.put("90-final-message", b.finalMessage(), "final_message")
	b.put("99-power-state", b.powerState(), "power_state.mode")
	if b.arrived {
		b.outcome.Did = append(b.outcome.Did, "the console runs what the datasource says")
		b.outcome.Reload = append(b.outcome.Reload, "console")
	}
	b.failed(h.remember("boot", b.was))
	return b.outcome, errors.Join(b.errs...)
}

// boot does the work of Boot.
type boot struct {
	h       *Host
	cfg     *config.Config
	first   bool // nothing has been applied in this boot before
	was     booted
	arrived bool // something for the console came from the datasource meanwhile
	outcome Outcome
	errs    []error
}

func (b *boot) failed(err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
}

// due says whether what a key says now is meant for this boot.
func (b *boot) due(key string) bool { return b.first || b.fromDatasource(key) }

func (b *boot) fromDatasource(key string) bool {
	return strings.HasPrefix(b.cfg.Origin(key).Layer, "/"+datasourceDir+"/")
}

// digest is a short name for a text.
func digest(text []byte) string {
	full := sha256.Sum256(text)
	return fmt.Sprintf("%x", full[:6])
}

// bootcmd runs the commands on the machine itself, with the few tools that it
// has. At the first application that is before any service is started. One that
// takes long is not waited for, and not killed either.
func (b *boot) bootcmd(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	text, err := json.Marshal(b.cfg.BootCmd)
	b.failed(err)
	if len(b.cfg.BootCmd) == 0 || b.was.Bootcmd == digest(text) || !b.due("bootcmd") {
		return
	}
	b.was.Bootcmd = digest(text)
	b.failed(b.h.remember("boot", b.was)) // a command may end rosd: not again and again
	for i, command := range b.cfg.BootCmd {
		words := command.Words
		if words == nil {
			words = []string{"/usr/bin/busybox", "sh", "-c", command.Line} // its tools are no files
		}
		if len(words) == 0 {
			continue
		}
		out, err := b.h.System.Run(ctx, words[0], words[1:]...)
		if text := strings.TrimSpace(string(out)); text != "" {
			b.h.Log.Info("bootcmd", "command", i+1, "output", text)
		}
		if err != nil {
			b.failed(fmt.Errorf("bootcmd: command %d: %w", i+1, err))
		}
	}
	b.outcome.Did = append(b.outcome.Did, fmt.Sprintf("ran %d commands of bootcmd", len(b.cfg.BootCmd)))
}

// put has the console run a script, if key counts in this boot; an empty one is
// none. One that the console has been given already keeps its name.
func (b *boot) put(name, script, key string) {
	if script == "" || !b.due(key) {
		return
	}
	file := name + "-" + digest([]byte(script))
	changed, err := b.h.put(filepath.Join(bootDir, file), []byte(script), 0o700)
	b.gave(name, file, changed, err)
}

// gave notes what the console has been given, and takes away what it replaces.
func (b *boot) gave(name, file string, changed bool, err error) {
	b.failed(err)
	if changed && !b.first {
		b.arrived = true
	}
	all, err := filepath.Glob(b.h.Path(bootDir, name+"-*"))
	b.failed(err)
	for _, old := range all {
		if filepath.Base(old) != file {
			b.failed(os.Remove(old))
		}
	}
}

// runcmd is a script that runs each command by itself: what one of them does to
// its shell does not touch the next, and one that fails keeps none from running.
func runcmd(commands []config.Command) string {
	if len(commands) == 0 {
		return ""
	}
	var s strings.Builder
	s.WriteString("#!/bin/sh\n# runcmd, written by rosd.\n")
	for i, command := range commands {
		fmt.Fprintf(&s, "%s || echo \"runcmd: command %d: exit status $?\"\n", shell(command), i+1)
	}
	return s.String()
}

// shell is a command for a line of a shell script.
func shell(command config.Command) string {
	words := command.Words
	if words == nil {
		words = []string{"sh", "-c", command.Line}
	}
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	return strings.Join(quoted, " ")
}

// quote makes a text one word of a shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// scripts are those that a datasource gave. They stay where they are: a big one
// need not be in memory twice.
func (b *boot) scripts() {
	files, err := filepath.Glob(b.h.Path(datasourceDir, "script-*"))
	b.failed(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			b.failed(fmt.Errorf("cannot read a script of the datasource: %w", err))
			continue
		}
		name := filepath.Base(file)
		to := "60-" + name + "-" + digest(text)
		changed, err := b.h.link("/"+datasourceDir+"/"+name, filepath.Join(bootDir, to))
		b.gave("60-"+name, to, changed, err)
	}
}

// finalMessage is a script that prints final_message. What is known only then
// the shell fills in.
func (b *boot) finalMessage() string {
	if b.cfg.FinalMessage == "" {
		return ""
	}
	text := quote(strings.TrimSuffix(b.cfg.FinalMessage, "\n"))
	for _, v := range []struct{ name, value string }{
		{"version", quote(b.field("usr/lib/ros/release.json", "version"))},
		{"datasource", quote(b.field(datasourceDir+"/source.json", "source"))},
		{"timestamp", `"$(date -R)"`},
		{"uptime", `"$(cut -d ' ' -f 1 /proc/uptime)"`},
	} {
		for _, name := range []string{v.name, strings.ToUpper(v.name)} {
			text = strings.ReplaceAll(text, "$"+name, "'"+v.value+"'")
		}
	}
	return "#!/bin/sh\n# final_message, written by rosd.\n" +
		"text=" + text + "\n" +
		"printf '%s\\n' \"$text\"\n" +
		"printf '\\n%s\\n' \"$text\" >/dev/console\n"
}

// field is a text of a JSON file, "" if it is not to be had.
func (b *boot) field(path, name string) string {
	fields := map[string]any{}
	if json.Unmarshal(b.h.text(path), &fields) != nil {
		return ""
	}
	value, _ := fields[name].(string)
	return value
}

// powerVerbs are the programs of the console for each mode.
var powerVerbs = []string{"reboot", "poweroff", "halt"}

// powerState is a script that ends the boot as power_state wants it. It does so
// once: a machine that reboots because it has booted would never be of use.
func (b *boot) powerState() string {
	p := b.cfg.PowerState
	if p.Mode == "" {
		return ""
	}
	if !slices.Contains(powerVerbs, p.Mode) {
		b.failed(fmt.Errorf("power_state: mode %q is none of %s", p.Mode, strings.Join(powerVerbs, ", ")))
		return ""
	}
	delay, err := powerDelay(p.Delay)
	if err != nil {
		b.failed(err)
		return ""
	}
	what, err := json.Marshal(p)
	b.failed(err)
	if b.fromDatasource("power_state.mode") { // a machine made anew from this one's disk is another
		what = append(what, b.field(datasourceDir+"/source.json", "instance_id")...)
	}
	id := digest(what)
	if b.h.line(powerStamp) == id {
		return ""
	}
	s := "#!/bin/sh\n# power_state, written by rosd. The stamp keeps it from being done at every boot.\nset -u\n"
	if p.Mode == "reboot" {
		s += "if [ \"$(stat -f -c %T /var/lib/rancher)\" = tmpfs ]; then\n" +
			"\techo 'power_state: no reboot: nothing on this machine would remember it'\n\texit 0\nfi\n"
	}
	if command := p.Condition; command.Line != "" || len(command.Words) > 0 {
		s += shell(command) + " || exit 0\n"
	}
	message := p.Message
	if message == "" {
		message = "power_state: " + p.Mode
	}
	s += "printf '\\n%s\\n' " + quote(message) + " | tee /dev/console\n"
	if delay > 0 {
		s += fmt.Sprintf("sleep %d\n", int(delay.Seconds()))
	}
	return s + "echo " + id + " >/" + powerStamp + " && sync && exec " + p.Mode + "\n"
}

// powerDelay reads "now" and "+minutes".
func powerDelay(text string) (time.Duration, error) {
	minutes := 0
	if text == "" || text == "now" {
		return 0, nil
	}
	if _, err := fmt.Sscanf(strings.TrimPrefix(text, "+"), "%d", &minutes); err != nil || minutes < 0 {
		return 0, fmt.Errorf("power_state: delay %q is neither now nor +minutes", text)
	}
	return time.Duration(minutes) * time.Minute, nil
}
