package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/slots"
)

// runArgs reads or replaces the operator's kernel arguments.
func runArgs(ctx context.Context, c call) (result any, err error) {
	var o osupdate.ArgsOptions
	if err := c.decode(&o); err != nil {
		return nil, err
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil, fmt.Errorf("cannot read the kernel arguments: %w", err)
	}
	kernel := cmdline.Parse(string(line))
	if slots.FromCmdline(kernel).Slot == "" {
		return nil, errors.New("cannot edit the kernel's arguments: this machine was started from an ISO, whose boot menu cannot be written")
	}
	image, _ := kernel.Value("ros.image")
	esp, note, err := bootloader.OpenESP(ctx, blockdev.Local(), image)
	if note != "" {
		c.events.Note("%s", note)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, esp.Close()) }()
	return changeArgs(esp, o)
}

// changeArgs does so on any boot loader.
func changeArgs(loader bootloader.Loader, o osupdate.ArgsOptions) (any, error) {
	now, err := loader.Args()
	if err != nil || o.Set == nil {
		return osupdate.Args{Args: now}, err
	}
	if now != o.Was {
		return nil, fmt.Errorf("cannot keep the kernel arguments: they have been changed meanwhile, to: %s", now)
	}
	if err := loader.SetArgs(*o.Set); err != nil {
		return nil, err
	}
	now, err = loader.Args()
	return osupdate.Args{Args: now}, err
}
