package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/control"
	"github.com/rosteros/ros/internal/images"
)

var steps = []control.ImageEvent{
	{Status: "Pulling box:1"},
	{Layer: "aaaa", Status: images.Exists},
	{Layer: "bbbb", Status: images.Waiting, Total: 1000},
	{Layer: "bbbb", Status: images.Downloading, Current: 250, Total: 1000},
	{Layer: "bbbb", Status: images.Downloading, Current: 500, Total: 1000},
	{Layer: "bbbb", Status: images.Downloaded, Current: 1000, Total: 1000},
	{Layer: "bbbb", Status: images.Complete},
}

func TestLayersInAFile(t *testing.T) {
	var out bytes.Buffer
	l := &layers{to: &out}
	for _, s := range steps {
		l.show(s)
	}
	const want = "Pulling box:1\naaaa: Already exists\nbbbb: Downloading\nbbbb: Download complete\nbbbb: Pull complete\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLayersOnATerminal(t *testing.T) {
	var out bytes.Buffer
	l := &layers{to: &out, terminal: true}
	for _, s := range steps {
		l.show(s)
	}
	if n := strings.Count(out.String(), "\x1b[2A"); n != 4 {
		t.Errorf("the two lines were drawn over %d times, want 4: %q", n, out.String())
	}
	const bar = "bbbb: Downloading [=========================>                        ]  500B/1kB\n"
	if !strings.Contains(out.String(), bar) {
		t.Errorf("no half a bar in %q", out.String())
	}
}

func TestTextBetweenLayers(t *testing.T) {
	var out bytes.Buffer
	l := &layers{to: &out, terminal: true}
	l.show(control.ImageEvent{Layer: "aaaa", Status: images.Complete})
	l.text("box: its image is there")
	l.show(control.ImageEvent{Layer: "bbbb", Status: images.Complete})
	const want = "\x1b[2Kaaaa: Pull complete\nbox: its image is there\n\x1b[2Kbbbb: Pull complete\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestQuietLayers(t *testing.T) {
	var out bytes.Buffer
	l := &layers{to: &out, terminal: true, quiet: true}
	for _, s := range steps {
		l.show(s)
	}
	if out.Len() > 0 {
		t.Errorf("prints %q, want nothing", out.String())
	}
}

func TestSplitName(t *testing.T) {
	for _, tt := range []struct{ full, repository, tag string }{
		{"docker.io/library/alpine:3.20", "alpine", "3.20"},
		{"docker.io/rancher/os-console:v1", "rancher/os-console", "v1"},
		{"reg.example:5000/x:1", "reg.example:5000/x", "1"},
		{"docker.io/library/alpine@sha256:00", "alpine", "<none>"},
		{"ros/ntp", "ros/ntp", "latest"},
		{"", "<none>", "<none>"},
	} {
		if repository, tag := splitName(tt.full); repository != tt.repository || tag != tt.tag {
			t.Errorf("splitName(%q) = %q, %q, want %q, %q", tt.full, repository, tag, tt.repository, tt.tag)
		}
	}
}

func TestDockerStatus(t *testing.T) {
	a := newApp(t, nil)
	two, zero := 2, 0
	for _, tt := range []struct {
		c    control.Container
		want string
	}{
		{control.Container{Pid: 7, State: control.Running, StartedAt: noon.Add(-3 * time.Minute)}, "Up 3 minutes"},
		{control.Container{Pid: 7, State: control.Healthy, StartedAt: noon.Add(-2 * time.Hour)}, "Up 2 hours (healthy)"},
		{control.Container{Pid: 7, State: control.Starting, StartedAt: noon.Add(-5 * time.Second)}, "Up 5 seconds (health: starting)"},
		{control.Container{State: control.Done, ExitCode: &zero, FinishedAt: noon.Add(-time.Minute)}, "Exited (0) About a minute ago"},
		{control.Container{State: control.Backoff, ExitCode: &two, FinishedAt: noon.Add(-4 * time.Second)}, "Restarting (2) 4 seconds ago"},
		{control.Container{State: control.Waiting}, "Created"},
		{control.Container{State: control.Stopped}, "Exited"},
	} {
		if got := a.dockerStatus(tt.c); got != tt.want {
			t.Errorf("dockerStatus(%+v) = %q, want %q", tt.c, got, tt.want)
		}
	}
}

func TestFilters(t *testing.T) {
	zero := 0
	all := func() []control.Container {
		return []control.Container{
			{ID: "ab12", Name: "console", Image: "ros/console", Pid: 7, Labels: map[string]string{"a": "1"}},
			{ID: "cd34", Name: "once", Image: "box", ExitCode: &zero},
		}
	}
	for filter, want := range map[string]string{
		"name=cons": "console", "name=^once$": "once", "status=exited": "once", "status=running": "console", "id=cd": "once",
		"label=a": "console", "label=a=1": "console", "label=a=2": "", "ancestor=box": "once",
	} {
		list, err := filtered(all(), filter)
		var names []string
		for _, c := range list {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("filtered(%q) = %q, %v, want %q", filter, got, err, want)
		}
	}
	if _, err := filtered(all(), "colour=red"); err == nil || err.Error() != `cannot filter by "colour=red"` {
		t.Errorf("filtered(colour=red) = %v", err)
	}
}
