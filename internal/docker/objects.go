package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/supervise"
)

// network makes a network unless it is there. Services of a project start at
// once; one of them makes it, and the others find it.
func (r *Runtime) network(ctx context.Context, n project.Object) error {
	done, err := r.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	var have struct{ Labels map[string]string }
	path := "/networks/" + url.PathEscape(n.Name)
	err = r.call(ctx, "GET", path, nil, &have)
	hash := hashOf(n.Create)
	switch {
	case err == nil && (n.External || have.Labels[labelHash] == hash || have.Labels[labelHash] == ""):
		return nil
	case err == nil: // made by an older version of the file
		if err := r.call(ctx, "DELETE", path, nil, nil); err != nil {
			return fmt.Errorf("network %q has other settings by now and cannot be made anew: %w", n.Name, err)
		}
	case !IsNotFound(err):
		return err
	case n.External:
		return supervise.Permanent(fmt.Errorf("network %q is external: it has to be there, and is not", n.Name))
	}
	body, err := labelled(n.Create, labelHash, hash)
	if err != nil {
		return err
	}
	err = r.call(ctx, "POST", "/networks/create", body, nil)
	if hasStatus(err, http.StatusConflict) {
		return nil // docker compose, say, has made it meanwhile
	}
	return err
}

// volume makes a volume unless it is there.
func (r *Runtime) volume(ctx context.Context, v project.Object) error {
	err := r.call(ctx, "GET", "/volumes/"+url.PathEscape(v.Name), nil, nil)
	switch {
	case err == nil || !IsNotFound(err):
		return err
	case v.External:
		return supervise.Permanent(fmt.Errorf("volume %q is external: it has to be there, and is not", v.Name))
	}
	return r.call(ctx, "POST", "/volumes/create", v.Create, nil)
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// labelled is a request with one more label.
func labelled(create json.RawMessage, name, value string) (map[string]any, error) {
	var body map[string]any
	if err := json.Unmarshal(create, &body); err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	labels, _ := body["Labels"].(map[string]any)
	if labels == nil {
		labels = map[string]any{}
	}
	labels[name] = value
	body["Labels"] = labels
	return body, nil
}

// writeFiles puts configs and secrets into a container that does not run yet.
func (r *Runtime) writeFiles(ctx context.Context, id string, files []project.File) error {
	if len(files) == 0 {
		return nil
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		header := &tar.Header{
			Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode, Uid: f.UID, Gid: f.GID, Size: int64(len(f.Text)), Typeflag: tar.TypeReg,
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(f.Text); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	body, err := r.send(ctx, "PUT", "/containers/"+id+"/archive?path=/", &archive, nil)
	if err != nil {
		return fmt.Errorf("configs and secrets: %w", err)
	}
	return body.Close()
}
