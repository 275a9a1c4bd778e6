package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/preload"
	"github.com/rosteros/ros/internal/supervise"
)

const (
	preloadDir     = "/var/lib/rancher/preload"
	dockerService  = "docker"
	dockerSocket   = "/run/docker.sock"
	certificates   = "/etc/ssl/certs"
	registryDomain = "REGISTRY_DOMAIN"
)

// registries is how the config says that registries are reached. The system
// containerd and Docker have the same logins, mirrors and authorities.
func registries(cfg *config.Config) imagestore.Registries {
	if cfg == nil {
		return imagestore.Registries{} // nobody has read it yet, and nobody pulls yet
	}
	r := imagestore.Registries{
		Logins:       map[string]imagestore.Login{},
		Mirrors:      cfg.Rancher.Docker.RegistryMirror,
		Insecure:     cfg.Rancher.Docker.InsecureReg,
		Domain:       cfg.Rancher.Environment[registryDomain],
		Certificates: certificates,
		HTTPProxy:    cfg.Rancher.Network.HTTPProxy,
		HTTPSProxy:   cfg.Rancher.Network.HTTPSProxy,
		NoProxy:      cfg.Rancher.Network.NoProxy,
	}
	for host, auth := range cfg.Rancher.RegistryAuths {
		login := imagestore.Login{
			Username: auth.Username, Password: string(auth.Password),
			IdentityToken: string(auth.IdentityToken), RegistryToken: string(auth.RegistryToken),
		}
		if text, err := base64.StdEncoding.DecodeString(string(auth.Auth)); err == nil && len(text) > 0 {
			login.Username, login.Password, _ = strings.Cut(string(text), ":")
		}
		r.Logins[apply.RegistryHost(host)] = login
	}
	return r
}

// withDomain gives service files the variable that RancherOS set for them: they
// name images ${REGISTRY_DOMAIN}/rancher/….
func withDomain(variables map[string]string) map[string]string {
	all := map[string]string{registryDomain: "docker.io"}
	maps.Copy(all, variables)
	return all
}

// preloads are the archives of images that lie on the state disk.
type preloads struct {
	system, docker *preload.Folder
	arriving       atomic.Bool // those of the system may be on their way
	intoDocker     atomic.Bool // those of Docker may be
	supervisor     *supervise.Supervisor
	arrived        func(context.Context) // starts what has failed for want of them

	mu     sync.Mutex
	failed map[string][]string // folder: what was wrong with its archives
}

func newPreloads(store *imagestore.Store, log *slog.Logger) *preloads {
	p := &preloads{
		failed: map[string][]string{},
		system: &preload.Folder{
			Dir: preloadDir + "/system-docker", Record: "/var/lib/rancher/containerd/ros-preload.json", Log: log,
			Load: func(ctx context.Context, r io.Reader, size int64) ([]string, error) {
				list, err := store.Load(ctx, r, size, nil)
				var names []string
				for _, image := range list {
					names = append(names, imagestore.ShortName(image.Name))
				}
				return names, err
			},
		},
		docker: &preload.Folder{
			Dir: preloadDir + "/docker", Record: "/var/lib/docker/ros-preload.json", Log: log,
			Load: preload.IntoDocker(dockerSocket),
		},
	}
	p.expect(log)
	return p
}

// expect notes which images may be on their way from now on.
func (p *preloads) expect(log *slog.Logger) {
	for folder, arriving := range map[*preload.Folder]*atomic.Bool{p.system: &p.arriving, p.docker: &p.intoDocker} {
		pending, err := folder.Pending()
		if err != nil {
			log.Error(err.Error())
		}
		arriving.Store(len(pending) > 0)
	}
}

// run loads what is pending: into the system containerd at once, into Docker
// when it is there. Services whose image is not on the machine wait meanwhile.
func (p *preloads) run(ctx context.Context) {
	_, _ = p.load(ctx, p.system, nil) // remembers what went wrong
	p.arriving.Store(false)
	if pending, err := p.docker.Pending(); err == nil && len(pending) > 0 && p.engine(ctx) == nil {
		_, _ = p.load(ctx, p.docker, nil)
	}
	p.intoDocker.Store(false)
	p.arrived(ctx) // what failed meanwhile, because it asked for an image under another rosd
}

// load loads what is pending in a folder and remembers what went wrong.
func (p *preloads) load(ctx context.Context, f *preload.Folder, step func(images.Event)) ([]preload.Loaded, error) {
	loaded, err := f.Run(ctx, step)
	var failed []string
	for _, l := range loaded {
		if l.Err != nil {
			failed = append(failed, l.Err.Error())
		}
	}
	if err != nil && ctx.Err() == nil {
		failed = append(failed, err.Error())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed[f.Dir] = failed
	return loaded, err
}

// warnings are what an operator should know.
func (p *preloads) warnings() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Concat(p.failed[p.system.Dir], p.failed[p.docker.Dir])
}

// engine waits until Docker is healthy.
func (p *preloads) engine(ctx context.Context) error {
	changes, stop := p.supervisor.Events()
	defer func() { stop() }()
	for {
		if s, err := p.supervisor.Service(dockerService); err == nil && s.State == supervise.Healthy {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-changes:
			if !ok { // we fell behind
				stop()
				changes, stop = p.supervisor.Events()
			}
		}
	}
}

// now loads what is pending for somebody who waits for it.
func (p *preloads) now(ctx context.Context, say func(line string), step func(images.Event)) error {
	const enginePatience = 2 * time.Minute
	var errs []error
	load := func(f *preload.Folder) {
		loaded, err := p.load(ctx, f, step)
		for _, l := range loaded {
			if l.Err != nil {
				errs = append(errs, l.Err)
				continue
			}
			say(fmt.Sprintf("%s/%s: %s", f.Dir, l.File, strings.Join(l.Images, " ")))
		}
		errs = append(errs, err)
	}
	load(p.system)
	pending, err := p.docker.Pending()
	errs = append(errs, err)
	if len(pending) > 0 {
		bounded, cancel := context.WithTimeout(ctx, enginePatience)
		defer cancel()
		if p.engine(bounded) != nil {
			errs = append(errs, fmt.Errorf("cannot load images from %s: docker is not healthy", p.docker.Dir))
		} else {
			load(p.docker)
		}
	}
	p.arrived(ctx)
	return errors.Join(errs...)
}

// tendRuns looks after containers that were made by hand before this rosd
// started.
func tendRuns(ctx context.Context, runtime *containers.Runtime, log *slog.Logger) {
	const again = 5 * time.Second
	for {
		err := runtime.TendRuns(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("trying again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}
