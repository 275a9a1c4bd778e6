package main

import (
	"context"
	"fmt"

	"github.com/rosteros/ros/internal/bootloader"
	"github.com/rosteros/ros/internal/osupdate"
)

// disarm takes back a trial that was armed and waits for its first start. The
// release stays staged.
func (m *machine) disarm(ctx context.Context) (res osupdate.Changed, err error) {
	err = m.with(ctx, func(l bootloader.Loader) error {
		before, err := l.Boot()
		if err != nil {
			return err
		}
		after := before
		if before.Tries > 0 && before.Trial != m.running.Slot {
			after = before.Disarm()
		}
		if after == before {
			res.Nothing = "no trial waits for its start"
		} else if err := l.SetBoot(after); err != nil {
			return err
		}
		return m.describe(l, after, &res)
	})
	if err != nil {
		return res, fmt.Errorf("cannot take the trial back: %w", err)
	}
	return res, nil
}
