// Package project owns what the user's engine is told about a service: a
// Compose project as plain values that need no Compose any more.
//
// Package loader below makes them from Compose files. That is work for a
// program of its own, because it links all of compose-go; rosd runs it when a
// service file is new or has changed, keeps what it says, and needs it for
// nothing else. Package docker carries them out.
package project

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/rosteros/ros/internal/compose"
)

// Request is what the loader is asked.
type Request struct {
	Path   string            `json:"path"`             // of the service file; what faults call it
	Text   []byte            `json:"text"`             // its content
	Dir    string            `json:"dir"`              // where relative paths in it begin
	Name   string            `json:"name"`             // of the project, when the file has none
	Env    map[string]string `json:"env,omitempty"`    // values for ${NAME}
	Remote bool              `json:"remote,omitempty"` // the file came alone: it cannot name files beside it
	Home   string            `json:"home,omitempty"`   // where relative paths of scope system begin, if not in Dir: these services name no files
}

// Result is what the loader answers: the services of scope user, each with its
// Container in Service.Engine, and what is wrong with the others.
type Result struct {
	Services []compose.Service `json:"services"`
	Faults   []compose.Fault   `json:"faults,omitempty"`

	// Resolved is the file with all that it takes from others, for the services of
	// scope system; nil when it takes nothing.
	Resolved *compose.Resolved `json:"resolved,omitempty"`
}

// Container is what the engine is told about one service.
type Container struct {
	Project  string `json:"project"`
	Name     string `json:"name"` // of the container
	Platform string `json:"platform,omitempty"`

	// Create is the body of POST /containers/create. Its Image is what the
	// service file says.
	Create json.RawMessage `json:"create"`
	// Pin is the same image by its content: what it was when the service was
	// enabled. "": whatever the engine has under the name.
	Pin        string `json:"pin,omitempty"`
	PullPolicy string `json:"pull_policy,omitempty"`

	Networks []Object `json:"networks,omitempty"` // those it is in
	Volumes  []Object `json:"volumes,omitempty"`  // named ones it mounts
	Files    []File   `json:"files,omitempty"`    // written into the container before it starts

	// Peers are the services whose containers it borrows something of
	// (network_mode: service:NAME, volumes_from), by the name of the container.
	Peers []string `json:"peers,omitempty"`
	// Ports are those of the machine that it takes, as "tcp/8080" or
	// "tcp/127.0.0.1:8080".
	Ports []string `json:"ports,omitempty"`
}

// Object is a network or a volume.
type Object struct {
	Name     string          `json:"name"`
	Key      string          `json:"key"`                // in the service file
	External bool            `json:"external,omitempty"` // has to be there; is not ours to make or remove
	Create   json.RawMessage `json:"create,omitempty"`   // body of POST /networks/create or /volumes/create
}

// File is a config or a secret whose content is in the project.
type File struct {
	Path string `json:"path"`
	Text []byte `json:"text"`
	UID  int    `json:"uid,omitempty"`
	GID  int    `json:"gid,omitempty"`
	Mode int64  `json:"mode"`
}

// Of reads the container of a service of scope user.
func Of(s compose.Service) (Container, error) {
	var c Container
	if len(s.Engine) == 0 {
		return c, fmt.Errorf("internal error: service %q has nothing for the engine", s.Name)
	}
	if err := json.Unmarshal(s.Engine, &c); err != nil {
		return c, fmt.Errorf("internal error: service %q: %w", s.Name, err)
	}
	return c, nil
}

// Shown is the service for people: what configs and secrets say is left out.
func Shown(s compose.Service) (compose.Service, error) {
	if len(s.Engine) == 0 {
		return s, nil
	}
	c, err := Of(s)
	if err != nil {
		return s, err
	}
	for i := range c.Files {
		c.Files[i].Text = nil
	}
	return With(s, c)
}

// Published are the ports of the machine that the container takes; where they
// lead to is between it and the engine.
func (c Container) Published() []compose.Port {
	var ports []compose.Port
	for _, text := range c.Ports {
		protocol, address, _ := strings.Cut(text, "/")
		host, number, err := net.SplitHostPort(address)
		if err != nil {
			continue // written by us
		}
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			ports = append(ports, compose.Port{HostIP: host, Published: uint16(n), Protocol: protocol})
		}
	}
	return ports
}

// With puts the container into the service.
func With(s compose.Service, c Container) (compose.Service, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return s, fmt.Errorf("internal error: service %q: %w", s.Name, err)
	}
	s.Engine = text
	return s, nil
}
