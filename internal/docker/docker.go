// Package docker runs services of scope user in the user's engine, through the
// Docker API: a supervise.Runtime beside that of package containers.
//
// It speaks the few calls it needs itself, over the engine's socket
// (docs/decisions/ says what the client of moby would cost). What a container
// is made of comes ready from package project. It owns the containers, networks
// and volumes of those services, and no others; what it makes carries the
// labels of docker compose, which can list it.
//
// The engine starts none of these containers by itself: their restart policy in
// the engine is "no", and package supervise, which knows what depends on what,
// decides. An engine that does not answer is nobody's failure. Its containers go
// on without it where live-restore is on; what is gone when it comes back was
// lost with it (see task.Lost).
//
// A container is kept when its task ends, with its log and what it wrote, and
// used again until its definition changes, as docker compose does.
package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/supervise"
)

// Socket is where the engine of the machine listens.
const Socket = "/run/docker.sock"

// Labels by which we know our containers and networks.
const (
	labelService = "ros.service"
	labelHash    = "ros.hash"
	labelPeers   = "ros.peers" // ids of the containers it borrows something of
	labelImage   = "ros.image" // id of the image, when only its name was given
)

// nextSuffix is what a container that is to replace another one has at the end of
// its name meanwhile.
const nextSuffix = ".next"

// adoptTimeout bounds the question what runs when rosd starts. An engine that
// does not answer then is asked when its services start.
const adoptTimeout = 3 * time.Second

// Runtime implements supervise.Runtime over the engine.
type Runtime struct {
	*Client
	// Arriving says whether images may be on their way into the engine, so that
	// a service without one waits; nil: they never are.
	Arriving func() bool

	log *slog.Logger

	making   chan struct{} // holds one while a network is made or removed
	mu       sync.Mutex
	tasks    map[string]*task  // that have not ended, by the id of their container
	made     map[string]string // by service: the image that its container was made of by name
	known    map[string]string // by name: the image that it was when we last pulled or looked
	watching bool
}

var _ supervise.Runtime = (*Runtime)(nil)

// New returns a Runtime over the engine that listens at socket.
func New(socket string, log *slog.Logger) *Runtime {
	return &Runtime{Client: NewClient(socket), log: log, making: make(chan struct{}, 1), tasks: map[string]*task{}, made: map[string]string{}, known: map[string]string{}}
}

// container is what the engine says about one.
type container struct {
	ID     string `json:"Id"`
	Name   string
	Config struct {
		Image      string
		Labels     map[string]string
		StopSignal string
		Tty        bool
	}
	State struct {
		Running   bool
		Pid       int
		ExitCode  int
		Error     string
		StartedAt time.Time
		Health    *struct {
			Status        string
			FailingStreak int
			Log           []struct {
				ExitCode int
				Output   string
			}
		}
	}
	Mounts []struct {
		Type, Name, Destination string
	}
}

func (r *Runtime) inspect(ctx context.Context, name string) (container, error) {
	var c container
	return c, r.call(ctx, "GET", "/containers/"+url.PathEscape(name)+"/json", nil, &c)
}

// Running implements supervise.Runtime: it lists what runs, if the engine does.
func (r *Runtime) Running(ctx context.Context) (map[string]supervise.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	var list []struct {
		ID string `json:"Id"`
	}
	if err := r.call(ctx, "GET", "/containers/json?"+filters(map[string][]string{"label": {labelService}}).Encode(), nil, &list); err != nil {
		return nil, nil
	}
	found := map[string]supervise.Task{}
	for _, entry := range list {
		c, err := r.inspect(ctx, entry.ID)
		if err == nil && c.State.Running {
			found[c.Config.Labels[labelService]] = r.hold(c)
		}
	}
	return found, nil
}

// DefinitionHash implements supervise.Runtime. It asks nobody: an image that has
// been pulled since the container was made was pulled through this Runtime.
func (r *Runtime) DefinitionHash(svc compose.Service) (string, error) {
	hash := compose.DefinitionHash(svc)
	r.mu.Lock()
	defer r.mu.Unlock()
	made, now := r.made[svc.Name], r.known[svc.Image]
	if made != "" && now != "" && made != now {
		hash += "@" + now
	}
	return hash, nil
}

// Spec implements supervise.Runtime: it is the request that makes the container.
func (r *Runtime) Spec(svc compose.Service) ([]byte, error) {
	c, err := project.Of(svc)
	if err != nil {
		return nil, err
	}
	return r.request(svc, c, nil)
}

// Start implements supervise.Runtime. A container that runs is adopted as it is.
func (r *Runtime) Start(ctx context.Context, svc compose.Service) (supervise.Task, error) {
	t, err := r.start(ctx, svc)
	if err != nil {
		return nil, fmt.Errorf("cannot start service %q: %w", svc.Name, err)
	}
	return t, nil
}

func (r *Runtime) start(ctx context.Context, svc compose.Service) (*task, error) {
	want, err := project.Of(svc)
	if err != nil {
		return nil, supervise.Permanent(err)
	}
	have, err := r.inspect(ctx, want.Name)
	if IsNotFound(err) {
		have, err = r.halfMade(ctx, svc, want)
	}
	exists := err == nil && have.ID != ""
	switch {
	case err != nil && !IsNotFound(err):
		return nil, err
	case exists && have.Config.Labels[labelService] != svc.Name:
		return nil, supervise.Permanent(fmt.Errorf("the engine has a container %q already that is not of this service", want.Name))
	case exists && have.State.Running:
		return r.hold(have), nil
	}
	peers, err := r.peers(ctx, want)
	if err != nil {
		return nil, err
	}
	image := r.named(ctx, svc, want)
	if exists && have.is(svc, peers, image) {
		t, err := r.run(ctx, have.ID, want, false)
		if !lacksNetwork(err) {
			return t, err
		}
	}
	id, err := r.create(ctx, svc, want, peers, image, have)
	if err != nil {
		return nil, err
	}
	return r.run(ctx, id, want, !exists)
}

// named is the image that a service without a pin gets by its name; "" if it has
// a pin, or when it is not known.
func (r *Runtime) named(ctx context.Context, svc compose.Service, want project.Container) string {
	if want.Pin != "" {
		return ""
	}
	now, err := r.inspectImage(ctx, svc.Image)
	if err != nil {
		return "" // the container that is there will do; without one it is said then
	}
	r.know(svc.Image, now.ID)
	return now.ID
}

// is says whether a container is what would be made anew.
func (c container) is(svc compose.Service, peers, image string) bool {
	labels := c.Config.Labels
	other := image != "" && labels[labelImage] != "" && labels[labelImage] != image
	return labels[labelHash] == compose.DefinitionHash(svc) && labels[labelPeers] == peers && !other
}

// lacksNetwork says whether a container did not start because a network that it
// was made with is gone. The container knows it by its id, so it takes another
// container to be in a new one of the same name.
func lacksNetwork(err error) bool {
	return IsNotFound(err) && strings.Contains(err.Error(), "network ")
}

// run starts a container. One that is the first of its service and does not
// start goes; another has the volumes of the one before.
func (r *Runtime) run(ctx context.Context, id string, want project.Container, fresh bool) (*task, error) {
	err := r.startContainer(ctx, id, want)
	if err == nil {
		var c container
		if c, err = r.inspect(ctx, id); err == nil {
			t := r.hold(c)
			// Its end may have been told before anybody listened for it.
			if now, again := r.inspect(ctx, id); again == nil && !now.State.Running {
				r.end(t, now.State.ExitCode)
			}
			return t, nil
		}
	}
	if fresh && !supervise.IsDown(err) {
		r.discard(ctx, id, want)
	}
	return nil, err
}

// discard removes a container that did not come to be.
func (r *Runtime) discard(ctx context.Context, id string, want project.Container) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	if err := r.removeContainer(ctx, id, true); err != nil {
		r.log.Warn("cannot remove a container that did not start", "container", want.Name, "error", err)
	}
}

func (r *Runtime) startContainer(ctx context.Context, id string, want project.Container) error {
	if err := r.writeFiles(ctx, id, want.Files); err != nil {
		return err
	}
	return r.call(ctx, "POST", "/containers/"+id+"/start", nil, nil)
}

// peers are the ids of the containers that this one borrows something of. They
// have been started: it depends on them.
func (r *Runtime) peers(ctx context.Context, want project.Container) (string, error) {
	var ids []string
	for _, name := range want.Peers {
		c, err := r.inspect(ctx, name)
		if err != nil {
			return "", err
		}
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " "), nil
}

// create makes the container anew, with all that it needs. Volumes without a
// name stay with the service, as docker compose has it: only the container knows
// them, so the old one goes when the new one is there, under another name. What
// the power leaves of that, halfMade finds.
func (r *Runtime) create(ctx context.Context, svc compose.Service, want project.Container, peers, image string, old container) (string, error) {
	for _, n := range want.Networks {
		if err := r.network(ctx, n); err != nil {
			return "", err
		}
	}
	for _, v := range want.Volumes {
		if err := r.volume(ctx, v); err != nil {
			return "", err
		}
	}
	body, err := r.request(svc, want, func(body map[string]any) {
		labels := body["Labels"].(map[string]any)
		labels[labelPeers] = peers
		if image != "" {
			labels[labelImage] = image
		}
		keepAnonymous(body, old)
	})
	if err != nil {
		return "", supervise.Permanent(err)
	}
	if old.ID == "" {
		return r.makeContainer(ctx, svc, want, body)
	}
	name := want.Name
	want.Name += nextSuffix
	if err := r.removeContainer(ctx, want.Name, false); err != nil {
		return "", err
	}
	id, err := r.makeContainer(ctx, svc, want, body)
	if err != nil {
		return "", err
	}
	if err := r.removeContainer(ctx, old.ID, false); err != nil {
		return "", err
	}
	return id, r.rename(ctx, id, name)
}

func (r *Runtime) rename(ctx context.Context, id, name string) error {
	return r.call(ctx, "POST", "/containers/"+url.PathEscape(id)+"/rename?"+url.Values{"name": {name}}.Encode(), nil, nil)
}

// halfMade is a container that was made to replace one that is gone already.
func (r *Runtime) halfMade(ctx context.Context, svc compose.Service, want project.Container) (container, error) {
	have, err := r.inspect(ctx, want.Name+nextSuffix)
	if err != nil || have.Config.Labels[labelService] != svc.Name {
		return container{}, err
	}
	return have, r.rename(ctx, have.ID, want.Name)
}

func (r *Runtime) makeContainer(ctx context.Context, svc compose.Service, want project.Container, body []byte) (string, error) {
	query := url.Values{"name": {want.Name}}
	if want.Platform != "" {
		query.Set("platform", want.Platform)
	}
	body, further, err := r.takeFurther(ctx, body)
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"Id"`
	}
	arriving := r.Arriving != nil && r.Arriving() // asked first: the last of them may arrive between the two
	err = r.call(ctx, "POST", "/containers/create?"+query.Encode(), json.RawMessage(body), &made)
	if IsNotFound(err) && strings.Contains(strings.ToLower(err.Error()), "no such image") {
		return "", noImage(svc, arriving)
	}
	if err != nil {
		return "", err
	}
	if err := r.join(ctx, made.ID, further); err != nil {
		r.discard(ctx, made.ID, want)
		return "", err
	}
	return made.ID, nil
}

// noImage is what a service waits for, or what somebody has to do about it.
func noImage(svc compose.Service, arriving bool) error {
	if arriving {
		return supervise.NotYet(errors.New("its image, while images are being loaded"))
	}
	return supervise.Permanent(fmt.Errorf("image %q is not on the machine; get it with: %s", svc.Image, supervise.PullAdvice(svc.Name)))
}

// request is the body that makes the container.
func (r *Runtime) request(svc compose.Service, c project.Container, more func(map[string]any)) ([]byte, error) {
	var body map[string]any
	if err := json.Unmarshal(c.Create, &body); err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	if c.Pin != "" {
		body["Image"] = c.Pin
	}
	labels, _ := body["Labels"].(map[string]any)
	if labels == nil {
		labels = map[string]any{}
		body["Labels"] = labels
	}
	labels[labelService], labels[labelHash] = svc.Name, compose.DefinitionHash(svc)
	labels["com.docker.compose.image"] = body["Image"]
	if more != nil {
		more(body)
	}
	return json.Marshal(body)
}

// keepAnonymous mounts the volumes without a name of the container before.
func keepAnonymous(body map[string]any, old container) {
	host, _ := body["HostConfig"].(map[string]any)
	if host == nil {
		return
	}
	mounts, _ := host["Mounts"].([]any)
	for _, v := range old.Mounts {
		if v.Type != "volume" || len(v.Name) != 64 { // as the engine names what nobody named
			continue
		}
		taken := false
		for i, m := range mounts {
			entry, _ := m.(map[string]any)
			if entry["Target"] != v.Destination {
				continue
			}
			if taken = true; entry["Type"] == "volume" && entry["Source"] == nil {
				entry["Source"] = v.Name
				mounts[i] = entry
			}
		}
		if !taken {
			mounts = append(mounts, map[string]any{"Type": "volume", "Source": v.Name, "Target": v.Destination})
		}
	}
	if len(mounts) > 0 {
		host["Mounts"] = mounts
	}
}

// Remove implements supervise.Runtime. The networks of the project go with the
// last container that was made with them; volumes stay.
func (r *Runtime) Remove(ctx context.Context, svc compose.Service) error {
	c, err := project.Of(svc)
	if err != nil {
		return err
	}
	have, err := r.inspect(ctx, c.Name)
	switch {
	case IsNotFound(err):
	case err != nil:
		return fmt.Errorf("cannot remove the container of service %q: %w", svc.Name, err)
	case have.Config.Labels[labelService] == svc.Name:
		if err := r.removeContainer(ctx, have.ID, true); err != nil {
			return fmt.Errorf("cannot remove the container of service %q: %w", svc.Name, err)
		}
	}
	if err := r.removeContainer(ctx, c.Name+nextSuffix, true); err != nil {
		return fmt.Errorf("cannot remove the container of service %q: %w", svc.Name, err)
	}
	for _, n := range c.Networks {
		if !n.External {
			r.leaveNetwork(ctx, n.Name)
		}
	}
	return nil
}

// leaveNetwork removes a network that no container is made with. The engine
// itself would take it from containers that do not run, which could not start
// any more.
func (r *Runtime) leaveNetwork(ctx context.Context, name string) {
	done, err := r.alone(ctx)
	if err != nil {
		return
	}
	defer done()
	var in []struct{}
	err = r.call(ctx, "GET", "/containers/json?all=1&"+filters(map[string][]string{"network": {name}}).Encode(), nil, &in)
	if err == nil && len(in) == 0 {
		_ = r.call(ctx, "DELETE", "/networks/"+url.PathEscape(name), nil, nil) // somebody may have come meanwhile
	}
}

// alone waits until nobody else makes or removes a network, or ctx ends.
func (r *Runtime) alone(ctx context.Context) (done func(), err error) {
	select {
	case r.making <- struct{}{}:
		return func() { <-r.making }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// removeTimeout bounds the removal of what did not come to be.
const removeTimeout = 20 * time.Second

// removeContainer removes a container, by its id or name, and with volumes those without a name.
func (r *Runtime) removeContainer(ctx context.Context, id string, volumes bool) error {
	err := r.call(ctx, "DELETE", fmt.Sprintf("/containers/%s?force=1&v=%t", url.PathEscape(id), volumes), nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// hold makes a task of a container that runs, and watches it.
func (r *Runtime) hold(c container) *task {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made[c.Config.Labels[labelService]] = c.Config.Labels[labelImage]
	if t := r.tasks[c.ID]; t != nil && slices.Contains([]int{0, c.State.Pid}, t.pid) {
		return t
	}
	t := &task{
		runtime: r, id: c.ID, hash: c.Config.Labels[labelHash], pid: c.State.Pid, started: c.State.StartedAt,
		stopSignal: c.Config.StopSignal, exited: make(chan struct{}),
	}
	r.tasks[c.ID] = t
	if !r.watching {
		r.watching = true
		go r.watch()
	}
	return t
}
