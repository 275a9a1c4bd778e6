package qemu

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Config says what a machine is made of. The zero value of a field is the
// default of scripts/qemu.sh.
type Config struct {
	Name     string // of its log file, <build>/vm/<name>.log
	Arch     string
	Firmware string // "bios" or "uefi"; not with Kernel
	ISO      string
	Kernel   string // direct start, with Initrd and Cmdline
	Initrd   string
	Cmdline  string
	Disks    []string // qcow2, in the order in which the guest sees them
	Buses    []string // of Disks, one each: "virtio", "sata", "nvme", "usb"
	RawDisks []string // raw, read-only, after Disks
	MemoryMB int
	CPUs     int

	Metal     bool // hardware of a real machine instead of virtio
	NoNetwork bool // no network card
	Restrict  bool // nothing beyond DHCP and ssh

	NoReboot bool // a reset ends the machine

	// Snapshots is a qcow2 file for the memory of snapshots. It is made if it is
	// not there. A machine that is started later with the same one, and the same
	// disks, can load them. Without it they end with the machine.
	Snapshots string

	// Watchdog adds a hardware watchdog and says what QEMU does when it bites:
	// "reset" the machine, as a real one does, or "pause" it, with the status
	// "watchdog".
	Watchdog string

	// Agent is the socket of a port for QEMU's guest agent; "": there is none.
	Agent string
}

// Machine is a running (or ended) virtual machine.
type Machine struct {
	Console *Console
	QMP     *QMP
	SSHPort int
	LogFile string
	Started time.Time // just before QEMU was started
	Agent   string    // as in Config

	build Build
	cmd   *exec.Cmd // nil until it was started
	dir   string    // scratch, removed at the end
	ended chan struct{}
	err   error // how QEMU ended; valid when ended is closed
}

// Start starts a machine and returns once QEMU answers; the guest is at its
// first instruction then. End it with Stop.
func (b Build) Start(cfg Config) (*Machine, error) {
	// Short, because the path of a unix socket is at most 108 bytes long.
	dir, err := os.MkdirTemp("", "rosvm")
	if err != nil {
		return nil, err
	}
	m := &Machine{build: b, dir: dir, ended: make(chan struct{})}
	if err := m.start(cfg); err != nil {
		m.Stop()
		return nil, fmt.Errorf("cannot start machine %q: %w", cfg.Name, err)
	}
	return m, nil
}

func (m *Machine) start(cfg Config) (err error) {
	if !cfg.NoNetwork {
		if m.SSHPort, err = freePort(); err != nil {
			return err
		}
	}
	// Where snapshots go. No guest sees this one: a machine without any disk of
	// its own can have snapshots too.
	memory := cmp.Or(cfg.Snapshots, filepath.Join(m.dir, "memory.qcow2"))
	if _, err := os.Stat(memory); err != nil {
		if _, err := m.build.Run("qemu-img", "create", "-q", "-f", "qcow2", memory, "16G"); err != nil {
			return err
		}
	}
	control := filepath.Join(m.dir, "qmp")
	args := append(m.options(cfg), "--",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-qmp", "unix:"+control+",server=on,wait=off",
		"-blockdev", "driver=qcow2,node-name=memory,cache.no-flush=on,file.driver=file,file.filename="+memory)
	if cfg.NoReboot {
		args = append(args, "-no-reboot")
	}
	if cfg.Watchdog != "" {
		args = append(args, "-device", "i6300esb", "-action", "watchdog="+cfg.Watchdog)
	}
	if m.Agent = cfg.Agent; m.Agent != "" {
		args = append(args, "-device", "virtio-serial-pci", "-chardev", "socket,id=agent,server=on,wait=off,path="+m.Agent,
			"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
	}

	cmd := exec.Command(filepath.Join(m.build.Scripts, "qemu.sh"), args...)
	cmd.Env = m.build.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout = theirs

	m.LogFile = filepath.Join(m.build.Dir, "vm", cfg.Name+".log")
	if err := os.MkdirAll(filepath.Dir(m.LogFile), 0o755); err != nil {
		return err
	}
	log, err := os.Create(m.LogFile)
	if err != nil {
		return err
	}

	m.Started = time.Now()
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		out.Close()
		log.Close()
		return err
	}
	m.cmd = cmd
	console, read := newConsole(in, out, log)
	m.Console = console
	go func() {
		m.err = cmd.Wait()
		<-read
		out.Close()
		log.Close()
		if m.err != nil && complaints.Len() > 0 {
			m.err = fmt.Errorf("%w: %s", m.err, bytes.TrimSpace(complaints.Bytes()))
		}
		close(m.ended)
	}()

	m.QMP, err = dialQMP(control, m.ended, m.build.Timeout(30*time.Second))
	if err != nil {
		select {
		case <-m.ended:
			return errors.Join(err, m.err)
		default:
			return err
		}
	}
	return nil
}

func (m *Machine) options(cfg Config) []string {
	args := []string{"--arch", cfg.Arch, "--dir", m.dir}
	add := func(name, value string) {
		if value != "" {
			args = append(args, name, value)
		}
	}
	add("--firmware", cfg.Firmware)
	add("--iso", cfg.ISO)
	add("--kernel", cfg.Kernel)
	add("--initrd", cfg.Initrd)
	add("--append", cfg.Cmdline)
	for i, disk := range cfg.Disks {
		if i < len(cfg.Buses) {
			add("--bus", cfg.Buses[i])
		}
		add("--disk", disk)
	}
	for _, disk := range cfg.RawDisks {
		add("--raw", disk)
	}
	if cfg.MemoryMB != 0 {
		add("--memory", strconv.Itoa(cfg.MemoryMB))
	}
	if cfg.CPUs != 0 {
		add("--cpus", strconv.Itoa(cfg.CPUs))
	}
	if cfg.Metal {
		args = append(args, "--metal")
	}
	if cfg.NoNetwork {
		return append(args, "--no-network")
	}
	if cfg.Restrict {
		args = append(args, "--restrict")
	}
	return append(args, "--ssh-port", strconv.Itoa(m.SSHPort))
}

// Pid is QEMU's process id.
func (m *Machine) Pid() int { return m.cmd.Process.Pid }

// Ended is closed when QEMU has ended.
func (m *Machine) Ended() <-chan struct{} { return m.ended }

// Wait waits until QEMU ends by itself, as it does when the guest powers off.
func (m *Machine) Wait(ctx context.Context) error {
	select {
	case <-m.ended:
		return m.err
	case <-ctx.Done():
		return fmt.Errorf("the machine has not ended: %w; last lines:\n%s", context.Cause(ctx), tail([]byte(m.Console.Since(0))))
	}
}

// Status is QEMU's word for what the machine does: "running", "paused",
// "watchdog".
func (m *Machine) Status() (string, error) {
	var answer struct{ Status string }
	err := m.QMP.Do("query-status", nil, &answer)
	return answer.Status, err
}

// PressPower presses the power button (ACPI).
func (m *Machine) PressPower() error { return m.QMP.Do("system_powerdown", nil, nil) }

// Stop ends the machine as a power cut does and removes its scratch files.
// Stopping an ended machine only does the latter; calling it twice is fine.
func (m *Machine) Stop() {
	if m.cmd != nil {
		// Only our own child, and only while it lives: Kill knows.
		m.cmd.Process.Kill()
		<-m.ended
	}
	os.RemoveAll(m.dir)
}

// Save keeps the whole state of the machine, memory and disks, under a name.
// Close connections to the guest first: they do not survive Load.
func (m *Machine) Save(name string) error { return m.snapshot("snapshot-save", name) }

// Load puts the machine back to a saved state, as often as wanted. The guest
// goes on from there and does not know, but for its wall clock, which jumps.
// The forwarded port goes on working.
func (m *Machine) Load(name string) error { return m.snapshot("snapshot-load", name) }

func (m *Machine) snapshot(command, name string) error {
	nodes, err := m.QMP.writable()
	if err != nil {
		return err
	}
	err = m.QMP.job(command, "snapshot", map[string]any{"tag": name, "vmstate": "memory", "devices": nodes},
		m.build.Timeout(5*time.Minute))
	if err != nil || command == "snapshot-save" {
		return err
	}
	// QEMU stops the guest before it loads a snapshot and leaves the rest to us.
	m.Console.Skip()
	return m.QMP.Do("cont", nil, nil)
}

// freePort finds a TCP port nobody listens on. Somebody might take it before
// QEMU does; then QEMU says so and the test fails loudly.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("cannot find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
