package server

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/control"
)

// Machine is where Status reads about the machine: files below Root, which is
// "/" outside of tests.
type Machine struct {
	Root string
}

// status leaves out what cannot be read: half a screen is better than none.
func (m Machine) status(boot bootlog.Record) control.Status {
	release := m.release()
	return control.Status{
		Version:       cmp.Or(release.Version, boot.Version),
		Arch:          cmp.Or(release.Arch, runtime.GOARCH),
		Hostname:      m.line("proc/sys/kernel/hostname"),
		Kernel:        m.line("proc/sys/kernel/osrelease"),
		Slot:          boot.Slot,
		State:         boot.State,
		UptimeSeconds: m.uptime(),
		MemTotal:      m.memory("MemTotal"),
		MemAvailable:  m.memory("MemAvailable"),
		Warnings:      boot.Warnings,
	}
}

type release struct {
	Version string `json:"version"`
	Arch    string `json:"arch"`
}

func (m Machine) release() (r release) {
	text, err := os.ReadFile(filepath.Join(m.Root, "usr/lib/ros/release.json"))
	if err == nil {
		_ = json.Unmarshal(text, &r)
	}
	return r
}

func (m Machine) line(path string) string {
	text, _ := os.ReadFile(filepath.Join(m.Root, path))
	return string(bytes.TrimSpace(text))
}

func (m Machine) uptime() float64 {
	word, _, _ := strings.Cut(m.line("proc/uptime"), " ")
	seconds, _ := strconv.ParseFloat(word, 64)
	return seconds
}

// memory is a value of /proc/meminfo in bytes.
func (m Machine) memory(key string) int64 {
	f, err := os.Open(filepath.Join(m.Root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), key+": %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// GroupID looks up a group in a file like /etc/group.
func GroupID(file, name string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("cannot look up group %q: %w", name, err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 3 || fields[0] != name {
			continue
		}
		if gid, err := strconv.Atoi(fields[2]); err == nil {
			return gid, nil
		}
	}
	return 0, fmt.Errorf("cannot look up group %q: it is not in %s", name, file)
}
