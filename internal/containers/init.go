package containers

import (
	"path/filepath"
	"slices"
)

// initTarget is where a container has the program that is its process 1 with
// init: true; Docker puts it there, too.
const initTarget = "/sbin/docker-init"

// initProgram is that program: the one that Docker gives to its containers. "":
// the OS image does not have it.
func (r *Runtime) initProgram() string {
	docker, err := r.images.Find("ros/docker")
	if err != nil {
		return ""
	}
	for _, layer := range slices.Backward(docker.Layers) {
		if path := filepath.Join(r.opts.LayersDir, layer, "usr/bin/tini-static"); exists(path) {
			return path
		}
	}
	return ""
}
