package main

import (
	"fmt"
	"os"

	"github.com/rosteros/ros/internal/cmdline"
)

// readCmdline is the kernel command line of the running system.
func readCmdline() (cmdline.Line, error) {
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return cmdline.Line{}, fmt.Errorf("cannot read the kernel command line: %w", err)
	}
	return cmdline.Parse(string(text)), nil
}
