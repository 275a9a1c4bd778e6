package containers

import "github.com/rosteros/ros/internal/compose"

// MakeVolume makes a volume for an image that has nothing in its place.
func (r *Runtime) MakeVolume(name string) error {
	return r.makeVolume(compose.Mount{Type: "volume", Source: name, Target: "/data"}, source{})
}
