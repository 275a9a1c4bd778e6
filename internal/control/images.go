package control

import (
	"time"

	"github.com/rosteros/ros/internal/images"
)

// Routes about the images of system services. Those that change something are
// for root only: who puts an image there chooses what services run.
//
//	GET  /v1/images             []Image, baked ones first
//	GET  /v1/images/one?name=   Image
//	POST /v1/images/pull        body ImageName; answers a stream of ImageStep
//	POST /v1/images/load        what follows the headers is a tar archive, until the writing end
//	                            is shut down; answers a stream of ImageStep
//	POST /v1/images/save        body ImageNames; answers frames (Frame): the archive, then how it ended
//	POST /v1/images/remove      body ImageName; answers Image
//	POST /v1/images/tag         body ImageTag; answers Image
//	POST /v1/preload            loads the archives below /var/lib/rancher/preload; answers a stream of ImageStep

// Image is one image of the system containerd, or one that is baked into the
// OS image.
type Image struct {
	Name    string    `json:"name"`   // in full: docker.io/library/alpine:latest; "" if it has none
	Digest  string    `json:"digest"` // what the name stands for at its registry
	ID      string    `json:"id"`     // of its config: the same for every name of the image
	Size    int64     `json:"size"`   // bytes on disk, unpacked; of a baked one not known
	Created time.Time `json:"created,omitzero"`
	Baked   bool      `json:"baked,omitempty"`

	Architecture string            `json:"architecture,omitempty"`
	Config       images.Config     `json:"config"`
	Labels       map[string]string `json:"labels,omitempty"`
	Layers       []string          `json:"layers,omitempty"` // digests, lowest first
}

// ImageEvent is a step of a pull or a load.
type ImageEvent = images.Event

// ImageName names an image.
type ImageName struct {
	Name  string `json:"name"`
	Force bool   `json:"force,omitempty"` // remove: also when a service needs it
}

// ImageNames names some.
type ImageNames struct {
	Names []string `json:"names"`
}

// ImageTag gives an image another name.
type ImageTag struct {
	Name string `json:"name"`
	As   string `json:"as"`
}

// ImageStep is one line of a stream: a step, an image that is there now, or
// the error that it ended with. The stream ends with Done or Error.
type ImageStep struct {
	Step  *ImageEvent `json:"step,omitempty"`
	Image *Image      `json:"image,omitempty"`
	Text  string      `json:"text,omitempty"` // a line for people
	Done  bool        `json:"done,omitempty"`
	Error string      `json:"error,omitempty"`
}
