package compose

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/internal/yamldoc"
)

var conditions = []string{string(Started), string(Healthy), string(Completed)}

func (r *reader) dependsOn(s *Service, v yamldoc.Value) {
	switch v.Kind() {
	case yamldoc.List:
		seen := map[string]bool{}
		for _, item := range v.Items() {
			name, ok := r.word(item)
			if !ok {
				continue
			}
			if seen[name] {
				r.wrong(item, "%q is given twice", name)
				continue
			}
			seen[name] = true
			s.DependsOn = append(s.DependsOn, Dependency{Service: name, Condition: Started, Required: true, Line: item.Line})
		}
	case yamldoc.Mapping:
		for _, p := range v.Pairs() {
			d := Dependency{Service: p.Key, Required: true, Line: p.Line}
			before := len(r.faults)
			r.mapping(p.Value, map[string]func(yamldoc.Value){
				"condition": func(v yamldoc.Value) {
					word, _ := r.oneOf(v, conditions...)
					d.Condition = Condition(word)
				},
				"required": func(v yamldoc.Value) { d.Required, _ = r.boolean(v) },
				"restart":  func(v yamldoc.Value) { d.Restart, _ = r.boolean(v) },
			})
			if d.Condition == "" && len(r.faults) == before { // Compose wants it in this form
				r.wrongKey(p, `has no "condition": it must be %s`, either(conditions))
			}
			s.DependsOn = append(s.DependsOn, d)
		}
	default:
		r.wrong(v, "must be a mapping (name of a service: {condition: …}) or a list (- name)")
	}
	slices.SortFunc(s.DependsOn, func(a, b Dependency) int { return strings.Compare(a.Service, b.Service) })
}

// Defaults of a healthcheck, as in Docker.
const (
	healthInterval      = 30 * time.Second
	healthTimeout       = 30 * time.Second
	healthStartInterval = 5 * time.Second
	healthRetries       = 3
)

func (r *reader) healthcheck(s *Service, v yamldoc.Value) {
	h := &Healthcheck{Interval: healthInterval, Timeout: healthTimeout, Retries: healthRetries}
	disabled, tested := false, false
	const least = 100 * time.Millisecond // a probe starts a process
	r.mapping(v, map[string]func(yamldoc.Value){
		"test": func(v yamldoc.Value) {
			tested = true
			h.Test, disabled = r.test(v)
		},
		"interval":       func(v yamldoc.Value) { h.Interval, _ = r.duration(v, least) },
		"timeout":        func(v yamldoc.Value) { h.Timeout, _ = r.duration(v, least) },
		"start_period":   func(v yamldoc.Value) { h.StartPeriod, _ = r.duration(v, 0) },
		"start_interval": func(v yamldoc.Value) { h.StartInterval, _ = r.duration(v, least) },
		"retries": func(v yamldoc.Value) {
			n, _ := r.integer(v, 1, math.MaxInt32)
			h.Retries = int(n)
		},
		"disable": func(v yamldoc.Value) {
			if off, ok := r.boolean(v); ok && off {
				disabled = true
			}
		},
	})
	if v.Kind() != yamldoc.Mapping || disabled {
		return
	}
	if !tested {
		r.wrong(v, `has no "test"`)
		return
	}
	if h.StartInterval == 0 {
		h.StartInterval = min(healthStartInterval, h.Interval)
	}
	s.Healthcheck = h
}

// test is the argv of a probe, or that there is none.
func (r *reader) test(v yamldoc.Value) (argv []string, none bool) {
	if v.Kind() != yamldoc.List {
		line, ok := r.word(v)
		if !ok {
			return nil, false
		}
		return []string{"/bin/sh", "-c", line}, false
	}
	list := r.texts(v, false)
	switch {
	case len(list) == 1 && list[0] == "NONE":
		return nil, true
	case len(list) >= 2 && list[0] == "CMD" && list[1] != "":
		return list[1:], false
	case len(list) == 2 && list[0] == "CMD-SHELL" && list[1] != "":
		return []string{"/bin/sh", "-c", list[1]}, false
	}
	r.wrong(v, "must be [CMD, program, argument…], [CMD-SHELL, line] or [NONE]")
	return nil, false
}

func (r *reader) restart(s *Service, v yamldoc.Value) {
	text, ok := r.text(v)
	if !ok {
		return
	}
	mode, count, counted := strings.Cut(text, ":")
	modes := []string{string(RestartNo), string(RestartAlways), string(RestartOnFailure), string(RestartUnlessStopped)}
	if !slices.Contains(modes, mode) {
		if meant := r.meant(mode, modes); meant != "" {
			r.wrong(v, "%q is not supported (did you mean %q?)", text, meant)
		} else {
			r.wrong(v, "%q is not supported: it must be %s", text, either(modes))
		}
		return
	}
	s.Restart.Mode = RestartMode(mode)
	if !counted {
		return
	}
	n, err := strconv.Atoi(count)
	if s.Restart.Mode != RestartOnFailure || err != nil || n < 1 {
		r.wrong(v, "%q: only on-failure takes a number of tries, from 1", text)
	}
	s.Restart.MaxRetries = n
}

func (r *reader) stopSignal(s *Service, v yamldoc.Value) {
	text, ok := r.word(v)
	if !ok {
		return
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if unix.SignalNum(name) == 0 {
		r.wrong(v, "%q is no signal (SIGTERM, SIGINT, …)", text)
		return
	}
	s.StopSignal = name
}

// logging bounds the log of a service. Where it goes is not up to the service.
func (r *reader) logging(s *Service, v yamldoc.Value) {
	r.mapping(v, map[string]func(yamldoc.Value){
		"driver": func(v yamldoc.Value) { r.oneOf(v, "local", "json-file") }, // either way bounded files
		"options": func(v yamldoc.Value) {
			r.mapping(v, map[string]func(yamldoc.Value){
				"max-size": func(v yamldoc.Value) { s.LogMaxBytes, _ = r.size(v, 16<<10) },
				"max-file": func(v yamldoc.Value) {
					n, _ := r.integer(v, 1, 100)
					s.LogFiles = int(n)
				},
			})
		},
	})
}
