// Package fetch gets small text files from web servers: lists, indexes, service
// files, configs. It owns the bounds of such a file, in bytes and in time.
// Images and releases are not small: package repository brings those.
package fetch

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/rosteros/ros/internal/yamldoc"
)

// Bounds of a file and of the time that it may take.
const (
	maxBytes = yamldoc.MaxSize
	maxTime  = 60 * time.Second
)

// Text gets the file at an address; a nil client is http.DefaultClient. A file
// that the server does not have is an fs.ErrNotExist.
func Text(ctx context.Context, address string, client *http.Client) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", address, fs.ErrNotExist)
	default:
		return nil, fmt.Errorf("%s answers %s", address, res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBytes+1))
	if err == nil && len(text) > maxBytes {
		err = fmt.Errorf("%s has more than %d bytes", address, maxBytes)
	}
	return text, err
}
