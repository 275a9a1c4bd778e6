package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rosteros/ros/tests/vm/qemu"
)

// What guest/measure.sh does in a boot; the word for the kernel command line.
const (
	untilDocker = "first"
	short       = "short"
	everything  = "all"
)

// boot is what one boot showed. Times are seconds.
type boot struct {
	Docker    float64              `json:"docker"`     // since QEMU started: docker info answered
	DockerCPU float64              `json:"docker_cpu"` // seconds of CPU that QEMU had used by then
	SSH       float64              `json:"ssh"`        // since QEMU started: an ssh banner came
	PowerOff  float64              `json:"power_off"`  // since the power button
	Others    float64              `json:"others"`     // share of the host that others used until Docker
	Memory    map[string]memory    `json:"memory"`     // by moment: idle, four_containers
	Timed     map[string][]float64 `json:"timed"`      // by label
	Failed    []string             `json:"failed,omitempty"`
}

// memory is what the guest said at one moment; KiB.
type memory struct {
	Total, Available, Anonymous, Slab int64
	PSS                               int64 // of all processes
	Own                               int64 // the measurement's part of PSS
	Processes                         int64
	ByName                            map[string]int64 // PSS
}

func (m memory) usedKiB() int64 { return m.Total - m.Available }

// bench is one run of the whole comparison.
type bench struct {
	build   qemu.Build
	dir     string
	options options
}

// errNoisy says that the host did other work meanwhile.
var errNoisy = errors.New("the host was not quiet")

// prime boots a system for the first time and keeps its disk for the others.
func (b bench) prime(s *system) error {
	first, err := b.boot(s, s.disk, s.name+"-first", untilDocker, false)
	if err != nil {
		return err
	}
	s.first = first
	fmt.Fprintf(os.Stderr, "%s, first boot: docker %.1f s\n", s.name, first.Docker)
	return nil
}

// measure boots a system from a copy of its disk, again when the host was not
// quiet, and keeps the figures.
func (b bench) measure(s *system, name, part string) error {
	for {
		mayRetry := s.retried < b.options.retries
		disk := filepath.Join(b.dir, "boot.qcow2")
		if err := b.build.Overlay(disk, s.disk, "qcow2"); err != nil {
			return err
		}
		one, err := b.boot(s, disk, name, part, mayRetry)
		if errors.Is(err, errNoisy) {
			s.retried++
			fmt.Fprintf(os.Stderr, "%s: %v, once more\n", name, err)
			continue
		}
		if err != nil {
			return err
		}
		s.boots = append(s.boots, one)
		fmt.Fprintf(os.Stderr, "%s: docker %.1f s, ssh %.1f s, others used %.0f %% of the host\n", name, one.Docker, one.SSH, one.Others*100)
		return nil
	}
}

// finding is a line of the measurement. The dot at its end tells that the line
// is complete.
var finding = regexp.MustCompile(`@bench (\w+)((?: \S+)*) \.$`)

// boot boots once. A boot that is given up for noise returns errNoisy, if that
// may be.
func (b bench) boot(s *system, disk, name, part string, mayGiveUp bool) (boot, error) {
	waitForQuiet(b.options.quiet)
	cfg := s.config
	cfg.Name, cfg.Arch = "bench-"+name, "amd64"
	cfg.MemoryMB, cfg.CPUs, cfg.Restrict, cfg.NoReboot = memoryMB, cpus, true, true
	cfg.Disks = []string{disk}
	cfg.Cmdline += " bench=" + part
	busy := hostBusy()
	m, err := b.build.Start(cfg)
	if err != nil {
		return boot{}, err
	}
	defer m.Stop()

	ctx, cancel := context.WithTimeoutCause(context.Background(), b.build.Timeout(8*time.Minute), errors.New("the boot takes too long"))
	defer cancel()
	banner := sshBanner(ctx, m)

	one := boot{Memory: map[string]memory{}, Timed: map[string][]float64{}}
	for {
		found, err := m.Console.Expect(ctx, finding)
		if err != nil {
			return one, fmt.Errorf("boot %s: %w", name, err)
		}
		since := time.Since(m.Started).Seconds()
		key, words := found[1], strings.Fields(found[2])
		switch key {
		case "docker":
			one.Docker, one.DockerCPU = since, cpuSeconds(m.Pid())
			one.Others = max(0, (hostBusy()-busy-one.DockerCPU)/(since*hostCPUs()))
			if limit := b.options.quiet; mayGiveUp && limit > 0 && one.Others > limit {
				return one, fmt.Errorf("%w: others used %.0f %%", errNoisy, one.Others*100)
			}
		case "end":
			one.SSH = <-banner
			one.PowerOff, err = powerOff(ctx, m)
			return one, err
		default:
			one.add(key, words)
		}
	}
}

// add takes in one finding.
func (o *boot) add(key string, words []string) {
	moment := ""
	if len(words) > 0 && !strings.Contains(words[0], "=") {
		moment, words = words[0], words[1:]
	}
	values := map[string]string{}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		values[name] = value
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(values[name], 10, 64)
		return n
	}
	at := o.Memory[moment]
	switch key {
	case "memory":
		at.Total, at.Available = number("MemTotal"), number("MemAvailable")
		at.Anonymous, at.Slab = number("AnonPages"), number("Slab")
	case "pss":
		at.PSS, at.Processes, at.Own = number("kib"), number("processes"), number("own")
	case "process":
		at.ByName = maps.Clone(at.ByName)
		if at.ByName == nil {
			at.ByName = map[string]int64{}
		}
		at.ByName[values["name"]] = number("kib")
	case "timed":
		from, err1 := strconv.ParseFloat(values["from"], 64)
		to, err2 := strconv.ParseFloat(values["to"], 64)
		if err := errors.Join(err1, err2); err != nil {
			o.Failed = append(o.Failed, err.Error())
			return
		}
		o.Timed[values["label"]] = append(o.Timed[values["label"]], to-from)
		return
	case "failed":
		o.Failed = append(o.Failed, values["what"])
		return
	default:
		return
	}
	o.Memory[moment] = at
}

// powerOff presses the power button until the machine has ended, and tells how
// long it took from the first press. A system that has only just booted may not
// be listening yet; a press that was heard is not undone by another.
func powerOff(ctx context.Context, m *qemu.Machine) (float64, error) {
	pressed := time.Now()
	for {
		if err := m.PressPower(); err != nil {
			return 0, err
		}
		select {
		case <-m.Ended():
		case <-time.After(10 * time.Second):
			continue
		case <-ctx.Done():
		}
		return time.Since(pressed).Seconds(), m.Wait(ctx)
	}
}

// sshBanner tries to read an ssh banner four times a second, as an impatient
// client does, and tells when it first could. QEMU accepts connections before
// the guest listens, so attempts overlap.
func sshBanner(ctx context.Context, m *qemu.Machine) <-chan float64 {
	answer := make(chan float64, 1)
	go func() {
		ctx, cancel := context.WithCancel(ctx)
		seen := make(chan float64, 1)
		var attempts sync.WaitGroup
		defer attempts.Wait()
		defer cancel()
		slots := make(chan struct{}, 3)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case at := <-seen:
				answer <- at
				return
			case <-m.Ended():
				answer <- 0
				return
			case <-ctx.Done():
				answer <- 0
				return
			case <-tick.C:
			}
			select {
			case slots <- struct{}{}:
			default:
				continue // three are under way
			}
			attempts.Go(func() {
				defer func() { <-slots }()
				if !readsBanner(ctx, m.SSHPort) {
					return
				}
				select {
				case seen <- time.Since(m.Started).Seconds():
				default:
				}
			})
		}
	}()
	return answer
}

func readsBanner(ctx context.Context, port int) bool {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	banner := make([]byte, 4)
	n, err := conn.Read(banner)
	return err == nil && string(banner[:n]) == "SSH-"
}
