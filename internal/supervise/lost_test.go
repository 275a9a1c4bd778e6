package supervise_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/supervise"
)

// Whatever the order in which the ends of lost tasks come to be known: they
// start in the order of their dependencies, at once, and it is no failure.
func TestLostTasksStartInOrder(t *testing.T) {
	for _, order := range [][]string{{"db", "api", "web"}, {"web", "api", "db"}, {"api", "web", "db"}} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			room := newRoom(map[string][]run{"db": {{takes: time.Second}}, "api": {{takes: time.Second}}})
			r := start(t, dir, room, service("web", after("api", compose.Started)), service("api", after("db", compose.Started)), service("db"))
			time.Sleep(time.Minute)
			room.mu.Lock()
			room.began = nil
			room.mu.Unlock()
			room.loseAll(order...)
			time.Sleep(10 * time.Second)
			room.mu.Lock()
			began := slices.Clone(room.began)
			room.mu.Unlock()
			if diff := cmp.Diff([]string{"db", "api", "web"}, began); diff != "" {
				t.Errorf("lost in the order %v, started (-want +got):\n%s", order, diff)
			}
			if web := r.service("web"); web.State != supervise.Running || web.Restarts != 0 {
				t.Errorf("web is %s after %d restarts, want running after none", web.State, web.Restarts)
			}
			r.end()
		})
	}
}

// An engine that does not answer takes its services back to their conditions.
func TestAnEngineThatDoesNotAnswer(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		user := func(s *compose.Service) { s.Scope = compose.ScopeUser }
		room := newRoom(map[string][]run{"web": {{err: supervise.Down(errDown)}, {err: supervise.Down(errDown)}, {}}})
		r := start(t, dir, room, service("docker"), service("web", user, after("docker", compose.Started)))
		time.Sleep(10 * time.Second)
		if web := r.service("web"); web.State != supervise.Running || web.Restarts != 0 {
			t.Errorf("web is %s after %d restarts, want running after none", web.State, web.Restarts)
		}
		r.end()
	})
}
