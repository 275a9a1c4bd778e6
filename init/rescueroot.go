package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/mounts"
	"github.com/rosteros/ros/internal/reaper"
	"github.com/rosteros/ros/internal/statedisk"
)

const (
	// rescueProgram is a script of the OS image: the network and sshd of the
	// rescue shell, and what an operator calls there.
	rescueProgram = "/usr/lib/ros/rescue"
	// rescueState tells it which disk the state disk is, rescueText what a person
	// should know who comes in over ssh.
	rescueState = "/run/ros/rescue-state"
	rescueText  = "/run/ros/rescue-hint"
)

// errNoImage is a rescue with nothing but what the initrd has.
var errNoImage = errors.New("there is no sound OS image")

// rescueRoot makes the OS image the root of the rescue shell, because all
// tools are there: those for disks, ros, sshd, and drivers. The state disk can
// be read then; nothing is written to any disk.
func rescueRoot(m *machine) (string, error) {
	if m.damaged() {
		return "", errNoImage
	}
	if _, err := os.Stat(rescueProgram); err == nil {
		return "", nil // it is the root already
	}
	if !m.usable {
		return "", errNoImage
	}
	if err := m.rescueStateDisk(); err != nil {
		return "", err
	}
	if _, err := switchRoot(m); err != nil {
		return "", err
	}
	// Like stage 2: with these, power verbs work and services can be talked to.
	_, err := openSocket(m)
	_, lerr := raiseLoopback(m)
	if err := errors.Join(err, lerr); err != nil {
		m.log.Warn("the rescue shell lacks something", "error", err)
	}
	return "", nil
}

// rescueStateDisk puts the root together with the state disk read-only, or
// without it.
func (m *machine) rescueStateDisk() error {
	const target = sysroot + "/state"
	if m.stateOpen { // the boot came further than that
		_, err := assembleRoot(m)
		return err
	}
	device, fstype, err := m.readState(target)
	if err == nil {
		if _, err = assembleRoot(m); err == nil {
			dir, _ := m.line.Value("rancher.state.directory")
			text := fmt.Sprintf("device=%s\ntype=%s\ndirectory=%s\n", shellWord(device), shellWord(fstype), shellWord(dir))
			return os.WriteFile(rescueState, []byte(text), 0o644)
		}
		// One that was never booted from lacks the directories, and gets none here.
		_ = unix.Unmount(target, unix.MNT_DETACH)
	}
	if !errors.Is(err, blockdev.ErrNotFound) {
		m.log.Info("the state disk cannot be read", "error", err)
	}
	if _, err := mounts.All(mounts.Linux{}, []mounts.Mount{{Source: "state", Target: target, Type: "tmpfs", Data: "mode=0755"}}); err != nil {
		return err
	}
	_, err = assembleRoot(m)
	return err
}

// shellWord quotes a text for a shell.
func shellWord(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// readState mounts the state disk so that not even its journal is replayed,
// which would write to it.
func (m *machine) readState(target string) (device, fstype string, err error) {
	named, _ := m.line.Value("rancher.state.dev")
	d, err := blockdev.Local().Find(cmp.Or(named, "LABEL="+statedisk.Label))
	if err != nil {
		return "", "", err
	}
	content, err := blockdev.Probe(d.Path)
	if err != nil {
		return "", "", err
	}
	data, ok := map[string]string{
		"ext2": "", "ext3": "noload", "ext4": "noload",
		"xfs": "norecovery", "btrfs": "rescue=nologreplay", "f2fs": "norecovery",
	}[content.Type]
	if !ok {
		return "", "", fmt.Errorf("%s holds %q", d.Path, content.Type)
	}
	_, err = mounts.All(mounts.Linux{}, []mounts.Mount{{
		Source: d.Path, Target: target, Type: content.Type, Flags: unix.MS_RDONLY | unix.MS_NODEV, Data: data,
	}})
	return d.Path, content.Type, err
}

// rescueNetwork loads drivers and runs the rescue program's part for the
// network, which goes on until the context ends. What it says is shown.
func (m *machine) rescueNetwork(ctx context.Context) {
	if _, err := m.loadFrom("/", nil); err != nil {
		m.log.Warn("no drivers from the OS image", "error", err)
	}
	p, err := m.startTalking(rescueProgram, "network")
	if err != nil {
		m.log.Warn("no network for the rescue shell", "error", err)
		return
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		_ = unix.Kill(-p.Pid(), unix.SIGKILL) // it leads a session: DHCP clients and sshd go with it
		<-p.Done()
	}
}

// startTalking starts a program whose output goes to the console.
func (m *machine) startTalking(argv ...string) (*reaper.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	p, err := m.reap.Start(reaper.Command{
		Path: argv[0], Args: argv, Dir: "/", Files: []*os.File{null, w, w},
		Env: []string{"PATH=" + path, "HOME=/"},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	m.guard(argv[0], func() {
		defer r.Close()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			m.out.say(warning, "rescue: "+lines.Text())
		}
	})
	return p, nil
}

// rescueHint is what a person at the console needs to know; whole says that
// the OS image is the root.
func rescueHint(why error, image string, whole bool, host blockdev.Host) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n--- rescue ---\n%v\n\n", why)
	fmt.Fprint(&b, "This is a shell with full rights. Leaving it opens a new one.\n")
	fmt.Fprint(&b, "  dmesg | grep ros:   the boot so far; also in "+bootlog.Path+"\n")
	if whole {
		fmt.Fprint(&b, "  ros os status       what is installed; ros os rollback, ros os verify\n")
		fmt.Fprint(&b, "  rescue state        checks the state disk and mounts it for writing; until then it is read-only in /state\n")
		fmt.Fprint(&b, "  rescue network      DHCP, and ssh for the configured keys: begun already, says below how it went\n")
		fmt.Fprint(&b, "  e2fsck, mke2fs …    disk tools; nothing here touches a disk by itself\n")
		fmt.Fprint(&b, "  reboot, poweroff    with -f at once\n")
	} else {
		fmt.Fprint(&b, "  /var/log/ros        logs of init, containerd, rosd and the services, once the state disk is mounted\n")
		fmt.Fprint(&b, "  reboot -f, poweroff -f\n")
	}
	if image != "" {
		fmt.Fprintf(&b, "The OS image was looked for at ros.image=%s\n", image)
	}
	fmt.Fprintf(&b, "Block devices: %s\n\n", strings.Join(describeDevices(host), "; "))
	return b.String()
}
