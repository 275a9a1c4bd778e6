package docker

import (
	"context"
	"fmt"
)

// About is what an engine says about itself.
type About struct {
	ServerVersion      string
	Driver             string // of images: overlayfs is containerd's, overlay2 dockerd's own
	LiveRestoreEnabled bool
	ContainersRunning  int
}

// About asks the engine, as "docker info" does.
func (c *Client) About(ctx context.Context) (About, error) {
	var a About
	if err := c.call(ctx, "GET", "/info", nil, &a); err != nil {
		return About{}, fmt.Errorf("cannot ask the engine about itself: %w", err)
	}
	return a, nil
}
