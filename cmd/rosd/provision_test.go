package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/docker"
	"github.com/rosteros/ros/internal/preload"
	"github.com/rosteros/ros/internal/supervise"
)

// stock has the images of an engine; they may come at any time.
type stock struct {
	slow   chan struct{} // if set, Pull says on it that it has begun, and waits for its context
	mu     sync.Mutex
	images map[string]bool
	id     string // of all of them; "": sha256:01
	pulls  bool   // whether Pull finds what is there
}

func (s *stock) put(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[name] = true
}

func (s *stock) Image(_ context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.images[name] && name != cmp.Or(s.id, "sha256:01") {
		return "", &docker.StatusError{Status: http.StatusNotFound, Message: "no such image: " + name}
	}
	return cmp.Or(s.id, "sha256:01"), nil
}

func (s *stock) Pull(ctx context.Context, name, _ string, _ docker.Login, _ func(docker.Step)) (string, error) {
	if s.slow != nil {
		s.slow <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}
	if s.pulls {
		return s.Image(ctx, name)
	}
	return "", fmt.Errorf("cannot pull image %q: no route to host", name)
}

// lack is what package docker says when it does not find an image.
func (s *stock) lack(svc compose.Service) error {
	if _, err := s.Image(context.Background(), svc.Image); err != nil {
		return supervise.Permanent(fmt.Errorf("image %q is not on the machine; get it with: %s", svc.Image, supervise.PullAdvice(svc.Name)))
	}
	return nil
}

// comesTo waits until a service is in a state.
func (s *station) comesTo(t *testing.T, name string, want supervise.State) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		service, err := s.supervisor.Service(name)
		if err == nil && service.State == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %s (%s), %v, want %s", name, service.State, service.Reason, err, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A service has failed for want of its image, and the image comes without
// anybody's asking for it: out of an archive, or by docker load.
func TestImageThatArrives(t *testing.T) {
	s := newStation(t)
	stock := &stock{images: map[string]bool{}}
	s.engine, s.room.lack = stock, stock.lack
	config := "#cloud-config\nrancher: {services: {web: {image: 'shop/web:1', restart: always}, job: {image: 'shop/job:1'}}}\n"
	if _, err := s.configs.Write(t.Context(), control.ConfigWrite{Text: []byte(config)}); err != nil {
		t.Fatal(err)
	}
	s.comesTo(t, "web", supervise.Failed)
	s.comesTo(t, "job", supervise.Failed)
	if !s.provision(t.Context()) {
		t.Error("nothing is missing, though the images are")
	}
	stock.put("shop/web:1")
	if !s.provision(t.Context()) {
		t.Error("nothing is missing, though the image of job is")
	}
	s.comesTo(t, "web", supervise.Running)
	s.comesTo(t, "job", supervise.Failed)

	// What has failed by itself stays so, image or no image.
	s.room.lack = func(compose.Service) error { return supervise.Permanent(errors.New("it is broken")) }
	stock.put("shop/job:1")
	s.supervisor.Do(t.Context(), "job", supervise.Up, supervise.Options{Wait: true})
	s.room.lack = nil
	s.provision(t.Context())
	s.comesTo(t, "job", supervise.Failed)
}

// Services wait for archives that lie there for Docker until all of them are in
// it, or cannot be; what has failed before starts then.
func TestArchivesForDockerAreAwaited(t *testing.T) {
	s := newStation(t)
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	if err := os.WriteFile(filepath.Join(dir, "web.tar"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var p *preloads
	awaited := false
	p = &preloads{
		failed: map[string][]string{}, supervisor: s.supervisor,
		system: &preload.Folder{Dir: filepath.Join(dir, "none"), Log: log},
		docker: &preload.Folder{Dir: dir, Record: filepath.Join(dir, "record"), Log: log,
			Load: func(context.Context, io.Reader, int64) ([]string, error) {
				awaited = p.intoDocker.Load()
				return nil, errors.New("it is broken")
			}},
	}
	started := false
	p.arrived = func(context.Context) { started = !p.intoDocker.Load() }
	p.expect(log)
	if p.arriving.Load() || !p.intoDocker.Load() {
		t.Error("only the archive for Docker is to be waited for")
	}
	p.run(t.Context())
	if !awaited || !started {
		t.Errorf("waited while it was loaded: %t; what lacked it was started after: %t", awaited, started)
	}
}

// An update that wants a port of somebody else is refused before anything of
// the running version is touched; its own ports are its own.
func TestUpdateLooksAtPorts(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	own := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := newStation(t)
	stock := &stock{images: map[string]bool{"test/busybox:1": true}, pulls: true}
	s.engine = stock
	const address = "http://x/a.yml"
	file := "services: {a: {image: 'test/busybox:1', ports: ['%d:80'], environment: {V: '%s'}}}"
	s.site[address] = fmt.Sprintf(file, own, "1")
	if err := s.ask("enable", address); err != nil {
		t.Fatal(err)
	}
	held, err := net.Listen("tcp", fmt.Sprintf(":%d", own)) // by the service, as it were
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	s.site[address] = fmt.Sprintf(file, own, "2")
	if err := s.ask("update", address); err != nil {
		t.Errorf("update with its own port: %v", err)
	}
	other, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := other.Addr().(*net.TCPAddr).Port
	s.site[address] = fmt.Sprintf(file, taken, "3")
	want := fmt.Sprintf(`cannot update %s: service "a": port %d/tcp of the machine is in use`, address, taken)
	if err := s.ask("update", address); err == nil || err.Error() != want {
		t.Errorf("update with somebody's port: %v, want %s", err, want)
	}
	if err := s.ask("delete", address); err != nil {
		t.Fatal(err)
	}
}

// An image without a digest was pinned by its id, which no registry knows: it is
// pulled by its name, and has to be the same one.
func TestPullOfAnImageWithoutADigest(t *testing.T) {
	s := newStation(t)
	stock := &stock{images: map[string]bool{"shop/web:1": true}, pulls: true}
	s.engine = stock
	const address = "http://x/a.yml"
	s.site[address] = "services: {a: {image: 'shop/web:1'}}"
	if err := s.ask("enable", address); err != nil {
		t.Fatal(err)
	}
	if err := s.ask("pull", "a"); err != nil {
		t.Errorf("pull: %v", err)
	}
	stock.id = "sha256:02"
	const want = `cannot pull the image of service "a": shop/web:1 is sha256:02 by now, and the service was enabled with sha256:01; take the new one with: ros service update`
	if err := s.ask("pull", "a"); err == nil || err.Error() != want {
		t.Errorf("pull of another one: %v\nwant %s", err, want)
	}
	if err := s.ask("delete", address); err != nil {
		t.Fatal(err)
	}
}

// "ros service up" asks what has to be pulled first.
func TestMissing(t *testing.T) {
	s := newStation(t)
	stock := &stock{images: map[string]bool{"shop/here:1": true}}
	s.engine = stock
	write(t, filepath.Join(s.dir, "services", "images.yml"), `services:
  here: {image: "shop/here:1"}
  gone: {image: "shop/gone:1"}
  never: {image: "shop/gone:1", pull_policy: never}
  always: {image: "shop/here:1", pull_policy: always}
`)
	s.files.read(false)
	got := s.Missing(t.Context(), []string{"ntp", "here", "gone", "never", "always", "nobody"})
	if want := []string{"gone", "always"}; !slices.Equal(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

// What is fetched in the background gives way to who asks for something.
func TestOperatorGoesFirst(t *testing.T) {
	s := newStation(t)
	s.site["http://x/a.yml"] = "services: {a: {image: 'shop/a:1'}}"
	s.fetchedFrom(t, "http://x/a.yml")
	stock := &stock{images: map[string]bool{}, slow: make(chan struct{})}
	s.engine = stock
	ended := make(chan bool)
	go func() { ended <- s.provision(context.Background()) }()
	<-stock.slow // and it would go on for ever
	if err := s.ask("pull", "ntp"); err != nil {
		t.Errorf("pull: %v", err)
	}
	if missing := <-ended; !missing {
		t.Error("what was cut off is not missing")
	}
	if got := s.Warnings(); len(got) > 0 {
		t.Errorf("warnings of what was cut off: %q", got)
	}
}

// Services of a file that take long, one after the other, and say so.
func TestEnableWaitsForStartPeriods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		s.room.slow = 4 * time.Minute
		const slow = "image: 'test/busybox:1', restart: always, healthcheck: {test: x, start_period: 5m, interval: 10s}"
		s.site["http://x/a.yml"] = "services: {web: {" + slow + ", depends_on: {db: {condition: service_healthy}}}, db: {" + slow + "}}"
		if err := s.ask("enable", "http://x/a.yml"); err != nil {
			t.Error(err)
		}
		if err := s.ask("delete", "http://x/a.yml"); err != nil {
			t.Error(err)
		}
	})
}
