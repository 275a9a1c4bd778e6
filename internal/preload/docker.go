package preload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/imagestore"
)

// answerTimeout is how long Docker may take to answer once it has all of an
// archive: it unpacks it then.
const answerTimeout = 15 * time.Minute

// IntoDocker returns the Load of a Folder whose images are for the Docker at a
// socket. Docker is given the archive unpacked: it has no program for xz.
func IntoDocker(socket string) func(ctx context.Context, r io.Reader, size int64) ([]string, error) {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		ResponseHeaderTimeout: answerTimeout,
		DisableKeepAlives:     true,
	}}
	return func(ctx context.Context, r io.Reader, _ int64) ([]string, error) {
		plain, done, err := imagestore.Unpacked(r)
		if err != nil {
			return nil, err
		}
		defer done()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://docker/images/load?quiet=1", plain)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/x-tar")
		answer, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		return loadedByDocker(answer)
	}
}

// loadedByDocker reads the names of images out of Docker's lines, "Loaded
// image: alpine:latest".
func loadedByDocker(answer *http.Response) (images []string, err error) {
	if answer.StatusCode != http.StatusOK {
		var refusal struct{ Message string }
		if json.NewDecoder(answer.Body).Decode(&refusal) != nil || refusal.Message == "" {
			refusal.Message = answer.Status
		}
		return nil, fmt.Errorf("docker: %s", refusal.Message)
	}
	for in := json.NewDecoder(bufio.NewReader(answer.Body)); ; {
		var line struct{ Stream, Error string }
		err := in.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return images, nil
		case err != nil:
			return images, err
		case line.Error != "":
			return images, fmt.Errorf("docker: %s", line.Error)
		}
		for _, begin := range []string{"Loaded image: ", "Loaded image ID: "} {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line.Stream), begin); ok {
				images = append(images, name)
			}
		}
	}
}
