// Command forge builds Roster: programs, service images, the OS image, the
// initrd and the ISO. It runs on the build machine only, as root, and takes
// its tools from the build root (scripts/build-root.sh).
//
// Every step has a stamp: the hash of all that went into it. A step whose
// stamp is the same is left out, so a changed service file makes a new OS
// image but no new service image.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

const usage = `usage: forge [flags] VERB

  build      everything: programs, images, OS image, initrd, ISO
  programs   only our programs, containerd and dockerd
  images     only the service images
  catalog    the catalog with its images: a repository in build/<arch>/catalog
  disks      disk images with Roster installed (raw, qcow2, vmdk), of what was built
  keys       a key pair for signing releases, in cosign's format
  pack       the OS image as it travels in a release, of what was built
  release    builds for every architecture of -arches, and the release of them
  sizes      what every image, layer and binary weighs

flags:
`

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "forge:", err)
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

var errUsage = errors.New("wrong usage")

func run(args []string, out io.Writer) error {
	debug.SetGCPercent(200)
	flags := flag.NewFlagSet("forge", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	archName := flags.String("arch", "amd64", "architecture: "+strings.Join(archNames(), ", "))
	flavour := flags.String("flavour", "vm", "kernel: vm (Debian's cloud kernel) or metal (the generic one)")
	version := flags.String("version", "v0.0.0-dev", "version of the OS image")
	dense := flags.Bool("dense", false, "compress as for a release (slow) instead of fast")
	overlay := flags.String("overlay", "", "folder whose files go over those of the OS image: a program of your own, a key, a default")
	keys := flags.String("keys", "keys", "folder with the key pair that signs releases; its public keys go into the OS image")
	archList := flags.String("arches", strings.Join(archNames(), " "), "architectures of a release")
	releases := flags.String("out", "", "folder for releases (default: release in the build folder)")
	asIs := flags.Bool("as-is", false, "let the OS image of a release travel as it is: quick to make, for tests")
	buildDir := flags.String("build", "build", "folder for everything that is made")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	arch, ok := arches[*archName]
	if !ok {
		return fmt.Errorf("%w: no architecture %q; there are: %s", errUsage, *archName, strings.Join(archNames(), ", "))
	}
	if _, ok := arch.Kernel[*flavour]; !ok {
		return fmt.Errorf("%w: no kernel flavour %q; there are: vm, metal", errUsage, *flavour)
	}
	f, err := newForge(out, arch, *flavour, *version, *dense, *buildDir)
	if err != nil {
		return err
	}
	f.overlay, f.keys = *overlay, *keys
	switch flags.Arg(0) {
	case "build":
		return f.steps(f.programs, f.images, f.kernel, f.grub, f.osImage, f.initrd, f.manifest, f.iso)
	case "programs":
		return f.steps(f.programs)
	case "images":
		return f.steps(f.programs, f.images)
	case "catalog":
		return f.steps(f.programs, f.catalogPrograms, f.images, f.repository)
	case "disks":
		return f.steps(f.disks)
	case "keys":
		return f.makeKeys()
	case "pack":
		return f.steps(f.pack)
	case "release":
		return runRelease(f, strings.Fields(*archList), cmp.Or(*releases, filepath.Join(f.build, "release")), *asIs)
	case "sizes":
		return f.sizes()
	default:
		flags.Usage()
		return fmt.Errorf("%w: no verb %q", errUsage, flags.Arg(0))
	}
}

// runRelease makes a build like f for each architecture.
func runRelease(f *forge, names []string, top string, asIs bool) error {
	var builds []*forge
	for _, name := range names {
		arch, ok := arches[name]
		if !ok {
			return fmt.Errorf("%w: no architecture %q; there are: %s", errUsage, name, strings.Join(archNames(), ", "))
		}
		b, err := newForge(f.out, arch, f.flavour, f.version, f.dense, f.build)
		if err != nil {
			return err
		}
		b.overlay, b.keys = f.overlay, f.keys
		builds = append(builds, b)
	}
	if len(builds) == 0 {
		return fmt.Errorf("%w: -arches names none", errUsage)
	}
	return makeRelease(builds, top, asIs)
}
