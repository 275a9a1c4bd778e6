package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/control"
)

func (a *app) dockerInspect() *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "all there is to know about containers or images, JSON", ArgsUsage: "NAME…",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Local: true, Usage: "print each by a `TEMPLATE`: '{{.State.Pid}}'"},
			&cli.StringFlag{Name: "type", Local: true, Usage: "`container or image`"},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if !cmd.Args().Present() {
				return usage("system-docker ps -a", "cannot inspect: name a container or an image")
			}
			found, faults := []any{}, []error{}
			for _, word := range cmd.Args().Slice() {
				one, err := a.inspectObject(ctx, word, cmd.String("type"))
				if err != nil {
					faults = append(faults, err)
					continue
				}
				found = append(found, one)
			}
			if format := cmd.String("format"); format != "" {
				faults = append(faults, a.formatted(format, found...))
			} else {
				faults = append(faults, a.printJSON(found))
			}
			return errors.Join(faults...)
		},
	}
}

func (a *app) inspectObject(ctx context.Context, word, kind string) (any, error) {
	if kind != "image" {
		c, err := a.container(ctx, word)
		if err == nil {
			err = a.daemon().ask(ctx, "GET", "/v1/containers/"+c.Name, nil, &c)
			return inspectContainer(c), a.explain("inspect "+word, err)
		}
		if kind == "container" {
			return nil, err
		}
	}
	i, err := a.daemon().image(ctx, word)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == 404 {
		return nil, fmt.Errorf("no such object: %s", word)
	}
	return inspectImage(i), a.explain("inspect "+word, err)
}

// The following are as much of docker's answers as there is something to say
// about.

type inspectedContainer struct {
	Id, Name, Created, Path, Image string //nolint:revive // docker's spelling
	Args                           []string
	State                          inspectedState
	Config                         inspectedConfig
	HostConfig                     struct{ NetworkMode, PidMode string }
	Mounts                         []inspectedMount
	Spec                           json.RawMessage `json:"Spec,omitempty"`
}

type inspectedState struct {
	Status                string
	Running, Restarting   bool
	Pid, ExitCode         int
	Error                 string
	StartedAt, FinishedAt string
}

type inspectedConfig struct {
	Image, User, WorkingDir string
	Env, Cmd, Entrypoint    []string
	Tty                     bool
	Labels                  map[string]string
}

type inspectedMount struct {
	Type, Source, Destination string
	RW                        bool
}

// ociSpec is what of a runtime spec docker shows in other places.
type ociSpec struct {
	Process struct {
		Terminal bool
		User     struct{ UID, GID int }
		Env      []string
		Cwd      string
	}
	Mounts []struct {
		Type, Source, Destination string
		Options                   []string
	}
	Linux struct{ Namespaces []struct{ Type, Path string } }
}

func inspectContainer(c control.Container) inspectedContainer {
	var spec ociSpec
	_ = json.Unmarshal(c.Spec, &spec) // one that has never run has none
	state := dockerState(c)
	out := inspectedContainer{
		Id: c.ID, Name: "/" + c.Name, Created: c.Created.UTC().Format(time.RFC3339Nano), Image: c.Image, Args: []string{}, Mounts: []inspectedMount{},
		State: inspectedState{
			Status: state, Running: state == "running", Restarting: state == "restarting", Pid: c.Pid, Error: c.Reason,
			StartedAt: c.StartedAt.UTC().Format(time.RFC3339Nano), FinishedAt: c.FinishedAt.UTC().Format(time.RFC3339Nano),
		},
		Config: inspectedConfig{
			Image: c.Image, User: fmt.Sprintf("%d:%d", spec.Process.User.UID, spec.Process.User.GID), WorkingDir: spec.Process.Cwd,
			Env: spec.Process.Env, Cmd: c.Command, Tty: spec.Process.Terminal, Labels: c.Labels,
		},
		Spec: c.Spec,
	}
	if c.Pid == 0 {
		out.State.ExitCode = exitCode(c)
	}
	if len(c.Command) > 0 {
		out.Path, out.Args = c.Command[0], c.Command[1:]
	}
	out.HostConfig.NetworkMode, out.HostConfig.PidMode = "host", "host"
	for _, n := range spec.Linux.Namespaces {
		switch n.Type {
		case "network":
			out.HostConfig.NetworkMode = "none"
		case "pid":
			out.HostConfig.PidMode = ""
		}
	}
	for _, m := range spec.Mounts {
		if m.Type == "bind" {
			out.Mounts = append(out.Mounts, inspectedMount{"bind", m.Source, m.Destination, !strings.Contains(" "+strings.Join(m.Options, " ")+" ", " ro ")})
		}
	}
	return out
}

type inspectedImage struct {
	Id, Created, Architecture, Os string //nolint:revive // docker's spelling
	RepoTags, RepoDigests         []string
	Size                          int64
	Config                        inspectedConfig
	RootFS                        struct {
		Type   string
		Layers []string
	}
}

func inspectImage(i control.Image) inspectedImage {
	out := inspectedImage{
		Id: i.ID, Created: i.Created.UTC().Format(time.RFC3339Nano), Architecture: i.Architecture, Os: "linux", Size: i.Size,
		RepoTags: []string{}, RepoDigests: []string{},
		Config: inspectedConfig{
			User: i.Config.User, WorkingDir: i.Config.WorkingDir, Env: i.Config.Env, Cmd: i.Config.Cmd,
			Entrypoint: i.Config.Entrypoint, Labels: i.Labels,
		},
	}
	out.RootFS.Type, out.RootFS.Layers = "layers", i.Layers
	repository, tag := splitName(i.Name)
	if tag != "<none>" {
		out.RepoTags = append(out.RepoTags, repository+":"+tag)
	}
	if i.Digest != "" && repository != "<none>" && !i.Baked {
		out.RepoDigests = append(out.RepoDigests, repository+"@"+i.Digest)
	}
	return out
}
