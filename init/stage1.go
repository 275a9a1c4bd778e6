package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/modules"
	"github.com/rosteros/ros/internal/mounts"
	"github.com/rosteros/ros/internal/reaper"
	"github.com/rosteros/ros/internal/statedisk"
	"github.com/rosteros/ros/internal/verity"
)

const (
	// imageWait is how long the device with the OS image may take to appear:
	// USB needs seconds, a spun-down array more.
	imageWait = 30 * time.Second
	// stateWait applies to an installed system, which has a state disk for
	// sure, and to one that names its state disk. A live system looks once.
	stateWait = 10 * time.Second
	// medium is where the file system with the OS image file is mounted.
	medium = "/run/ros/medium"
)

// mountEarly reports on the mounts that main made before there was a console.
func mountEarly(m *machine) (string, error) {
	if m.earlyErr != nil {
		return "", m.earlyErr
	}
	for _, w := range m.earlyWarnings {
		m.log.Info(w)
	}
	if err := nameDescriptors("/dev"); err != nil {
		m.warn(err.Error())
	}
	return "", os.MkdirAll(filepath.Dir(bootlog.Path), 0o755)
}

func (m *machine) reloadCmdline() error {
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return fmt.Errorf("cannot read kernel command line: %w", err)
	}
	m.line = cmdline.Parse(string(text))
	m.out.setQuiet(m.line.Flag("quiet"))
	if v, ok := m.line.Value("rancher.shutdown_timeout"); ok {
		d, err := parseSeconds(v)
		if err != nil {
			return fmt.Errorf("cannot use rancher.shutdown_timeout: %w", err)
		}
		m.power.setTimeout(d)
	}
	return nil
}

func readCmdline(m *machine) (string, error) {
	err := m.reloadCmdline()
	if err != nil && len(m.line.Words) > 0 { // only one value in it is bad
		m.warn(err.Error())
		err = nil
	}
	m.slot = "iso"
	if v, ok := m.line.Value("ros.slot"); ok && v != "" {
		m.slot = v
	}
	if len(m.line.After) > 0 {
		if err := hideSecrets("/proc/cmdline", cmdline.VisibleFile); err != nil {
			m.warn("containers see the whole kernel command line: " + err.Error())
		}
	}
	return "slot " + m.slot, err
}

func hideSecrets(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, []byte(cmdline.Visible(string(text))+"\n"), 0o444)
}

// parseSeconds reads a whole number of seconds or a Go duration ("90s", "2m").
func parseSeconds(text string) (time.Duration, error) {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return time.Duration(n) * time.Second, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= time.Second {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a time of at least one second (60, 90s, 2m)", text)
}

// bootModules are needed whether or not a device asks for them by alias.
// crypto-sha256 is an alias of what this processor hashes fastest with; verity
// hashes everything that is read.
var bootModules = []string{"crypto-sha256", "loop", "dm_mod", "dm_verity", "erofs", "isofs", "overlay", "ext4"}

// loadDrivers loads what the devices in this machine ask for, from the few
// modules of the initrd.
func loadDrivers(m *machine) (string, error) {
	return m.loadFrom("/", bootModules)
}

// loadFrom loads the named modules and everything present devices ask for.
func (m *machine) loadFrom(root string, names []string) (string, error) {
	dir, err := modules.Dir(root)
	if err != nil {
		return "", err
	}
	m.drivers, err = modules.New(modules.Options{
		Dir: dir, Sys: "/sys",
		Deny:   denied(m.line),
		Params: m.line.ModuleParams(), Log: m.log,
	})
	if err != nil {
		return "", err
	}
	loaded := 0
	var faults []error
	note := func(err error) {
		// Not every kernel has every module, and a driver that does not like
		// its device says so by failing to load: no reason for a warning.
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			m.log.Info("module not loaded", "error", err)
			faults = append(faults, err)
		}
	}
	// Again for the devices that the first drivers bring: a bus has devices.
	for range 5 {
		more, err := m.drivers.Coldplug()
		note(err)
		if len(more) == 0 {
			break
		}
		loaded += len(more)
	}
	for _, name := range names {
		note(m.drivers.Load(name, ""))
	}
	detail := fmt.Sprintf("%d modules for devices", loaded)
	if len(faults) > 0 {
		detail += ", some did not load"
	}
	return detail, nil
}

// coldplug looks for devices that appeared since.
func (m *machine) coldplug() {
	if m.drivers == nil {
		return
	}
	if _, err := m.drivers.Coldplug(); err != nil {
		m.log.Info("some modules were not loaded", "error", err)
	}
}

// denied are the modules that modprobe.blacklist= names, as every modprobe
// understands it.
func denied(line cmdline.Line) []string {
	var all []string
	for _, v := range line.Values("modprobe.blacklist") {
		all = append(all, strings.FieldsFunc(v, func(r rune) bool { return r == ',' })...)
	}
	return all
}

// inInitrd stands for the device when the OS image is a file of the initrd: a
// network boot brings no other one.
const inInitrd = "initrd"

// imageSpec says where the OS image is: on a device, or in a file on it.
type imageSpec struct {
	text   string // as on the command line
	device string // LABEL=ROSTER, PARTLABEL=ROOT_A, /dev/vda2, or inInitrd
	file   string // "" or an absolute path on the device's file system
}

func parseImageSpec(text string) (imageSpec, error) {
	device, file, found := strings.Cut(text, ":")
	switch {
	case device == "":
		return imageSpec{}, errors.New("ros.image= is missing on the kernel command line, want LABEL=NAME:/FILE or PARTLABEL=NAME")
	case device == inInitrd && file == "":
		return imageSpec{}, fmt.Errorf("ros.image=%s: want a file: initrd:/FILE", text)
	case !strings.Contains(device, "=") && !strings.HasPrefix(device, "/dev/") && device != inInitrd:
		return imageSpec{}, fmt.Errorf("ros.image=%s: device %q is none of LABEL=, UUID=, PARTLABEL=, PARTUUID=, /dev/", text, device)
	case found && !strings.HasPrefix(file, "/"):
		return imageSpec{}, fmt.Errorf("ros.image=%s: file %q does not begin with /", text, file)
	}
	return imageSpec{text: text, device: device, file: file}, nil
}

func findImage(m *machine) (string, error) {
	text, _ := m.line.Value("ros.image")
	var err error
	if m.spec, err = parseImageSpec(text); err != nil {
		return "", err
	}
	if m.spec.device == inInitrd {
		return m.loopImage(m.spec.file, m.spec.file+" of the initrd")
	}
	host := blockdev.Local()
	ctx, cancel := context.WithTimeout(m.ctx, imageWait)
	defer cancel()
	dev, err := host.Wait(ctx, m.spec.device, m.coldplug)
	if err != nil {
		return "", fmt.Errorf("cannot find the OS image, ros.image=%s, within %s: %w; seen: %s",
			m.spec.text, imageWait, err, strings.Join(describeDevices(host), "; "))
	}
	m.imageDevice, m.imageFrom = dev.Path, dev.Path
	if m.spec.file == "" {
		return m.imageFrom, nil
	}
	content, err := blockdev.Probe(dev.Path)
	if err != nil {
		return "", fmt.Errorf("cannot tell the file system of %s: %w", dev.Path, err)
	}
	if m.drivers != nil { // there is no modprobe for the kernel to call
		if err := m.drivers.Load("fs-"+content.Type, ""); err != nil {
			m.log.Info("module not loaded", "error", err)
		}
	}
	_, err = mounts.All(mounts.Linux{}, []mounts.Mount{{
		Source: dev.Path, Target: medium, Type: content.Type,
		Flags: unix.MS_RDONLY | unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC,
	}})
	if err != nil {
		return "", err
	}
	return m.loopImage(filepath.Join(medium, m.spec.file), fmt.Sprintf("%s on %s (%s)", m.spec.file, dev.Path, content.Type))
}

// loopImage makes a device of an OS image in a file; from says what it is.
func (m *machine) loopImage(file, from string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("cannot find the OS image, ros.image=%s: %w", m.spec.text, err)
	}
	if m.imageDevice, err = verity.Loop(file, 0, info.Size(), true); err != nil {
		return "", err
	}
	m.imageFrom = from
	return from, nil
}

func openVerity(m *machine) (string, error) {
	hash, _ := m.line.Value("ros.roothash")
	if hash == "" {
		return "", errors.New("verity: ros.roothash= is missing on the kernel command line, and an OS image that cannot be checked is never run")
	}
	text, _ := m.line.Value("ros.hashoffset")
	offset, err := strconv.ParseInt(text, 10, 64)
	if err != nil || offset <= 0 {
		return "", fmt.Errorf("verity: ros.hashoffset=%s on the kernel command line is not a number of bytes", text)
	}
	m.verified, err = verity.Local().Open(verity.Target{Name: verityName, Device: m.imageDevice, HashOffset: offset, RootHash: hash})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("slot %s, root hash %.12s…", m.slot, hash), nil
}

func mountRoot(m *machine) (string, error) {
	_, err := mounts.All(mounts.Linux{}, []mounts.Mount{{
		Source: m.verified, Target: sysroot, Type: "erofs", Flags: unix.MS_RDONLY,
	}})
	return m.imageFrom, err
}

// verityName is the device of the OS image in the device mapper.
const verityName = "ros-root"

// imageDamaged asks whether the kernel has met a block of the OS image that
// does not match the root hash. Before the image is open it says no.
func imageDamaged() bool {
	damaged, err := verity.Local().Corrupted(verityName)
	return err == nil && damaged
}

var errDamaged = errors.New("verity: a block does not match the root hash: the OS image is damaged, or its medium is")

// explain says what stands behind an error of a program or a file of a damaged
// OS image, which else looks like a fault of its own.
func (m *machine) explain(err error) error {
	if err == nil || !m.damaged() {
		return err
	}
	return fmt.Errorf("%w; %w", err, errDamaged)
}

// release is release.json of the OS image.
type release struct {
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Commit  string `json:"commit"`
	Kernel  string `json:"kernel"`
}

const releaseFile = "/usr/lib/ros/release.json"

func checkRelease(m *machine) (string, error) {
	text, err := os.ReadFile(sysroot + releaseFile)
	if err != nil {
		return "", err
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", err
	}
	r, warning, err := parseRelease(text, runtime.GOARCH, unix.ByteSliceToString(uts.Release[:]))
	if err != nil {
		return "", err
	}
	m.record.change(func(b *bootlog.Record) { b.Version, b.Slot = r.Version, m.slot })
	m.trial.change(func(n *bootnote.Note) { n.Version = r.Version })
	m.usable = true
	if warning != "" {
		m.warn(warning)
	}
	return "Roster " + r.Version, nil
}

// parseRelease checks that the OS image fits the machine and the kernel.
func parseRelease(text []byte, arch, kernel string) (r release, warning string, err error) {
	if err := json.Unmarshal(text, &r); err != nil {
		return r, "", fmt.Errorf("cannot read %s: %w", releaseFile, err)
	}
	if r.Arch != arch {
		return r, "", fmt.Errorf("the OS image is for %q, this machine is %q", r.Arch, arch)
	}
	if r.Kernel != kernel {
		warning = fmt.Sprintf("the OS image has modules for kernel %s, the kernel that runs is %s: drivers may be missing", r.Kernel, kernel)
	}
	return r, warning, nil
}

// readMedium reads every block of the OS image on a live medium. dm-verity
// would refuse a damaged block only when somebody reads it, perhaps in the
// middle of an installation; sticks and downloads go wrong often enough to
// find out before anything of them runs. An installed slot was read back when
// it was written.
func readMedium(m *machine) (string, error) {
	if m.slot != "iso" {
		return "", errNothingToDo
	}
	if err := readThrough(m.verified); err != nil {
		return "", err
	}
	return "every block of the OS image is as it was built", nil
}

func openState(m *machine) (string, error) {
	// The checker of the OS image sees devices and mounts where it expects them.
	for _, dir := range []string{"/dev", "/proc"} {
		if err := unix.Mount(dir, sysroot+dir, "", unix.MS_BIND, ""); err != nil {
			return "", fmt.Errorf("cannot bind %q into the OS image: %w", dir, err)
		}
		defer func() { _ = unix.Unmount(sysroot+dir, unix.MNT_DETACH) }()
	}
	res, err := statedisk.Open(m.ctx, stateOptions(m))
	for _, w := range res.Warnings {
		m.warn(w)
	}
	if err != nil {
		return "", err
	}
	m.stateOpen, m.diskKeys = true, res.Keys
	m.record.change(func(b *bootlog.Record) { b.State = res.String() })
	return res.String(), nil
}

func stateOptions(m *machine) statedisk.Options {
	device, _ := m.line.Value("rancher.state.dev")
	wait := time.Duration(0)
	if device != "" || m.slot != "iso" {
		wait = stateWait
	}
	if v, ok := m.line.Value("rancher.state.wait"); ok {
		if d, err := parseSeconds(v); err == nil {
			wait = d
		} else if m.line.Flag("rancher.state.wait") {
			wait = imageWait
		}
	}
	image := ""
	if m.slot != "iso" {
		image = m.spec.device
	}
	trial := m.slot != "iso" && m.trial.open() // the live system need not have a state disk
	autoformat := listValue(m.line, "rancher.state.autoformat")
	if trial { // a release that does not find the state disk must not make another
		autoformat = nil
	}
	return statedisk.Options{
		Device:     device,
		Image:      image,
		Autoformat: autoformat,
		Required:   m.line.Flag("rancher.state.required"),
		Trial:      trial,
		Wait:       wait,
		Target:     sysroot + "/state",
		Run:        m.runInImage,
		Changed:    m.coldplug,
		Host:       blockdev.Local(),
		Sys:        mounts.Linux{},
		Log:        m.log,
	}
}

// listValue reads a list as the command line of RancherOS has it, "[a,b]", and
// without the brackets.
func listValue(line cmdline.Line, key string) []string {
	var all []string
	for _, v := range line.Values(key) {
		all = append(all, strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune("[], ", r) })...)
	}
	return all
}

// runInImage runs a program of the OS image with the image as its root.
func (m *machine) runInImage(ctx context.Context, argv ...string) ([]byte, int, error) {
	program := argv[0]
	if !strings.Contains(program, "/") {
		for dir := range strings.SplitSeq(path, ":") {
			if _, err := os.Stat(filepath.Join(sysroot, dir, program)); err == nil {
				program = filepath.Join(dir, program)
				break
			}
		}
	}
	return m.reap.Output(ctx, reaper.Command{
		Path: program, Args: argv, Dir: "/",
		Env: []string{"PATH=" + path, "LC_ALL=C"},
		Sys: chrootTo(sysroot),
	})
}

// readThrough reads a file to its end.
func readThrough(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
	return err
}

// warn tells the operator what the boot goes on without, now and in the boot
// record.
func (m *machine) warn(text string) {
	m.out.say(warning, "warn "+text)
	m.record.addWarning(text)
}
