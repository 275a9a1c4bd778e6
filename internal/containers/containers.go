// Package containers runs services in the system containerd.
//
// It owns the container records and tasks of the namespace "ros", the OCI
// runtime spec of a service and the writable layer over the directories of its
// image. It does not own the images: baked ones are in a catalogue (package
// images), others in containerd's store (package imagestore).
//
// It keeps no policy and no state of services: package supervise calls it
// (Runtime implements supervise.Runtime) and decides. What runs is known by
// containerd and its shims, so rosd may die at any time.
//
// The package talks to containerd's gRPC services directly. The client library
// would ask for the image, the snapshot, the lease and the spec on the way to
// a task, things that a baked image does not have, on the path of the boot.
package containers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"google.golang.org/grpc"

	"github.com/rosteros/ros/internal/bridge"
	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containerd"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/supervise"
)

// LayersDir is where the OS image has the layers of its images.
const LayersDir = "/usr/lib/ros/layers"

// Options are the places of the running machine. A field that is "" has the
// value named beside it; CgroupParent and ShimCgroup are taken as they are.
type Options struct {
	Socket    string // containerd's: /run/ros/containerd/containerd.sock
	Namespace string // containerd's: ros

	ImagesDir  string // the catalogue: /usr/lib/ros/images
	LayersDir  string // the images' layers: the constant of that name
	RunDir     string // writable layers, on a tmpfs: /run/ros/roots
	RootsDir   string // writable layers that stay, on the state disk: /var/lib/rancher/roots
	VolumesDir string // named volumes: /var/lib/rancher/volumes

	InitPath    string // takes over a task's output ("init log …"): /usr/lib/ros/init
	Runtime     string // OCI runtime: /usr/bin/crun
	RuntimeRoot string // its state: /run/ros/crun

	// Cmdline, if it exists, is the kernel command line as services may see it:
	// without what stands behind " -- ": cmdline.VisibleFile
	Cmdline string

	CgroupRoot   string // where cgroup v2 is mounted: /sys/fs/cgroup
	CgroupParent string // above the cgroups of services; "" leaves the place to the OCI runtime
	ShimCgroup   string // cgroup of the shims; "" leaves them in containerd's

	// Store has the images that are not in the catalogue; nil: there are none.
	Store Store
	// Arriving, if not nil, says whether images are on their way into the store
	// without anybody having to do anything about it.
	Arriving func() bool

	// Networks give services a network of their own; nil: there are none.
	Networks Networks

	// Created, if not nil, is called when a container has been made and before
	// its program starts: the files of the service are at /proc/PID/root.
	Created func(service string, pid int)

	Log *slog.Logger // slog.DiscardHandler when nil
}

// Networks are those of services with the network mode "bridge"; a
// *bridge.Networks.
type Networks interface {
	// Attach makes the network namespace of a service. One that is left of an
	// earlier run goes.
	Attach(svc compose.Service) error
	// Detach removes it; that there is none is no error.
	Detach(service string) error
	// Keep removes those of services that do not run.
	Keep(running func(service string) bool)
	// Files are the places of the namespace and of what is mounted on files of
	// /etc, whether they are there or not.
	Files(service string) bridge.Files
}

// The cgroups of the running machine, for Options.
const (
	CgroupParent = "/services"
	ShimCgroup   = "/shims"
)

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&o.Socket, containerd.Socket},
		{&o.Namespace, containerd.Namespace},
		{&o.ImagesDir, "/usr/lib/ros/images"},
		{&o.LayersDir, LayersDir},
		{&o.RunDir, "/run/ros/roots"},
		{&o.RootsDir, "/var/lib/rancher/roots"},
		{&o.VolumesDir, "/var/lib/rancher/volumes"},
		{&o.InitPath, "/usr/lib/ros/init"},
		{&o.Runtime, "/usr/bin/crun"},
		{&o.RuntimeRoot, "/run/ros/crun"},
		{&o.Cmdline, cmdline.VisibleFile},
		{&o.CgroupRoot, "/sys/fs/cgroup"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// lookTimeout bounds what is asked of containerd on the way to an answer that
// somebody waits for.
const lookTimeout = 5 * time.Second

// Labels of a container record, by which a later rosd knows it again.
const (
	labelService = "ros.service"
	labelHash    = "ros.hash"
	labelFile    = "ros.file"
)

// Runtime is the system containerd, as supervise.Runtime wants it.
type Runtime struct {
	opts       Options
	images     images.Catalogue
	conn       *grpc.ClientConn
	containers containersapi.ContainersClient
	tasks      tasksapi.TasksClient
	volumes    sync.Mutex // held while a volume is made

	// ctx ends with Close; the goroutines that wait for tasks run under it.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

var _ supervise.Runtime = (*Runtime)(nil)

// New reads the image catalogue and returns at once: the first call that
// needs containerd waits for it. A catalogue that cannot be read (in part) is
// logged; the services that miss their image say so when they start.
func New(o Options) (*Runtime, error) {
	o = o.withDefaults()
	catalogue, err := images.Load(o.ImagesDir)
	if err != nil {
		o.Log.Error("going on without some images", "error", err)
	}
	conn, err := dial(o.Socket, o.Namespace)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Runtime{
		opts:       o,
		images:     catalogue,
		conn:       conn,
		containers: containersapi.NewContainersClient(conn),
		tasks:      tasksapi.NewTasksClient(conn),
		ctx:        ctx,
		cancel:     cancel,
	}, nil
}

// Close leaves every task running, ends the connection and waits for the
// goroutines of the tasks. Their Exited channels stay open.
func (r *Runtime) Close() error {
	r.cancel()
	err := r.conn.Close()
	r.wg.Wait()
	return err
}

// Baked are the images of the OS image.
func (r *Runtime) Baked() images.Catalogue { return r.images }

// DefinitionHash implements supervise.Runtime: what the service file says
// (see compose.DefinitionHash) and what is in the image.
func (r *Runtime) DefinitionHash(svc compose.Service) (string, error) {
	ctx, cancel := context.WithTimeout(r.ctx, lookTimeout)
	defer cancel()
	src, err := r.find(ctx, svc)
	if err != nil {
		return "", err
	}
	return definitionHash(svc, src.Image)
}

func definitionHash(svc compose.Service, img images.Image) (string, error) {
	b, err := json.Marshal(img)
	if err != nil {
		return "", fmt.Errorf("internal error: image %q: %w", img.Name, err)
	}
	sum := sha256.Sum256(append(b, compose.DefinitionHash(svc)...))
	return hex.EncodeToString(sum[:]), nil
}

// Spec implements supervise.Runtime.
func (r *Runtime) Spec(svc compose.Service) ([]byte, error) {
	ctx, cancel := context.WithTimeout(r.ctx, lookTimeout)
	defer cancel()
	src, err := r.find(ctx, svc)
	if err == nil {
		err = r.open(ctx, svc.Name, &src)
	}
	if err != nil {
		return nil, err
	}
	defer src.files.Release()
	spec, err := Spec(svc, src.Image, r.machine(svc, src))
	if err != nil {
		return nil, fmt.Errorf("cannot make the spec of service %q: %w", svc.Name, err)
	}
	return json.MarshalIndent(spec, "", "  ")
}

func (r *Runtime) machine(svc compose.Service, src source) Machine {
	var network bridge.Files
	if r.opts.Networks != nil {
		network = r.opts.Networks.Files(svc.NetworkOf())
	}
	program := ""
	if svc.Init {
		program = r.initProgram()
	}
	visible := ""
	if exists(r.opts.Cmdline) {
		visible = r.opts.Cmdline
	}
	return Machine{
		Cmdline:      visible,
		ReadFile:     src.readFile,
		Devices:      hostDevices,
		VolumesDir:   r.opts.VolumesDir,
		FilesDir:     r.filesDir(svc.Name),
		CgroupParent: r.opts.CgroupParent,
		Init:         program,
		Network:      network,
	}
}

// Running implements supervise.Runtime with two calls, however many services
// there are.
func (r *Runtime) Running(ctx context.Context) (map[string]supervise.Task, error) {
	list, err := r.tasks.List(ctx, &tasksapi.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the running services: %w", err)
	}
	records, err := r.containers.List(ctx, &containersapi.ListContainersRequest{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the containers of services: %w", err)
	}
	byID := make(map[string]*containersapi.Container, len(records.GetContainers()))
	for _, c := range records.GetContainers() {
		byID[c.GetID()] = c
	}
	tasks := make(map[string]supervise.Task)
	for _, p := range list.GetTasks() {
		record := byID[p.GetID()]
		service := record.GetLabels()[labelService]
		// A task that was created but never started has nobody's program in
		// it; the next Start removes it.
		if service == "" || !adoptable(p.GetStatus()) {
			continue
		}
		t, err := r.adopt(record, p)
		if err != nil {
			r.opts.Log.Warn("cannot adopt a running service", "service", service, "error", err)
			continue
		}
		tasks[service] = t
	}
	if r.opts.Networks != nil {
		r.opts.Networks.Keep(func(service string) bool { return tasks[service] != nil })
	}
	return tasks, nil
}

// dir is where the pipes of a service's probes are, its configs and secrets, and
// its writable layer, unless that stays.
func (r *Runtime) dir(service string) string {
	return filepath.Join(r.opts.RunDir, service)
}
