package containers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rosteros/ros/internal/compose"
)

// filesDir is where the configs and secrets of a service are: in memory, in a
// folder that nobody else may enter, so that a mode for the program in the
// container opens them to nobody outside.
func (r *Runtime) filesDir(service string) string {
	return filepath.Join(r.dir(service), "files")
}

// fileName is the name there of the nth of them.
func fileName(n int) string { return strconv.Itoa(n) }

// writeFiles makes them anew, as the service file says now.
func (r *Runtime) writeFiles(svc compose.Service) error {
	if len(svc.Files) == 0 {
		return nil
	}
	dir := r.filesDir(svc.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i, f := range svc.Files {
		path := filepath.Join(dir, fileName(i))
		err := os.WriteFile(path, f.Text, 0o600)
		if err == nil && f.UID+f.GID > 0 {
			err = os.Lchown(path, int(f.UID), int(f.GID))
		}
		if err == nil { // after chown, which takes some modes away
			err = os.Chmod(path, os.FileMode(f.Mode))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Source, err)
		}
	}
	return nil
}
