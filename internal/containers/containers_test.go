package containers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/containers"
	"github.com/rosteros/ros/internal/supervise"
)

func TestStart(t *testing.T) {
	f := newFake(t)
	r, o := newRuntime(t, f)
	svc := box("ntp")
	svc.Mounts = []compose.Mount{
		{Type: "volume", Source: "data", Target: "/data"},
		{Type: "bind", Source: filepath.Join(o.RunDir, "../made"), Target: "/made", CreateHost: true},
	}
	type result struct {
		task supervise.Task
		err  error
	}
	done := make(chan result)
	go func() { // before there is a containerd
		task, err := r.Start(t.Context(), svc)
		done <- result{task, err}
	}()
	f.serve()
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	// Three calls; the watcher's Wait is not written down.
	if calls := f.took(); calls != "record create start" {
		t.Errorf("calls = %s, want record create start", calls)
	}
	hash, err := r.DefinitionHash(svc)
	if err != nil || got.task.Hash() != hash {
		t.Errorf("Hash = %s, DefinitionHash = %s, %v", got.task.Hash(), hash, err)
	}
	record := f.records[0]
	wantLabels := map[string]string{"ros.service": "ntp", "ros.hash": hash, "ros.file": "box.yml"}
	if diff := cmp.Diff(wantLabels, record.GetLabels()); diff != "" {
		t.Error(diff)
	}
	if url := record.GetSpec().GetTypeUrl(); url != "types.containerd.io/opencontainers/runtime-spec/1/Spec" {
		t.Errorf("type of the spec = %s", url)
	}
	if url := f.created.GetOptions().GetTypeUrl(); url != "containerd.runc.v1.Options" {
		t.Errorf("type of the options = %s", url)
	}
	want := []string{
		"lowerdir=" + o.LayersDir + "/box:" + o.LayersDir + "/base",
		"upperdir=" + o.RunDir + "/ntp/upper",
		"workdir=" + o.RunDir + "/ntp/work",
	}
	if diff := cmp.Diff(want, f.created.GetRootfs()[0].GetOptions()); diff != "" {
		t.Error(diff)
	}
	uri := "binary-v2:///usr/lib/ros/init?log=ntp%3A1048576%3A3"
	if f.created.GetStdout() != uri || f.created.GetStderr() != uri {
		t.Errorf("output = %s, %s, want %s", f.created.GetStdout(), f.created.GetStderr(), uri)
	}
	for _, dir := range []string{"../made", "../volumes/data", "ntp/upper", "ntp/work"} {
		if _, err := os.Stat(filepath.Join(o.RunDir, dir)); err != nil {
			t.Error(err)
		}
	}
	f.exits <- 3
	<-got.task.Exited()
	if code := got.task.ExitCode(); code != 3 {
		t.Errorf("exit code = %d, want 3", code)
	}
	if err := got.task.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if calls := f.took(); calls != "delete unrecord" {
		t.Errorf("calls of Delete = %s", calls)
	}
	if _, err := os.Stat(filepath.Join(o.RunDir, "ntp")); !os.IsNotExist(err) {
		t.Error("the writable layer is still there")
	}
}

// TestFiles looks at configs and secrets on the disk of the machine.
func TestFiles(t *testing.T) {
	f := newFake(t)
	r, o := newRuntime(t, f)
	f.serve()
	svc := box("web")
	svc.Files = []compose.File{
		{Source: "configs.page", Target: "/page", Mode: 0o444, Text: []byte("hello")},
		{Source: "secrets.word", Target: "/run/secrets/word", UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Mode: 0o440, Text: []byte("hush")},
	}
	spec, err := r.Spec(svc)
	if err != nil || strings.Contains(string(spec), "hush") || !strings.Contains(string(spec), o.RunDir+"/web/files/1") {
		t.Errorf("spec %s, %v", spec, err)
	}
	if _, err := r.Start(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"": "drwx------ ", "0": "-r--r--r-- hello", "1": "-r--r----- hush"} {
		path := filepath.Join(o.RunDir, "web/files", name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(path)
		if got := info.Mode().String() + " " + string(text); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if strings.Contains(f.records[0].String(), "hush") {
		t.Error("the secret is in the container record")
	}
}

// A new volume belongs to whom the image says; one that is there stays as it is.
func TestNewVolume(t *testing.T) {
	f := newFake(t)
	r, o := newRuntime(t, f)
	f.serve()
	for _, dir := range []string{"base/data", "box/data", "base/gone"} {
		if err := os.MkdirAll(filepath.Join(o.LayersDir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const sticky = os.ModeSticky | 0o770
	os.Chmod(filepath.Join(o.LayersDir, "box/data"), sticky)
	os.Chmod(filepath.Join(o.LayersDir, "base/gone"), 0o700)
	os.WriteFile(filepath.Join(o.LayersDir, "box/gone"), nil, 0o600)
	os.MkdirAll(filepath.Join(o.VolumesDir, "old"), 0o711)
	os.Chmod(filepath.Join(o.VolumesDir, "old"), 0o711)
	svc := box("web")
	for name, target := range map[string]string{"new": "/data", "gone": "/gone", "other": "/other", "old": "/data/old"} {
		svc.Mounts = append(svc.Mounts, compose.Mount{Type: "volume", Source: name, Target: target})
	}
	if _, err := r.Start(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"new": sticky, "gone": 0o755, "other": 0o755, "old": 0o711} {
		info, err := os.Stat(filepath.Join(o.VolumesDir, name))
		if err != nil || info.Mode() != os.ModeDir|want {
			t.Errorf("volume %s is %v, %v, want %v", name, info, err, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(o.VolumesDir, ".*")); len(left) > 0 {
		t.Errorf("there is left %v", left)
	}
}

// Services that share a new volume may start at once.
func TestNewVolumeOfTwo(t *testing.T) {
	r, o := newRuntime(t, newFake(t))
	for n := range 300 {
		name := fmt.Sprintf("data%d", n)
		var both sync.WaitGroup
		for _, service := range []string{"one", "two"} {
			both.Go(func() {
				if err := r.MakeVolume(name); err != nil {
					t.Error(err)
				}
				if err := os.WriteFile(filepath.Join(o.VolumesDir, name, service), nil, 0o600); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if entries, err := os.ReadDir(filepath.Join(o.VolumesDir, name)); err != nil || len(entries) != 2 {
			t.Fatalf("%s has %v (%v), want what both have written", name, entries, err)
		}
	}
}

// What has to be there is not made.
func TestVolumesOfSomebodyElse(t *testing.T) {
	f := newFake(t)
	r, o := newRuntime(t, f)
	f.serve()
	svc := box("web")
	svc.Mounts = []compose.Mount{
		{Type: "volume", Source: "shared", Target: "/a", External: true},
		{Type: "volume", Source: "bound", Target: "/b", Device: filepath.Join(o.RunDir, "../srv")},
	}
	_, err := r.Start(t.Context(), svc)
	for _, want := range []string{`volume "shared": ` + o.VolumesDir + "/shared does not exist", `volume "bound": ` + filepath.Join(o.RunDir, "../srv") + " does not exist"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start: %v, want %s", err, want)
		}
	}
	os.MkdirAll(filepath.Join(o.VolumesDir, "shared"), 0o755)
	os.MkdirAll(filepath.Join(o.RunDir, "../srv"), 0o755)
	if _, err := r.Start(t.Context(), svc); err != nil {
		t.Error(err)
	}
}

// TestCreated is the moment in which files can be put into a container.
func TestCreated(t *testing.T) {
	f := newFake(t)
	_, o := newRuntime(t, f)
	o.Created = func(service string, pid int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls = append(f.calls, fmt.Sprintf("created(%s, %d)", service, pid))
	}
	r, err := containers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f.serve()
	if _, err := r.Start(t.Context(), box("ntp")); err != nil {
		t.Fatal(err)
	}
	if calls := f.took(); calls != "record create created(ntp, 8388608) start" {
		t.Errorf("calls = %s, want created between create and start", calls)
	}
}

func TestStartOverLeftovers(t *testing.T) {
	f := newFake(t)
	f.serve()
	r, _ := newRuntime(t, f)
	f.fail["record"] = []error{errExists}
	f.fail["create"] = []error{errExists}
	f.exits <- 137 // the leftover ends when it is killed
	if _, err := r.Start(t.Context(), box("ntp")); err != nil {
		t.Fatal(err)
	}
	if calls := f.took(); calls != "record overwrite create kill delete create start" {
		t.Errorf("calls = %s", calls)
	}
}

// containerd gives a call up when its deadline is over, perhaps before our own
// clock says so.
func TestProbeTakesTooLong(t *testing.T) {
	f := newFake(t)
	f.serve()
	r, _ := newRuntime(t, f)
	task, err := r.Start(t.Context(), box("ntp"))
	if err != nil {
		t.Fatal(err)
	}
	f.fail["exec"] = []error{status.Error(codes.Canceled, "stream terminated by RST_STREAM with error code: CANCEL")}
	_, _, err = task.Exec(t.Context(), []string{"true"}, time.Hour)
	if want := `cannot run ["true"] in service "ntp": no end after 1h0m0s`; err == nil || err.Error() != want {
		t.Errorf("Exec = %v, want %s", err, want)
	}
}

func TestStartFails(t *testing.T) {
	crun := status.Error(codes.Unknown, "failed to create shim task: OCI runtime create failed: executable file `x` not found in $PATH")
	for _, tt := range []struct {
		name      string
		fail      string
		change    func(*compose.Service)
		want      string
		calls     string
		permanent bool
	}{
		{name: "runtime", fail: "create", want: "executable file `x` not found in $PATH", calls: "record create kill delete delete unrecord"},
		{name: "image", change: func(s *compose.Service) { s.Image = "ros/foo" }, want: `image "ros/foo" is not in this OS image (it has ros/box)`, permanent: true},
		{name: "spec", change: func(s *compose.Service) { s.NetworkMode = "bridge" }, want: `network_mode: "bridge" is not supported, only "host", "none" and "service:NAME"`, permanent: true},
		{name: "bind", change: func(s *compose.Service) {
			s.Mounts = []compose.Mount{{Type: "bind", Source: "/none/a", Target: "/a"}, {Type: "bind", Source: "/none/b", Target: "/b"}}
		}, want: "/none/a, to be mounted on /a, does not exist\n/none/b, to be mounted on /b, does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.serve()
			r, o := newRuntime(t, f)
			f.fail[tt.fail] = []error{crun}
			f.fail["kill"] = []error{errNotFound}
			f.fail["delete"] = []error{errNotFound, errNotFound}
			svc := box("ntp")
			if tt.change != nil {
				tt.change(&svc)
			}
			_, err := r.Start(t.Context(), svc)
			if want := `cannot start service "ntp": ` + tt.want; text(err) != want || supervise.IsPermanent(err) != tt.permanent {
				t.Errorf("Start = %q (permanent %v), want %q (%v)", text(err), supervise.IsPermanent(err), want, tt.permanent)
			}
			if calls := f.took(); calls != tt.calls {
				t.Errorf("calls = %q, want %q", calls, tt.calls)
			}
			if _, err := os.Stat(filepath.Join(o.RunDir, "ntp")); !os.IsNotExist(err) {
				t.Error("the writable layer is still there")
			}
		})
	}
}

func TestContainerdIsDown(t *testing.T) {
	f := newFake(t)
	r, _ := newRuntime(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := r.Running(ctx)
	if !supervise.IsDown(err) || text(err) != "cannot list the running services: containerd does not answer" {
		t.Errorf("Running = %q, IsDown %v", text(err), supervise.IsDown(err))
	}
}

func TestExitSurvivesContainerdRestart(t *testing.T) {
	f := newFake(t)
	f.serve()
	r, _ := newRuntime(t, f)
	task, err := r.Start(t.Context(), box("ntp"))
	if err != nil {
		t.Fatal(err)
	}
	f.server.Stop()
	select {
	case <-task.Exited():
		t.Fatal("the end of containerd counts as the end of the task")
	case <-time.After(20 * time.Millisecond):
	}
	f.serve()
	f.exits <- 9
	<-task.Exited()
	if code := task.ExitCode(); code != 9 {
		t.Errorf("exit code = %d, want 9", code)
	}
}

func TestShimDied(t *testing.T) {
	f := newFake(t)
	f.serve()
	r, _ := newRuntime(t, f)
	task, err := r.Start(t.Context(), box("ntp"))
	if err != nil {
		t.Fatal(err)
	}
	f.took()
	gone := status.Error(codes.Unknown, "ttrpc: closed")
	f.mu.Lock()
	f.fail["kill"] = []error{gone}
	f.fail["delete"] = []error{gone, gone, errNotFound} // until containerd has cleaned up
	f.mu.Unlock()
	close(f.shimGone)
	<-task.Exited()
	if code := task.ExitCode(); code != 255 {
		t.Errorf("exit code = %d, want 255", code)
	}
	if calls := f.took(); calls != "kill delete delete delete" {
		t.Errorf("calls = %s", calls)
	}
}

func TestCloseLeavesTasksRunning(t *testing.T) {
	f := newFake(t)
	f.serve()
	r, _ := newRuntime(t, f)
	task, err := r.Start(t.Context(), box("ntp"))
	if err != nil {
		t.Fatal(err)
	}
	f.took()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-task.Exited():
		t.Error("Close counts as the end of the task")
	default:
	}
	if calls := f.took(); calls != "" {
		t.Errorf("calls = %s, want none", calls)
	}
}

func TestRunning(t *testing.T) {
	f := newFake(t)
	f.serve()
	r, _ := newRuntime(t, f)
	for _, name := range []string{"ntp", "cron"} { // for their records
		if _, err := r.Start(t.Context(), box(name)); err != nil {
			t.Fatal(err)
		}
	}
	f.took()
	begun := time.Now().Add(-time.Minute).Round(time.Second)
	record := func(id string, like *containersapi.Container) *containersapi.Container {
		return &containersapi.Container{ID: id, Labels: map[string]string{"ros.service": id, "ros.hash": "h-" + id}, Spec: like.GetSpec(), UpdatedAt: timestamppb.New(begun)}
	}
	like := f.records[0]
	f.records = []*containersapi.Container{record("ntp", like), record("ended", like), record("unborn", like), {ID: "somebody"}}
	const nobody = 1 << 23 // above every real pid
	f.tasks = []*tasktypes.Process{
		{ID: "ntp", Pid: nobody, Status: tasktypes.Status_RUNNING},
		{ID: "ended", Pid: nobody, Status: tasktypes.Status_STOPPED, ExitStatus: 4},
		{ID: "unborn", Pid: nobody, Status: tasktypes.Status_CREATED},
		{ID: "somebody", Pid: nobody, Status: tasktypes.Status_RUNNING},
		{ID: "nowhere", Pid: nobody, Status: tasktypes.Status_RUNNING},
	}
	tasks, err := r.Running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if calls := f.took(); calls != "tasks records" {
		t.Errorf("calls = %s, want tasks records", calls)
	}
	var names []string
	for name := range tasks {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"ended", "ntp"}) {
		t.Fatalf("Running = %q, want ended and ntp", names)
	}
	ntp := tasks["ntp"]
	if ntp.Pid() != nobody || ntp.Hash() != "h-ntp" || !ntp.StartedAt().Equal(begun) {
		t.Errorf("ntp = pid %d, hash %s, start %v (want %v)", ntp.Pid(), ntp.Hash(), ntp.StartedAt(), begun)
	}
	select {
	case <-tasks["ended"].Exited():
		if code := tasks["ended"].ExitCode(); code != 4 {
			t.Errorf("exit code = %d, want 4", code)
		}
	default:
		t.Error("a task that has ended does not say so")
	}
}

func TestSignalRefusesNonsense(t *testing.T) {
	f := newFake(t)
	f.serve()
	r, _ := newRuntime(t, f)
	task, err := r.Start(t.Context(), box("ntp"))
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Signal(t.Context(), "SIGNONE", false); text(err) != `cannot signal service "ntp": "SIGNONE" is not a signal` {
		t.Errorf("Signal = %v", err)
	}
	f.fail["kill"] = []error{errNotFound}
	if err := task.Signal(t.Context(), "SIGTERM", false); err != nil {
		t.Errorf("Signal to an ended process = %v", err)
	}
}

func TestDefinitionHash(t *testing.T) {
	r, _ := newRuntime(t, newFake(t))
	hash := func(change func(*compose.Service)) string {
		svc := box("ntp")
		change(&svc)
		h, err := r.DefinitionHash(svc)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	same := hash(func(*compose.Service) {})
	if h := hash(func(s *compose.Service) { s.File, s.Line = "other.yml", 9 }); h != same {
		t.Error("the place of a service changes its hash")
	}
	if h := hash(func(s *compose.Service) { s.CapAdd = []string{"SYS_TIME"} }); h == same {
		t.Error("a capability does not change the hash")
	}
}

func TestSpecTakesUsersFromTheTopmostLayer(t *testing.T) {
	r, _ := newRuntime(t, newFake(t))
	svc := box("ntp")
	svc.User = "clock" // in the upper layer; its group is in the lower one
	b, err := r.Spec(svc)
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	want := specs.User{UID: 1201, GID: 1201, AdditionalGids: []uint32{29, 1201}}
	if diff := cmp.Diff(want, s.Process.User); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(string(b), "HOME=/var/lib/clock") {
		t.Error("HOME is not the user's")
	}
}
