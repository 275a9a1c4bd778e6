package containers_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/rosteros/ros/internal/containers"
)

// fakeContainerd answers the calls of a Runtime and writes them down. A test
// sets what the answers are; it stands for containerd only as far as the
// sequence of calls goes (tests/containers has the real one).
type fakeContainerd struct {
	containersapi.UnimplementedContainersServer

	t      *testing.T
	socket string
	server *grpc.Server

	mu       sync.Mutex
	calls    []string
	fail     map[string][]error // by call: the next answers; nil is success
	records  []*containersapi.Container
	tasks    []*tasktypes.Process
	created  *tasksapi.CreateTaskRequest
	exits    chan uint32   // what the next Wait of a main process answers
	shimGone chan struct{} // closed: Wait fails and Get finds nothing
}

func newFake(t *testing.T) *fakeContainerd {
	return &fakeContainerd{
		t: t, socket: filepath.Join(t.TempDir(), "c.sock"),
		fail: map[string][]error{}, exits: make(chan uint32, 1), shimGone: make(chan struct{}),
	}
}

func (f *fakeContainerd) serve() {
	f.t.Helper()
	_ = os.Remove(f.socket)
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server = grpc.NewServer()
	containersapi.RegisterContainersServer(f.server, f)
	tasksapi.RegisterTasksServer(f.server, taskServer{fake: f})
	go func() { _ = f.server.Serve(l) }()
	f.t.Cleanup(f.server.Stop)
}

// called notes a call and returns the answer that was set for it.
func (f *fakeContainerd) called(ctx context.Context, name string) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if ns := md.Get("containerd-namespace"); !slices.Equal(ns, []string{"ros"}) {
		f.t.Errorf("%s in namespace %q, want ros", name, ns)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	if queue := f.fail[name]; len(queue) > 0 {
		f.fail[name] = queue[1:]
		return queue[0]
	}
	return nil
}

// took returns the calls since the last took.
func (f *fakeContainerd) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := strings.Join(f.calls, " ")
	f.calls = nil
	return calls
}

var (
	errExists   = status.Error(codes.AlreadyExists, "it exists")
	errNotFound = status.Error(codes.NotFound, "not found")
)

func (f *fakeContainerd) Create(ctx context.Context, r *containersapi.CreateContainerRequest) (*containersapi.CreateContainerResponse, error) {
	f.records = []*containersapi.Container{r.GetContainer()}
	return &containersapi.CreateContainerResponse{}, f.called(ctx, "record")
}

func (f *fakeContainerd) Update(ctx context.Context, r *containersapi.UpdateContainerRequest) (*containersapi.UpdateContainerResponse, error) {
	f.records = []*containersapi.Container{r.GetContainer()}
	return &containersapi.UpdateContainerResponse{}, f.called(ctx, "overwrite")
}

func (f *fakeContainerd) List(ctx context.Context, _ *containersapi.ListContainersRequest) (*containersapi.ListContainersResponse, error) {
	return &containersapi.ListContainersResponse{Containers: f.records}, f.called(ctx, "records")
}

func (f *fakeContainerd) Delete(ctx context.Context, _ *containersapi.DeleteContainerRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, f.called(ctx, "unrecord")
}

// taskServer keeps the methods of the two services apart that have one name.
type taskServer struct {
	tasksapi.UnimplementedTasksServer
	fake *fakeContainerd
}

func (s taskServer) Create(ctx context.Context, r *tasksapi.CreateTaskRequest) (*tasksapi.CreateTaskResponse, error) {
	s.fake.created = r
	return &tasksapi.CreateTaskResponse{Pid: 1 << 23}, s.fake.called(ctx, "create") // above every real pid
}

func (s taskServer) Start(ctx context.Context, _ *tasksapi.StartRequest) (*tasksapi.StartResponse, error) {
	return &tasksapi.StartResponse{Pid: 1 << 23}, s.fake.called(ctx, "start")
}

func (s taskServer) Exec(ctx context.Context, _ *tasksapi.ExecProcessRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.fake.called(ctx, "exec")
}

func (s taskServer) Kill(ctx context.Context, _ *tasksapi.KillRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.fake.called(ctx, "kill")
}

func (s taskServer) Delete(ctx context.Context, _ *tasksapi.DeleteTaskRequest) (*tasksapi.DeleteResponse, error) {
	return &tasksapi.DeleteResponse{}, s.fake.called(ctx, "delete")
}

func (s taskServer) List(ctx context.Context, _ *tasksapi.ListTasksRequest) (*tasksapi.ListTasksResponse, error) {
	return &tasksapi.ListTasksResponse{Tasks: s.fake.tasks}, s.fake.called(ctx, "tasks")
}

func (s taskServer) Get(context.Context, *tasksapi.GetRequest) (*tasksapi.GetResponse, error) {
	select {
	case <-s.fake.shimGone:
		return nil, errNotFound
	default:
		return &tasksapi.GetResponse{Process: &tasktypes.Process{Status: tasktypes.Status_RUNNING}}, nil
	}
}

func (s taskServer) Wait(ctx context.Context, _ *tasksapi.WaitRequest) (*tasksapi.WaitResponse, error) {
	select {
	case code := <-s.fake.exits:
		return &tasksapi.WaitResponse{ExitStatus: code}, nil
	case <-s.fake.shimGone:
		return nil, status.Error(codes.Unknown, "ttrpc: closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// newRuntime has one image, ros/box, whose upper layer knows one user more.
func newRuntime(t *testing.T, f *fakeContainerd) (*containers.Runtime, containers.Options) {
	t.Helper()
	dir := t.TempDir()
	put := func(path, content string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte(content))
	}
	img, err := json.Marshal(boxImage)
	if err != nil {
		t.Fatal(err)
	}
	put("images/box.json", string(img))
	put("layers/base/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	put("layers/base/etc/group", "root:x:0:\nclocks:x:29:clock\n")
	put("layers/box/etc/passwd", "root:x:0:0::/root:/bin/sh\nclock:x:1201:1201::/var/lib/clock:/bin/sh\n")
	o := containers.Options{
		Socket: f.socket, ImagesDir: filepath.Join(dir, "images"), LayersDir: filepath.Join(dir, "layers"),
		RunDir: filepath.Join(dir, "roots"), VolumesDir: filepath.Join(dir, "volumes"), RuntimeRoot: filepath.Join(dir, "oci"),
		InitPath: "/usr/lib/ros/init", Runtime: "/bin/false",
	}
	r, err := containers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, o
}
