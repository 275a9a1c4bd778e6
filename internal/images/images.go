// Package images reads the catalogue of images baked into the OS image.
//
// A baked image is a small JSON file beside the plain directories of its
// layers; forge writes both at build time. Nothing is unpacked, imported or
// copied at boot: a service's root file system is an overlay over the layers.
// The package does not mount anything (package containers does).
package images

// Image is one baked image. On disk: <dir>/<name>.json.
type Image struct {
	Name   string   `json:"name"`   // "ros/ntp", as service files write it (without tag)
	Layers []string `json:"layers"` // names of directories below the layers folder, lowest first
	Config Config   `json:"config"`
	Digest string   `json:"digest"` // sha256 over the layers' contents and the config
}

// Config is what the image says about its process, as in an OCI image config.
type Config struct {
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	Env        []string `json:"env,omitempty"`
	WorkingDir string   `json:"working_dir,omitempty"`
	User       string   `json:"user,omitempty"`
	Volumes    []string `json:"volumes,omitempty"` // paths that are written to, sorted; baked images have none
}
