// Package console knows what makes a container of any image a place to log in.
//
// An image has nothing of ours inside. A console of its own is a service like
// any other, with a program of ours that does nothing (File writes its service
// file); before it starts its tables of accounts, its names of the machine and
// our commands are put into its writable layer (Dress). Logins stay in the
// services console and ssh and are entered into it by rosd (Login, Sudo say
// with which words).
//
// The package touches nothing but the folder that it is given. It fetches no
// images, starts nothing and decides nothing about who may log in: rosd does.
package console

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Default is the console that is always there: the services console and ssh
// themselves.
const Default = "default"

// Enter is the shell that accounts have while logins go on into another
// console. It is ros under a name of its own, in the images of console and ssh.
const Enter = "/usr/lib/ros-console/enter"

// The machine's tables as they are without Enter, for those who look for the
// shell that somebody really has.
const Accounts = "run/ros/login/console/passwd"

// Where a console sees what is ours. Its layers are the folders that images
// are made of: ros and docker are taken from there, with their libraries.
const (
	Layers = "/usr/lib/ros/layers"
	holder = "/usr/lib/ros/busybox"
	ros    = Layers + "/console/usr/bin/ros"
	docker = "console/usr/bin/docker" // below Layers
)

// DockerCLI says how Docker's command is started where its libraries are not:
// by the loader of the base image. The words before its arguments come back,
// the program first.
func DockerCLI(layers string) ([]string, error) {
	loaders, err := filepath.Glob(filepath.Join(layers, "base/usr/lib/*/ld-linux-*.so.*"))
	if err != nil || len(loaders) == 0 {
		return nil, fmt.Errorf("there is no loader below %s", layers)
	}
	return []string{loaders[0], "--argv0", "docker", "--library-path", filepath.Dir(loaders[0]), filepath.Join(layers, docker)}, nil
}

// Commands are the names under which ros is put into a console. sudo is among
// them where the image has none.
var Commands = []string{"ros", "docker", "system-docker", "poweroff", "reboot", "halt", "shutdown", "sudo", "wait-for-docker"}

// Service is the name of the service that a console is.
func Service(name string) string { return "console-" + name }

var unfit = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// NameOf makes the name of a console of a reference, an address or a path:
// "alpine-3.20" of docker.io/library/alpine:3.20.
func NameOf(what string) string {
	what, _, _ = strings.Cut(what, "@")
	name := path.Base(what)
	for _, ending := range []string{".yml", ".yaml", ".zst", ".xz", ".gz", ".tar", ".oci"} {
		name = strings.TrimSuffix(name, ending)
	}
	name = strings.TrimSuffix(name, ":latest")
	return strings.Trim(unfit.ReplaceAllString(name, "-"), "-._")
}
