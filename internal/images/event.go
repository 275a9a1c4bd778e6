package images

// Event is a step of pulling or loading an image, in Docker's words.
type Event struct {
	Layer   string `json:"layer,omitempty"`   // short digest; "": of the image as a whole
	Status  string `json:"status"`            // one of those below, or a line of text
	Current int64  `json:"current,omitempty"` // bytes
	Total   int64  `json:"total,omitempty"`   // bytes; 0: not known
}

// What an Event says about a layer, in the order in which it happens.
const (
	Waiting     = "Waiting"
	Exists      = "Already exists"
	Downloading = "Downloading"
	Downloaded  = "Download complete"
	Extracting  = "Extracting"
	Complete    = "Pull complete"
	Loading     = "Loading" // of an archive as a whole
)
