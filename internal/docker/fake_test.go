package docker_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/docker"
)

// fakeEngine answers as dockerd does, as far as these tests look.
type fakeEngine struct {
	mu         sync.Mutex
	api        string                    // its version
	images     map[string]map[string]any // by name: what it says about one
	registry   string                    // id of all that it pulls
	networks   map[string]string         // by name: id
	containers map[string]*fakeContainer // by name
	calls      []string                  // that changed something
	broken     map[string]string         // by image: why its containers do not start
	deaf       int                       // from this call on it does nothing; 0: it never stops
	next       int
	slow       time.Duration // between looking for a network and making it
	making     sync.Mutex    // as dockerd has it: one network at a time
	socket     string
	runtime    *docker.Runtime
}

type fakeContainer struct {
	id, name, image string
	labels          map[string]string
	networks        map[string]string // by name: the id it was made with
	mounts          []map[string]any
	running         bool
}

func newFakeEngine(t *testing.T) *fakeEngine {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	e := &fakeEngine{
		socket: socket, api: "1.51", images: map[string]map[string]any{"x": {"Id": "sha256:01"}}, networks: map[string]string{},
		containers: map[string]*fakeContainer{}, broken: map[string]string{},
		runtime: docker.New(socket, slog.New(slog.DiscardHandler)),
	}
	server := httptest.NewUnstartedServer(e)
	server.Listener = l
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return e
}

// change is something that happens to the engine from outside.
func (e *fakeEngine) change(what func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	what()
}

func (e *fakeEngine) stop(name string) { e.change(func() { e.containers[name].running = false }) }

// answer is a status and a body.
type answer struct {
	status int
	body   any
}

func refuse(status int, format string, args ...any) answer {
	return answer{status, map[string]string{"message": fmt.Sprintf(format, args...)}}
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/events" {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	a := e.serve(r, body)
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

func (e *fakeEngine) serve(r *http.Request, body map[string]any) answer {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.URL.Path == "/networks/create" {
		e.making.Lock()
		defer e.making.Unlock()
		if _, ok := e.network(body["Name"].(string)); !ok {
			time.Sleep(e.slow)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Method != http.MethodGet {
		if e.deaf > 0 && len(e.calls)+1 >= e.deaf {
			return refuse(503, "the power is gone")
		}
		e.calls = append(e.calls, r.Method+" "+r.URL.Path)
	}
	switch path[0] {
	case "version":
		return answer{200, map[string]string{"ApiVersion": e.api}}
	case "images":
		if r.URL.Path == "/images/create" {
			e.images[strings.TrimSuffix(r.URL.Query().Get("fromImage"), ":latest")] = map[string]any{"Id": e.registry}
			return answer{200, map[string]string{"status": "Download complete"}}
		}
		return e.image(strings.TrimSuffix(strings.Join(path[1:], "/"), "/json"))
	case "networks":
		return e.serveNetwork(r.Method, path[1:], body)
	case "containers":
		return e.serveContainer(r, path[1:], body)
	}
	return refuse(404, "page not found")
}

func (e *fakeEngine) image(name string) answer {
	if image, ok := e.images[name]; ok {
		return answer{200, image}
	}
	return refuse(404, "No such image: %s", name)
}

func (e *fakeEngine) network(name string) (id string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id, ok = e.networks[name]
	return id, ok
}

func (e *fakeEngine) serveNetwork(method string, path []string, body map[string]any) answer {
	name := path[0]
	switch {
	case name == "create":
		name := body["Name"].(string)
		if _, ok := e.networks[name]; ok {
			return refuse(409, "network with name %s already exists", name)
		}
		e.next++
		e.networks[name] = fmt.Sprintf("net%d", e.next)
		return answer{201, map[string]string{"Id": e.networks[name]}}
	case e.networks[name] == "":
		return refuse(404, "network %s not found", name)
	case len(path) == 2 && path[1] == "connect":
		for _, c := range e.containers {
			if c.id == body["Container"] {
				c.networks[name] = e.networks[name]
			}
		}
	case method == http.MethodDelete:
		for _, c := range e.containers { // one that does not run does not count
			if c.running && c.networks[name] != "" {
				return refuse(403, "network %s has active endpoints", name)
			}
		}
		delete(e.networks, name)
	}
	return answer{200, map[string]any{}}
}

func (e *fakeEngine) serveContainer(r *http.Request, path []string, body map[string]any) answer {
	switch path[0] {
	case "create":
		return e.create(r.URL.Query().Get("name"), body)
	case "json":
		return e.list(r)
	}
	c := e.find(path[0])
	switch {
	case c == nil:
		return refuse(404, "No such container: %s", path[0])
	case r.Method == http.MethodDelete:
		delete(e.containers, c.name)
	case path[1] == "rename":
		delete(e.containers, c.name)
		c.name = r.URL.Query().Get("name")
		e.containers[c.name] = c
	case path[1] == "start":
		return e.start(c)
	case path[1] == "json":
		pid := 0
		if c.running {
			pid = 5
		}
		networks := map[string]any{}
		for name, id := range c.networks {
			networks[name] = map[string]string{"NetworkID": id}
		}
		return answer{200, map[string]any{
			"Id": c.id, "Name": "/" + c.name, "Config": map[string]any{"Labels": c.labels, "Image": c.image}, "Mounts": c.mounts,
			"State": map[string]any{"Running": c.running, "Pid": pid}, "NetworkSettings": map[string]any{"Networks": networks},
		}}
	}
	return answer{200, map[string]any{}}
}

func (e *fakeEngine) find(which string) *fakeContainer {
	for _, c := range e.containers {
		if c.id == which || c.name == which {
			return c
		}
	}
	return nil
}

// list is the containers with a label, NAME or NAME=VALUE, or in a network.
func (e *fakeEngine) list(r *http.Request) answer {
	var by struct{ Label, Network []string }
	_ = json.Unmarshal([]byte(r.URL.Query().Get("filters")), &by)
	list := []map[string]any{}
	for _, c := range e.containers {
		has := func(label string) bool {
			name, value, given := strings.Cut(label, "=")
			have, ok := c.labels[name]
			return !ok || given && have != value
		}
		out := func(network string) bool { _, in := c.networks[network]; return !in }
		if slices.ContainsFunc(by.Label, has) || slices.ContainsFunc(by.Network, out) || !c.running && r.URL.Query().Get("all") == "" {
			continue
		}
		list = append(list, map[string]any{"Id": c.id, "Names": []string{"/" + c.name}, "Labels": c.labels})
	}
	return answer{200, list}
}

func (e *fakeEngine) create(name string, body map[string]any) answer {
	image := body["Image"].(string)
	if _, ok := e.images[image]; !ok {
		return refuse(404, "No such image: %s", image)
	}
	if e.containers[name] != nil {
		return refuse(409, "Conflict. The container name %q is already in use", name)
	}
	e.next++
	c := &fakeContainer{id: fmt.Sprintf("id%d", e.next), name: name, image: image, labels: map[string]string{}, networks: map[string]string{}}
	for label, value := range body["Labels"].(map[string]any) {
		c.labels[label] = value.(string)
	}
	networking, _ := body["NetworkingConfig"].(map[string]any)
	endpoints, _ := networking["EndpointsConfig"].(map[string]any)
	if len(endpoints) > 1 && e.api < "1.44" {
		return refuse(400, "Container cannot be created with multiple network endpoints")
	}
	for network := range endpoints {
		c.networks[network] = e.networks[network]
	}
	host, _ := body["HostConfig"].(map[string]any)
	mounts, _ := host["Mounts"].([]any)
	for _, m := range mounts {
		c.mounts = append(c.mounts, mounted(m.(map[string]any), e))
	}
	e.containers[name] = c
	return answer{201, map[string]string{"Id": c.id}}
}

// mounted is what a container says about a mount; a volume without a name gets
// one.
func mounted(m map[string]any, e *fakeEngine) map[string]any {
	name, _ := m["Source"].(string)
	if name == "" && m["Type"] == "volume" {
		e.next++
		name = fmt.Sprintf("%064d", e.next)
	}
	return map[string]any{"Type": m["Type"], "Name": name, "Destination": m["Target"]}
}

func (e *fakeEngine) start(c *fakeContainer) answer {
	if why := e.broken[c.image]; why != "" {
		return refuse(500, "%s", why)
	}
	for name, id := range c.networks {
		if e.networks[name] != id { // the id counts, whatever has the name by now
			return refuse(404, "network %s not found", id)
		}
	}
	c.running = true
	return answer{204, nil}
}
