// Command ros is the operator's hand on the machine: it shows what runs and
// why, starts and stops services, reads their logs and turns the power off.
//
// It asks rosd over its control socket, PID 1 over its own (power), and reads
// files where files are the truth (logs, the release, the record of a boot
// that did not reach rosd, the layers of the config). It decides nothing and
// keeps nothing. It never talks to containerd.
//
// There is one file per verb. Called by the name poweroff, reboot, halt or
// shutdown it is that verb alone; by the name enter it is the shell that leads
// into another console, and there it is sudo and docker, too. By the name
// wait-for-docker it waits for the user's engine.
package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/console"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/initctl"
	"github.com/rosteros/ros/internal/osupdate"
	"github.com/rosteros/ros/internal/servicelog"
)

func main() {
	cli.HelpPrinter = printHelp
	a := &app{
		stdin:      os.Stdin,
		stdout:     os.Stdout,
		stderr:     os.Stderr,
		color:      wantsColor(os.Stdout, os.Getenv),
		terminal:   isTerminal(os.Stdout),
		now:        time.Now,
		loc:        time.Local,
		uid:        os.Geteuid(),
		getenv:     os.Getenv,
		environ:    os.Environ,
		turnInto:   execProgram,
		socket:     control.Socket,
		initSocket: initctl.Socket,
		logDir:     servicelog.Dir,
		release:    releaseFile,
		bootRecord: bootlog.Path,
		osupdate:   osupdate.Program,

		consoleSocket: control.ConsoleSocket,
		engineSocket:  "/var/run/docker.sock",
		variables:     "/run/ros/login/environment",
		accounts:      "/" + console.Accounts,
		layersDir:     console.Layers,

		devices:     blockdev.Local(),
		homes:       "/home",
		conf:        configstore.Dir,
		oem:         config.OEMFile,
		kernelLines: kernelLines,
	}
	os.Exit(a.run(context.Background(), os.Args))
}
