package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/mounts"
	"github.com/rosteros/ros/internal/reaper"
	"github.com/rosteros/ros/internal/servicelog"
)

const (
	sysctlFile     = "/usr/share/ros/sysctl.conf"
	modulesFile    = "/usr/share/ros/modules.conf"
	machineIDFile  = "/var/lib/rancher/machine-id"
	randomSeedFile = "/var/lib/rancher/random-seed"

	// childPatience is how long containerd and rosd may take to answer before
	// the console, which then nobody else uses, gets a rescue shell. They are
	// kept going all the same.
	childPatience = 2 * time.Minute
)

// startLog opens the log files and repeats there what stage 1 did.
func startLog(m *machine) (string, error) {
	sink := servicelog.NewSink(servicelog.Dir, m.log)
	m.mu.Lock()
	m.sink = sink
	m.mu.Unlock()
	for _, p := range m.record.copy().Phases {
		text := fmt.Sprintf("phase %s: %.3f s %s", p.Name, p.End-p.Start, p.Detail)
		if p.Error != "" {
			text = fmt.Sprintf("phase %s: %s", p.Name, p.Error)
		}
		if err := sink.Line("init", servicelog.Stdout, text); err != nil {
			return "", err
		}
	}
	m.out.add(true, func(text string) { _ = sink.Line("init", servicelog.Stdout, text) })
	return servicelog.Dir, nil
}

// setKernel applies the sysctl file and the limits that all processes inherit.
func setKernel(m *machine) (string, error) {
	faults := []error{
		// The kernel's limits for PID 1 are those of 1995. Programs that need
		// many files raise the first number themselves.
		about("limit of open files", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 8192, Max: 1 << 20})),
		about("limit of core files", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY})),
		// It becomes a SIGINT to PID 1 instead of a reset.
		about("Ctrl-Alt-Del", unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)),
		about("memory reserve", setMemoryReserve("/proc")),
		about("host name", unix.Sethostname([]byte("roster"))), // until the configuration is read
	}
	unix.Umask(0o022)
	f, err := os.Open(sysctlFile)
	if err != nil {
		return "", errors.Join(append(faults, err)...)
	}
	defer f.Close()
	count, err := applySysctls("/proc/sys", f)
	return fmt.Sprintf("%d sysctls", count), errors.Join(append(faults, err)...)
}

// setMemoryReserve gives vm.min_free_kbytes the value that the kernel's own
// formula has (mm/page_alloc.c: 4 * sqrt of the memory in KiB). Where
// transparent huge pages are built in, their start raises it tenfold, for huge
// pages that a container host rarely gets: on 2 GiB some 60 MB, and about as
// much again above it, lie idle.
func setMemoryReserve(proc string) error {
	text, err := os.ReadFile(proc + "/meminfo")
	if err != nil {
		return err
	}
	var total int64
	if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &total); err != nil {
		return err
	}
	reserve := min(max(int64(4*math.Sqrt(float64(total))), 1024), 262144)
	return os.WriteFile(proc+"/sys/vm/min_free_kbytes", fmt.Append(nil, reserve), 0)
}

func about(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// applySysctls reads lines "a.b.c = value"; # and ; begin a comment, and a key
// with a minus before it may be unknown to the kernel.
func applySysctls(dir string, r io.Reader) (count int, err error) {
	var faults []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		key, lenient := strings.CutPrefix(key, "-")
		if !ok || key == "" {
			faults = append(faults, fmt.Errorf("sysctl line %d: %q is not KEY = VALUE", n, line))
			continue
		}
		file := strings.ReplaceAll(key, ".", "/")
		if !filepath.IsLocal(file) {
			faults = append(faults, fmt.Errorf("sysctl line %d: %q is not a sysctl", n, key))
			continue
		}
		err := os.WriteFile(filepath.Join(dir, file), []byte(value+"\n"), 0) // never makes one: proc does not allow it
		switch {
		case err == nil:
			count++
		case lenient && errors.Is(err, fs.ErrNotExist):
		default:
			faults = append(faults, fmt.Errorf("sysctl line %d: %w", n, err))
		}
	}
	return count, errors.Join(append(faults, lines.Err())...)
}

// raiseLoopback sets lo up; the kernel gives it its addresses then.
func raiseLoopback(*machine) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return "", err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return "", err
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	return "", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// setMachineID copies the machine's id to /etc, and makes it on the first boot
// of a state disk.
func setMachineID(*machine) (string, error) {
	return machineID(machineIDFile, "/etc/machine-id")
}

func machineID(kept, etc string) (string, error) {
	text, err := os.ReadFile(kept)
	id := string(bytes.TrimSpace(text))
	raw, herr := hex.DecodeString(id)
	if err != nil || herr != nil || len(raw) != 16 {
		raw = make([]byte, 16)
		_, _ = rand.Read(raw) // never fails
		id = hex.EncodeToString(raw)
		if err := atomicfile.WriteFile(kept, []byte(id+"\n"), 0o444); err != nil {
			// An id for this boot is better than none.
			return id, errors.Join(err, os.WriteFile(etc, []byte(id+"\n"), 0o444))
		}
	}
	return id, os.WriteFile(etc, []byte(id+"\n"), 0o444)
}

// mixRandomSeed stirs in what the last boot left and at once leaves another
// for the next one, so that no two boots begin with the same.
func mixRandomSeed(*machine) (string, error) {
	return "", randomSeed(randomSeedFile, "/dev/urandom")
}

func randomSeed(kept, pool string) error {
	old, err := os.ReadFile(kept)
	if err == nil {
		err = os.WriteFile(pool, old, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	// Not getrandom, which waits until the pool is filled: early in a boot
	// without a hardware generator that takes seconds.
	next := make([]byte, 256)
	if f, oerr := os.Open(pool); oerr == nil {
		_, rerr := io.ReadFull(f, next)
		err = errors.Join(err, rerr, f.Close())
	}
	return errors.Join(err, atomicfile.WriteFile(kept, next, 0o600))
}

func openSocket(m *machine) (string, error) {
	l, err := initctl.Listen(initctl.Socket)
	if err != nil {
		return "", err
	}
	m.guard("socket", func() {
		if err := initctl.Serve(m.ctx, l, m); err != nil {
			m.fail(err)
		}
	})
	return initctl.Socket, nil
}

// Power is an order that came over the socket.
func (m *machine) Power(op string, force bool) error {
	return m.power.give(order{op: op, force: force})
}

// Log takes over the output of a container.
func (m *machine) Log(service string, maxBytes int64, files int, stdout, stderr *os.File) error {
	l := servicelog.Limits{MaxBytes: maxBytes, Files: files}
	if m.sink == nil {
		return errors.Join(errors.New("there is no log"), stdout.Close(), stderr.Close())
	}
	if err := m.sink.Add(service, servicelog.Stdout, stdout, l); err != nil {
		return errors.Join(err, stderr.Close())
	}
	return m.sink.Add(service, servicelog.Stderr, stderr, l)
}

// Settings is what the configuration says.
func (m *machine) Settings(shutdownTimeout, trialDeadline time.Duration) error {
	m.power.setTimeout(shutdownTimeout)
	m.trial.decideBy(trialDeadline)
	return nil
}

// Status is how the children are.
func (m *machine) Status() initctl.Answer {
	a := initctl.Answer{Trial: m.trial.state()}
	a.Going, _ = m.power.state()
	if a.Trial == trialOpen {
		a.TrialSeconds = int(m.trial.left().Seconds())
	}
	for _, c := range m.children() {
		a.Children = append(a.Children, c.status())
	}
	return a
}

func startContainerd(m *machine) (string, error) {
	root := containerdRoot{dir: "/var/lib/rancher/containerd", log: m.log}
	if note := root.inMemory(mounts.Linux{}, roomOn); note != "" {
		m.warn(note)
	}
	program := program{
		name: "containerd", argv: []string{"/usr/lib/ros/containerd", "--config", "/usr/share/ros/containerd.toml"},
		oomScoreAdj: -999,
	}
	c := newChild("containerd", m.log, func() (process, error) {
		if note := root.check(); note != "" {
			m.warn(note)
		}
		return m.startProgram(program)
	}, accepts("/run/ros/containerd/containerd.sock"))
	c.ended = func(r run) {
		root.ended(r)
		m.childEnded(c)
	}
	m.mu.Lock()
	m.containerd = c
	m.mu.Unlock()
	return m.keepChild(c)
}

func startRosd(m *machine) (string, error) {
	program := program{name: "rosd", argv: []string{"/usr/lib/ros/rosd"}, oomScoreAdj: -900}
	c := newChild("rosd", m.log, func() (process, error) { return m.startProgram(program) }, accepts("/run/ros/api/rosd.sock"))
	c.ended = func(run) { m.childEnded(c) }
	m.mu.Lock()
	m.rosd = c
	m.mu.Unlock()
	return m.keepChild(c)
}

// keepChild keeps the child running and returns when it first answers.
func (m *machine) keepChild(c *child) (string, error) {
	m.guard(c.name, c.keep)
	patience := childPatience
	if m.trial.open() {
		// A slow machine is no bad release. What never answers the deadline finds,
		// and says so; this comes after it.
		patience = max(patience, m.trial.left()+time.Minute)
	}
	err := c.waitReady(patience)
	if going, _ := m.power.state(); going != "" {
		return "", errNothingToDo // it need not come up any more
	}
	if err == nil {
		return fmt.Sprintf("pid %d", c.status().Pid), nil
	}
	m.guard(c.name+" late", func() {
		<-c.everReady
		m.recovered()
	})
	return "", err
}

// imageInterval is how often a running machine looks whether its OS image is
// sound. The kernel checks each block when it is read, so damage may show late.
const imageInterval = 5 * time.Second

// watchImage tells of damage once. While containerd or rosd is not up it ends
// the boot: they die again and again where a block is missing. A trial it ends
// in any case.
func (m *machine) watchImage() {
	tick := time.NewTicker(imageInterval)
	defer tick.Stop()
	for !m.damaged() {
		select {
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
	}
	m.warn(errDamaged.Error())
	m.mu.Lock()
	up := m.containerd != nil && m.containerd.wasReady() && m.rosd != nil && m.rosd.wasReady()
	m.mu.Unlock()
	if !up || m.trial.open() {
		m.fail(errDamaged)
	}
}

// program is how to start a child.
type program struct {
	name        string // also of its cgroup and its log
	argv        []string
	oomScoreAdj int
}

// startProgram starts a child in its cgroup, with its output in its log.
func (m *machine) startProgram(p program) (process, error) {
	group, err := os.Open(filepath.Join(cgroupRoot, p.name))
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", p.name, err)
	}
	defer group.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", p.name, err)
	}
	defer null.Close()
	files := []*os.File{null, null, null}
	for i, stream := range []string{servicelog.Stdout, servicelog.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("cannot start %s: %w", p.name, err)
		}
		defer w.Close()
		if m.sink == nil {
			_ = r.Close()
			continue
		}
		if err := m.sink.Add(p.name, stream, r, servicelog.Limits{}); err != nil {
			return nil, err
		}
		files[i+1] = w
	}
	proc, err := m.reap.Start(reaper.Command{
		Path: p.argv[0], Args: p.argv, Dir: "/", Files: files,
		Env: []string{"PATH=" + path, "HOME=/", "LANG=C.UTF-8"},
		Sys: &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())},
	})
	if err != nil {
		return nil, err
	}
	score := fmt.Appendf(nil, "%d", p.oomScoreAdj)
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", proc.Pid()), score, 0); err != nil {
		m.log.Warn("child may be killed when memory is short", "child", p.name, "error", err)
	}
	return proc, nil
}

// driversNice leaves loadAllDrivers about a third of a processor that another
// thread wants too.
const driversNice = 5

// loadAllDrivers loads what the initrd left out: modules for the other devices,
// and those of the list, which no device asks for. It has a thread of its own
// that yields to containerd and rosd, which start beside it: unpacking modules
// is work for a processor, and nothing needs them before the first services do.
func loadAllDrivers(m *machine) (string, error) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the phase
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), driversNice); err != nil {
		m.log.Info("drivers are loaded with the usual priority", "error", err)
	}
	text, err := os.ReadFile(modulesFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	detail, err := m.loadFrom("/", moduleNames(string(text)))
	// The alias table of a whole kernel is larger than the rest of PID 1, and
	// from here on udev loads what appears.
	m.drivers = nil
	debug.FreeOSMemory()
	return detail, err
}

// moduleNames reads one name a line; # begins a comment.
func moduleNames(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		names = append(names, strings.Fields(line)...)
	}
	return names
}

// shutdown is the order in which this machine goes down.
func (m *machine) shutdown(timeout time.Duration) *shutdown {
	s := &shutdown{
		timeout:   timeout,
		busy:      func() []string { return busyGroups(filepath.Join(cgroupRoot, "services")) },
		terminate: func() { signalGroup(filepath.Join(cgroupRoot, "services"), unix.SIGTERM) },
		kill:      func() { killAll(cgroupRoot) },
		giveBack:  func() error { return m.giveBack(osupdate) },
		say:       func(text string) { m.out.say(warning, text) },
	}
	m.mu.Lock()
	if m.rosd != nil {
		s.rosd = m.rosd
	}
	if m.containerd != nil {
		s.containerd = m.containerd
	}
	sink := m.sink
	m.mu.Unlock()
	s.steps = []step{
		{"sync", func() error { unix.Sync(); return nil }},
		{"save the random seed", func() error {
			if sink == nil { // stage 1: there is no /var
				return nil
			}
			return randomSeed(randomSeedFile, "/dev/urandom")
		}},
		{"close the logs", func() error {
			m.out.flush(time.Second)
			if sink != nil {
				sink.Close(2 * time.Second)
			}
			return nil
		}},
		{"swapoff", func() error { // a swap file would keep its disk busy
			text, err := os.ReadFile("/proc/swaps")
			if err != nil {
				return err
			}
			return swapOff(text, mounts.Swapoff)
		}},
		{"unmount", func() error {
			info, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil {
				return err
			}
			return mounts.UnmountAll(mounts.Linux{}, bytes.NewReader(info), m.log)
		}},
		{"sync", func() error { unix.Sync(); return nil }},
	}
	return s
}

// swapOff switches off what /proc/swaps, which is text, lists.
func swapOff(text []byte, off func(path string) error) error {
	var faults []error
	for _, path := range mounts.Swaps(string(text)) {
		faults = append(faults, about("swapoff "+path, off(path)))
	}
	return errors.Join(faults...)
}
