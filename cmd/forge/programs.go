package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rosteros/ros/internal/engine"
)

// program is one Go program of the OS image. All of them are static.
type program struct {
	name   string // of the binary in build/<arch>/bin
	module string // folder of its go.mod
	pkg    string
	tags   string
	flags  string // more -ldflags
}

// noTrace leaves gRPC's page of traces away, which nobody here looks at. It alone
// brings html/template, and a program with templates keeps every method of every
// type: the linker cannot know which of them a template calls.
const noTrace = "grpcnotrace"

// dockerdWithout are parts of dockerd that nobody can use here: a containerd of
// its own inside it, where ours is a service beside it, and the storage driver
// for a file system that the kernel does not have.
const dockerdWithout = "no_embedded_containerd exclude_graphdriver_zfs"

// theirs are built from other people's modules, each with a go.mod of its own.
var theirs = []program{
	{name: "containerd", module: "images/containerd", pkg: "./cmd/containerd", tags: noTrace + " urfave_cli_no_template"},
	{name: "containerd-shim-runc-v2", module: "images/containerd", pkg: "./cmd/containerd-shim-runc-v2", tags: noTrace},
	{name: "dockerd", module: "images/docker", pkg: "github.com/moby/moby/v2/cmd/dockerd", tags: noTrace + " netgo osusergo " + dockerdWithout,
		flags: "-X github.com/moby/moby/v2/dockerversion.Version=" + engine.BuiltInVersion},
}

var ours = []program{
	{name: "init", module: ".", pkg: "./init"},
	{name: "rosd", module: ".", pkg: "./cmd/rosd", tags: noTrace},
	{name: "osupdate", module: ".", pkg: "./cmd/osupdate"},
	// Without templates the linker drops a third of it; ros prints its own help.
	{name: "ros", module: ".", pkg: "./cmd/ros", tags: "urfave_cli_no_template"},
	{name: "project", module: ".", pkg: "./cmd/project"},
	{name: "ros-datasource", module: ".", pkg: "./cmd/datasource"},
	{name: "ros-netconf", module: ".", pkg: "./cmd/netconf"},
}

// ofCatalog are in images of the catalog, and not in the OS image.
var ofCatalog = []program{
	{name: "container-cron", module: ".", pkg: "./cmd/container-cron"},
}

func (f *forge) catalogPrograms() error {
	for _, p := range ofCatalog {
		if err := f.goBuild(p); err != nil {
			return err
		}
	}
	return nil
}

// programs builds all of them. The Go tool knows by itself what changed in
// ours; theirs take seconds merely to look at, so a stamp guards them.
func (f *forge) programs() error {
	for _, p := range theirs {
		source, err := hashTree(filepath.Join(f.top, p.module))
		if err != nil {
			return err
		}
		if p.module == "images/docker" { // its image.yml and rootfs are no source
			if source, err = f.moduleHash(p.module); err != nil {
				return err
			}
		}
		key := hash(source, p, runtime.Version())
		if err := f.once(f.shared, "program "+p.name, key, func() error { return f.goBuild(p) }); err != nil {
			return err
		}
	}
	for _, p := range ours {
		if err := f.goBuild(p); err != nil {
			return err
		}
	}
	return f.completion()
}

// completion asks ros, as built for this machine, for what bash completes.
func (f *forge) completion() error {
	text, err := f.output(nil, "go", "run", "./cmd/ros", "completion", "bash")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.shared, "ros.bash"), text, 0o644)
}

// moduleHash hashes only what the Go tool reads of a module without packages.
func (f *forge) moduleHash(module string) (string, error) {
	mod, err := fileHash(filepath.Join(f.top, module, "go.mod"))
	if err != nil {
		return "", err
	}
	sum, err := fileHash(filepath.Join(f.top, module, "go.sum"))
	return hash(mod, sum), err
}

func (f *forge) goBuild(p program) error {
	args := []string{"-C", p.module, "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-tags", p.tags, "-ldflags", "-s -w -buildid= " + p.flags,
		"-o", filepath.Join(f.shared, "bin", p.name), p.pkg}
	_, err := f.output([]string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + f.arch.Name}, "go", args...)
	if err != nil {
		return fmt.Errorf("cannot build %s: %w", p.name, err)
	}
	return nil
}
