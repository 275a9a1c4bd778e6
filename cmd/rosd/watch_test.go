package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/supervise"
)

const required = "    x-ros: {scope: system, required: true}\n"

// watch runs a watcher over the services of f for b until the test ends.
func watch(t *testing.T, b *box, r *room, f *serviceFiles) *supervise.Supervisor {
	t.Helper()
	sup := supervisor(t, r, f)
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	w := &watcher{config: b.configurator, supervisor: sup, files: f, spawn: tasks.Go, found: func() {}}
	tasks.Go(func() { w.run(ctx) })
	t.Cleanup(func() {
		cancel()
		tasks.Wait()
	})
	synctest.Wait()
	return sup
}

// TestLastGoodIsKept says when: half a minute after all was well, counted anew
// after every change and whenever a required service is not well.
func TestLastGoodIsKept(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*testing.T, *box, *room) // ten seconds after the boot
		want time.Duration                 // after the boot; 0: not in two minutes
	}{
		{"nothing happens", func(*testing.T, *box, *room) {}, 30 * time.Second},
		{"a required service crashes", func(_ *testing.T, _ *box, r *room) { r.kill("net") }, 40*time.Second + 100*time.Millisecond},
		{"another one crashes", func(_ *testing.T, _ *box, r *room) { r.kill("cron") }, 30 * time.Second},
		{"the config is changed", func(t *testing.T, b *box, _ *room) { b.write(t, "hostname: two\n", 0) }, 40 * time.Second},
		{"a change is on trial", func(t *testing.T, b *box, _ *room) { b.write(t, "hostname: two\n", 600) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(t, t.TempDir(), "b1")
				b.put(t, "hostname: one\n")
				r := &room{}
				f := files(t, "net: "+required, "cron", "off: "+required)
				f.off = map[string]bool{"off": true}
				b.start(t.Context())
				watch(t, b, r, f)
				time.Sleep(10 * time.Second)
				tt.do(t, b, r)
				before, after := tt.want-time.Millisecond, tt.want+time.Millisecond
				if tt.want == 0 {
					before = 2 * time.Minute
				}
				time.Sleep(before - 10*time.Second)
				synctest.Wait()
				if b.store.LastGood() != nil {
					t.Fatal("it was kept too early")
				}
				if tt.want == 0 {
					return
				}
				time.Sleep(after - before)
				synctest.Wait()
				if b.store.LastGood() == nil {
					t.Error("it was not kept")
				}
			})
		})
	}
}

func TestConfigIsReadAgainAfterTheDatasource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, t.TempDir(), "b1")
		b.put(t, "rancher: {restart_services: [cron, network]}\n")
		r := &room{once: map[string]bool{"datasource": true, "other": true}}
		f := files(t, "cron", "datasource: "+`    restart: "no"
    x-ros: {scope: system, reload-config: true}
`, "other: "+`    restart: "no"
`)
		b.start(t.Context())
		watch(t, b, r, f)
		b.put(t, "hostname: found\nrancher: {restart_services: [cron, network]}\n")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if b.name() != "found" {
			t.Errorf("host name is %q, want what the datasource found", b.name())
		}
		if diff := cmp.Diff([]string{"network", "cron"}, b.restarted()); diff != "" {
			t.Errorf("restarted (-want +got):\n%s", diff)
		}
	})
}

func TestWhatFailedIsTriedAgainWithTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, t.TempDir(), "b1")
		b.put(t, "hostname: bad\n")
		f := files(t, "network: "+`    healthcheck: {test: [CMD, "true"], interval: 60s, start_period: 10s, start_interval: 1s}
`)
		b.start(t.Context())
		b.put(t, "hostname: good\n") // stands for what the network heals
		watch(t, b, &room{}, f)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if b.name() != "good" {
			t.Errorf("host name is %q: nobody tried again", b.name())
		}
	})
}
