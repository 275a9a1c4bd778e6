package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/plan"
)

// TestMake reads: these services, as the file says them, make this plan. Each
// row's lines are services of scope system, one a line from line 2 on.
func TestMake(t *testing.T) {
	for _, tt := range []struct {
		name, services string
		file           string // instead of services
		start          string
		faults         []string // without "x.yml:"
	}{
		{name: "nothing"},
		{name: "names decide among equals", services: "c:\na:\nb:", start: "a b c"},
		{name: "dependencies go before names", services: "a: depends_on: [c]\nb:\nc:", start: "b c a"},
		{name: "a ladder", services: "a: depends_on: [b]\nb: depends_on: [c]\nc: depends_on: [d]\nd:", start: "d c b a"},
		{name: "a diamond", services: "top: depends_on: [left, right]\nleft: depends_on: [base]\nright: depends_on: [base]\nbase:", start: "base left right top"},
		{name: "what becomes free later goes by name again", services: "z:\na: depends_on: [z]\nm:", start: "m z a"},

		{name: "missing", services: "a: depends_on: [b]\nc:", start: "c",
			faults: []string{`2: services.a.depends_on.b: there is no service "b" (with "required: false" it may be missing)`}},
		{name: "missing, not required", services: "a: depends_on: {b: {condition: service_started, required: false}}\nc:", start: "a c"},
		{name: "missing takes those who require it along", services: "a: depends_on: [b]\nb: depends_on: [x]\nc: depends_on: [a]\nd: depends_on: {a: {condition: service_started, required: false}}\ne:", start: "d e",
			faults: []string{
				`2: services.a.depends_on.b: depends on b, which cannot be used: there is no service "x" (with "required: false" it may be missing)`,
				`3: services.b.depends_on.x: there is no service "x" (with "required: false" it may be missing)`,
				`4: services.c.depends_on.a: depends on a, which depends on b, which cannot be used: there is no service "x" (with "required: false" it may be missing)`}},

		{name: "itself", services: "a: depends_on: [a]\nb:", start: "b",
			faults: []string{`2: services.a.depends_on: waits for itself: a -> a`}},
		{name: "two", services: "a: depends_on: [b]\nb: depends_on: [a]\nc:", start: "c",
			faults: []string{`2: services.a.depends_on: waits for itself: a -> b -> a`, `3: services.b.depends_on: waits for itself: b -> a -> b`}},
		{name: "not required makes no difference to a cycle", services: "a: depends_on: {b: {condition: service_started, required: false}}\nb: depends_on: [a]\nc:", start: "c",
			faults: []string{`2: services.a.depends_on: waits for itself: a -> b -> a`, `3: services.b.depends_on: waits for itself: b -> a -> b`}},
		{name: "three, and one who requires it", services: "a: depends_on: [b]\nb: depends_on: [c]\nc: depends_on: [a]\nd: depends_on: [b]\ne:", start: "e",
			faults: []string{
				`2: services.a.depends_on: waits for itself: a -> b -> c -> a`,
				`3: services.b.depends_on: waits for itself: b -> c -> a -> b`,
				`4: services.c.depends_on: waits for itself: c -> a -> b -> c`,
				`5: services.d.depends_on.b: depends on b, which cannot be used: it waits for itself: b -> c -> a -> b`}},
		{name: "the shortest way back", services: "a: depends_on: [b, c]\nb: depends_on: [c]\nc: depends_on: [a]",
			faults: []string{
				`2: services.a.depends_on: waits for itself: a -> c -> a`,
				`3: services.b.depends_on: waits for itself: b -> c -> a -> b`,
				`4: services.c.depends_on: waits for itself: c -> a -> c`}},

		{name: "healthy without a healthcheck", services: "a: depends_on: {b: {condition: service_healthy}}\nb:", start: "b",
			faults: []string{`2: services.a.depends_on.b: waits for "b" to be healthy, but it has no healthcheck (x.yml:3)`}},
		{name: "done, but restarted", services: "a: depends_on: {b: {condition: service_completed_successfully}}\nb: restart: always", start: "b",
			faults: []string{`2: services.a.depends_on.b: waits for "b" to be done, but that is restarted whenever it ends: restart: always (x.yml:3)`}},
		{name: "conditions that can be met", services: "a: depends_on: {b: {condition: service_healthy}, c: {condition: service_completed_successfully}}\nb: healthcheck: {test: x}\nc: restart: on-failure", start: "b c a"},

		{name: "a faulty service and those who require it", services: "a: depends_on: [b]\nb: imagge: [80]\nc: depends_on: {b: {condition: service_started, required: false}}", start: "c",
			faults: []string{
				`3: services.b.imagge: unknown key (did you mean "image"?)`,
				`2: services.a.depends_on.b: depends on b, which cannot be used: unknown key (did you mean "image"?)`}},
		{name: "a service of the user's engine", file: "services:\n  web: {image: nginx}\n  a: {image: x, x-ros: {scope: system}, depends_on: [web]}\n  b: {image: x, x-ros: {scope: system}, depends_on: {web: {condition: service_started, required: false}}}\n", start: "web b",
			faults: []string{`3: services.a.depends_on.web: "web" (x.yml:2) runs in the user's engine (scope "user"); a service of the OS cannot wait for it`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			services, faults := load(t, tt.services, tt.file)
			p := plan.Make(services, faults)
			if got := strings.Join(p.Names(), " "); got != tt.start {
				t.Errorf("start order = %q, want %q", got, tt.start)
			}
			var got []string
			for _, f := range p.Faults {
				got = append(got, strings.TrimPrefix(f.Error(), "x.yml:"))
			}
			if diff := cmp.Diff(tt.faults, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			lost := map[string]bool{}
			for _, f := range p.Faults {
				lost[f.Service] = true
			}
			for _, name := range p.Names() {
				if lost[name] {
					t.Errorf("%q has a fault and a step", name)
				}
			}
		})
	}
}

func TestMissingNamesTheBrokenFile(t *testing.T) {
	services, _ := load(t, "a: depends_on: [ntp]", "")
	p := plan.Make(services, []compose.Fault{{File: "/etc/s/ntp.yml", Line: 3, Message: "is not valid YAML: x"}})
	want := `x.yml:2: services.a.depends_on.ntp: there is no service "ntp"; its file cannot be used: /etc/s/ntp.yml:3: is not valid YAML: x`
	if got := p.Faults[1].Error(); got != want {
		t.Errorf("fault = %s\nwant    %s", got, want)
	}
}

func TestSameNameTwice(t *testing.T) {
	services, _ := load(t, "a:", "")
	p := plan.Make(append(services, compose.Service{Name: "a", File: "y.yml", Line: 9, Scope: compose.ScopeSystem}), nil)
	if len(p.Steps) != 1 || p.Steps[0].Service.File != "x.yml" {
		t.Errorf("Make kept %v, want the first a", p.Names())
	}
	if want := `y.yml:9: services.a: there is a service "a" already, from x.yml:2`; len(p.Faults) != 1 || p.Faults[0].Error() != want {
		t.Errorf("faults = %v, want %s", p.Faults, want)
	}
}

func TestPlanForPeople(t *testing.T) {
	services, faults := load(t, "udev:\nnetwork: {depends_on: {udev: {condition: service_completed_successfully}}, healthcheck: {test: x}}\n"+
		"ntp: depends_on: {network: {condition: service_healthy, required: false}, syslog: {condition: service_started, required: false}, udev: {condition: service_started}}\nbad: external_links: [x]", "")
	p := plan.Make(services, faults)
	want := ` 1  udev
 2  network  waits for udev to be done
 3  ntp      waits for network to be healthy, udev to be started
cannot be used:
    x.yml:5: services.bad.external_links: is not supported in scope "system": a service of the OS finds those of its own networks
`
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Errorf("String (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ntp", "network", "udev"}, p.StopOrder()); diff != "" {
		t.Errorf("StopOrder (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"network", "ntp"}, p.Dependants("udev")); diff != "" {
		t.Errorf("Dependants(udev) (-want +got):\n%s", diff)
	}
	if got := p.Dependants("ntp"); got != nil {
		t.Errorf("Dependants(ntp) = %v, want none", got)
	}
}

// load parses rows of "name: keys" as services of scope system.
func load(t *testing.T, rows, file string) ([]compose.Service, []compose.Fault) {
	t.Helper()
	if rows == "" && file == "" {
		return nil, nil
	}
	if file == "" {
		file = "services:\n"
		for line := range strings.Lines(rows) {
			name, keys, _ := strings.Cut(strings.TrimSpace(line), ":")
			keys = strings.TrimSpace(keys)
			if strings.HasPrefix(keys, "{") {
				keys = keys[1 : len(keys)-1]
			}
			if keys != "" {
				keys = ", " + keys
			}
			file += "  " + name + ": {image: x, x-ros: {scope: system}" + keys + "}\n"
		}
	}
	return compose.Parse("x.yml", []byte(file), nil)
}
