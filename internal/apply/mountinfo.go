package apply

import (
	"fmt"
	"os"

	"github.com/rosteros/ros/internal/mounts"
)

// mounted are the mounts of the machine, the latest last.
func (h *Host) mounted() ([]mounts.Point, error) {
	f, err := os.Open(h.Path("proc/self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of mounts: %w", err)
	}
	defer f.Close()
	points, err := mounts.Table(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of mounts: %w", err)
	}
	return points, nil
}
