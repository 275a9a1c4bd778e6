package main

import (
	"context"
	"fmt"

	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/install"
	"github.com/rosteros/ros/internal/release"
)

// runningSource is the release that runs.
func runningSource(kernel cmdline.Line, medium string) func(context.Context) (install.Source, func(), error) {
	return func(context.Context) (install.Source, func(), error) {
		slot, _ := kernel.Value("ros.slot")
		if slot != "iso" {
			return install.Source{}, nil, fmt.Errorf("cannot install: this system runs from slot %s; start the live ISO for that", slot)
		}
		// Who started the medium trusts it; its parts are checked all the same.
		r, err := release.OpenMedium(medium, release.Options{AllowUnsigned: true})
		if err != nil {
			return install.Source{}, nil, err
		}
		if hash, _ := kernel.Value("ros.roothash"); hash != r.Manifest.RootHash {
			r.Close()
			return install.Source{}, nil, fmt.Errorf("cannot install: another medium is in the drive: its release is %s, which is not what runs", r.Manifest.Version)
		}
		return install.Source{Manifest: r.Manifest, Bundle: r.Bundle, Part: r.Part}, func() { r.Close() }, nil
	}
}
