package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) dockerRun() *cli.Command {
	text := func(name, alias, use string) cli.Flag {
		f := &cli.StringFlag{Name: name, Usage: use, Local: true}
		if alias != "" {
			f.Aliases = []string{alias}
		}
		return f
	}
	list := func(name, alias, use string) cli.Flag {
		f := &cli.StringSliceFlag{Name: name, Usage: use, Local: true}
		if alias != "" {
			f.Aliases = []string{alias}
		}
		return f
	}
	yes := func(name, alias, use string) cli.Flag {
		f := &cli.BoolFlag{Name: name, Usage: use, Local: true}
		if alias != "" {
			f.Aliases = []string{alias}
		}
		return f
	}
	return &cli.Command{
		Name: "run", Usage: "make a container and start it", ArgsUsage: "IMAGE [PROGRAM [ARGUMENT…]]",
		Description: `What is written to its root file system stays until "rm". It has the network of
the machine. After a reboot it is there and does not run; with --restart it is
made a service instead (a file in /var/lib/rancher/services), which rosd runs.
Without -d there is no log: the output comes here.`,
		StopOnNthArg: nth(1), DisableSliceFlagSeparator: true,
		Flags: []cli.Flag{
			yes("detach", "d", "do not wait for its end"),
			yes("interactive", "i", "with standard input"),
			yes("tty", "t", "with a terminal"),
			yes("rm", "", "remove it when it ends"),
			text("name", "", "its `NAME`"),
			text("restart", "", "`POLICY`: no, on-failure[:N], always, unless-stopped"),
			list("env", "e", "with `NAME=VALUE`"),
			list("volume", "v", "mount a `VOLUME`: source:target[:options]"),
			list("tmpfs", "", "with memory at a `PATH`"),
			list("device", "", "with a `DEVICE`"),
			list("label", "l", "with `NAME=VALUE`"),
			text("user", "u", "as `USER[:GROUP]`"),
			text("workdir", "w", "in a `FOLDER`"),
			text("entrypoint", "", "run a `PROGRAM`, not the image's"),
			text("hostname", "h", "see another `NAME` of the machine"),
			&cli.StringFlag{Name: "network", Aliases: []string{"net"}, Usage: "`NETWORK`: host or none", Local: true},
			text("pid", "", "`host`: see the processes of the machine"),
			text("ipc", "", "`host`"),
			text("uts", "", "`host`"),
			yes("privileged", "", "with every right"),
			list("cap-add", "", "with a `CAPABILITY`"),
			list("cap-drop", "", "without a `CAPABILITY`"),
			list("security-opt", "", "with an `OPTION`, as in a service file"),
			yes("read-only", "", "the root file system cannot be written"),
			list("ulimit", "", "with a `NAME=SOFT[:HARD]`"),
			text("memory", "m", "at most so many `BYTES`"),
			text("pull", "", "`POLICY`: missing, always or never"),
		},
		Action: a.runContainer,
	}
}

func (a *app) runContainer(ctx context.Context, cmd *cli.Command) error {
	args := cmd.Args().Slice()
	if len(args) == 0 {
		return usage("system-docker run --rm -it alpine sh", "cannot run a container: name the image")
	}
	detach, terminal, input := cmd.Bool("detach"), cmd.Bool("tty"), cmd.Bool("interactive")
	restart := cmd.String("restart")
	service := restart != "" && restart != "no"
	switch {
	case service && !detach:
		return usage(cmd.FullName()+" -d --restart "+restart, "cannot run a container with --restart: it needs -d")
	case service && cmd.Bool("rm"):
		return usage("one of them", "cannot use --restart with --rm")
	case !detach && terminal && input && !a.sitsAtTerminal():
		return usage("without -t", "cannot use -t: the input is not a terminal")
	}
	if err := a.fetch(ctx, args[0], cmd.String("pull")); err != nil {
		return err
	}
	name := cmd.String("name")
	if name == "" {
		name = "run-" + strings.ToLower(rand.Text()[:8])
	}
	described, err := a.runFile(cmd, args)
	if err != nil {
		return err
	}
	file, err := json.Marshal(map[string]any{"services": map[string]any{name: described}})
	if err != nil {
		return err
	}
	// In a service file a dollar sign begins a variable, for docker it does not.
	file = bytes.ReplaceAll(file, []byte("$"), []byte("$$"))
	q := control.Run{File: file, Attach: !detach, Input: input && !detach, Remove: cmd.Bool("rm"), Service: service}
	if !detach {
		t, err := a.daemon().talk(ctx, "POST", "/v1/containers", q)
		if err != nil {
			return a.explain("run "+args[0], err)
		}
		return a.attach(t, input, terminal)
	}
	var made control.Container
	if err := a.daemon().ask(ctx, "POST", "/v1/containers", q, &made); err != nil {
		return a.explain("run "+args[0], err)
	}
	fmt.Fprintln(a.stdout, made.ID)
	return nil
}

// runFile says what docker's flags say in a service file's words.
func (a *app) runFile(cmd *cli.Command, args []string) (map[string]any, error) {
	f := map[string]any{"image": args[0]}
	ros := map[string]any{"scope": "system"}
	f["x-ros"] = ros
	if len(args) > 1 {
		f["command"] = args[1:]
	}
	for flag, key := range map[string]string{
		"user": "user", "workdir": "working_dir", "hostname": "hostname", "network": "network_mode", "pid": "pid",
		"ipc": "ipc", "uts": "uts", "memory": "mem_limit", "restart": "restart",
	} {
		if v := cmd.String(flag); v != "" {
			f[key] = v
		}
	}
	for flag, key := range map[string]string{
		"tmpfs": "tmpfs", "device": "devices", "label": "labels", "cap-add": "cap_add", "cap-drop": "cap_drop", "security-opt": "security_opt",
	} {
		if v := cmd.StringSlice(flag); len(v) > 0 {
			f[key] = v
		}
	}
	if v := a.environment(cmd.StringSlice("env")); len(v) > 0 {
		f["environment"] = v
	}
	if v := cmd.StringSlice("volume"); len(v) > 0 {
		f["volumes"] = v
	}
	if v := cmd.String("entrypoint"); v != "" {
		f["entrypoint"] = []string{v}
	}
	for flag, key := range map[string]string{"tty": "tty", "read-only": "read_only"} {
		if cmd.Bool(flag) {
			f[key] = true
		}
	}
	if cmd.Bool("privileged") {
		f["privileged"] = true
		ros["privileged-reason"] = "system-docker run --privileged"
	}
	limits := map[string]any{}
	for _, v := range cmd.StringSlice("ulimit") {
		name, values, _ := strings.Cut(v, "=")
		soft, hard, both := strings.Cut(values, ":")
		s, err := strconv.Atoi(soft)
		h := s
		if err == nil && both {
			h, err = strconv.Atoi(hard)
		}
		if err != nil {
			return nil, usage("--ulimit nofile=1024:4096", "cannot use %q for flag --ulimit", v)
		}
		limits[name] = map[string]int{"soft": s, "hard": h}
	}
	if len(limits) > 0 {
		f["ulimits"] = limits
	}
	return f, nil
}
