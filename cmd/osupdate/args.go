package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/osupdate"
)

// runArgs reads or replaces the operator's kernel arguments.
func runArgs(ctx context.Context, c call) (result any, err error) {
	var o osupdate.ArgsOptions
	if err := c.decode(&o); err != nil {
		return nil, err
	}
	m, err := thisMachine(c)
	if err != nil {
		return nil, err
	}
	err = m.with(ctx, func(loader bootloader.Loader) error {
		result, err = changeArgs(loader, o)
		return err
	})
	if errors.Is(err, errLive) {
		err = errors.New("cannot edit the kernel's arguments: this machine was started from an ISO, whose boot menu cannot be written")
	}
	return result, err
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
