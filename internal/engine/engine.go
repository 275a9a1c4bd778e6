// Package engine says what a user's engine is, which ones a machine has taken
// in, and whether one can use the data that another has left.
//
// An engine is what runs as the service docker, over a containerd that is the
// OS's own for every engine (the service docker-containerd; docs/decisions
// says why). The built-in one is part of the OS image. Any other one is an
// image: RancherOS's, with /engine/dockerd and nothing else, or one with
// dockerd where distributions have it. Its files lie over those of our own
// docker image, which has what dockerd needs besides: a shell, certificates, a
// program for firewall rules, an OCI runtime.
//
// It fetches nothing and starts nothing: rosd does.
package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	BuiltIn = "docker" // the engine of the OS image
	None    = "none"   // no engine, and no memory for one

	// BuiltInVersion is what the dockerd of the OS says that it is; it is built so.
	BuiltInVersion = "29.0.0-ros"

	// Service and Containerd are the services of every engine.
	Service    = "docker"
	Containerd = "docker-containerd"

	// Base is the image that lies below those of other engines.
	Base = "ros/docker"
)

// Oldest is the oldest major version that works here. Those before cannot be
// told of a runtime by its type, and speak to no containerd as new as ours.
const Oldest = 23

// nftables is the first major version that writes its rules without iptables
// and keeps images in containerd unless it is told otherwise.
const nftables = 29

// Engine is one that was fetched and checked.
type Engine struct {
	Name    string    `json:"name"`             // in the config
	Image   string    `json:"image"`            // as somebody named it
	Pin     string    `json:"pin"`              // with its digest: what is started
	Origin  string    `json:"origin,omitempty"` // service file or archive that it came from
	Version string    `json:"version"`          // as dockerd says it: 26.1.5
	Dockerd string    `json:"dockerd"`          // path in the image
	Time    time.Time `json:"time"`             // when it was taken in
}

// Major is the first number of a version; 0: it has none.
func Major(version string) int {
	word, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(word)
	return n
}

// Old says whether an engine is from before the built-in one's firewall and
// image store. The zero Engine, the built-in one, is not.
func (e Engine) Old() bool { return e.Version != "" && Major(e.Version) < nftables }

// places are where images have dockerd, by RancherOS, by Docker and by
// distributions.
var places = []string{"engine/dockerd", "usr/local/bin/dockerd", "usr/bin/dockerd", "usr/sbin/dockerd", "opt/bin/dockerd"}

// Find returns where the files of an image have dockerd. layers are folders,
// the top one first.
func Find(layers []string) (string, error) {
	for _, place := range places {
		for _, layer := range layers {
			if info, err := os.Stat(filepath.Join(layer, place)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return "/" + place, nil
			}
		}
	}
	return "", fmt.Errorf("there is no dockerd in it: neither /%s", strings.Join(places, " nor /"))
}

// ReadVersion reads what "dockerd --version" prints.
func ReadVersion(text string) (string, error) {
	// Docker version 26.1.5+dfsg1, build a72d7cd
	_, rest, ok := strings.Cut(text, "version ")
	version, _, _ := strings.Cut(rest, ",")
	version = strings.TrimSpace(version)
	if !ok || Major(version) == 0 {
		return "", fmt.Errorf("dockerd does not say its version: %q", strings.TrimSpace(text))
	}
	if Major(version) < Oldest {
		return "", fmt.Errorf("it is Docker %s; the oldest that works here is %d", version, Oldest)
	}
	return version, nil
}
