package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, which is 100 on every Linux we run on.
const ticksPerSecond = 100

func hostCPUs() float64 { return float64(runtime.NumCPU()) }

// hostBusy is how many seconds of CPU the host has spent since it was started,
// over all its processors.
func hostBusy() float64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var total, idle float64
	for i, word := range strings.Fields(line)[1:] {
		ticks, _ := strconv.ParseFloat(word, 64)
		total += ticks
		if i == 3 || i == 4 { // idle, iowait
			idle += ticks
		}
	}
	return (total - idle) / ticksPerSecond
}

// cpuSeconds is what a process has used.
func cpuSeconds(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may contain anything.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	words := strings.Fields(rest)
	if len(words) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(words[11], 64)
	system, _ := strconv.ParseFloat(words[12], 64)
	return (user + system) / ticksPerSecond
}

// waitForQuiet waits until the host was less busy than limit for three
// seconds, but not for ever: a boot that others disturb is noticed anyway.
func waitForQuiet(limit float64) {
	const window, patience = 3 * time.Second, time.Minute
	if limit <= 0 {
		return
	}
	for began := time.Now(); time.Since(began) < patience; {
		before := hostBusy()
		time.Sleep(window)
		if (hostBusy()-before)/(window.Seconds()*hostCPUs()) < limit {
			return
		}
	}
}
