package datasource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxBody is the most that is read of one page.
const maxBody = 4 << 20

// Client asks a metadata service by HTTP. Its zero value has no service: Base
// must be set, or whole addresses used.
type Client struct {
	HTTP   *http.Client // nil: one that knows no proxy, for services on the link
	Base   string       // "http://169.254.169.254"; a test's own server
	Header []string     // names and values, in turn, sent with every question
}

// StatusError is a page that answered with an error. 404 and 410 are ErrAbsent.
type StatusError struct {
	URL  string
	Code int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: %d %s", e.URL, e.Code, strings.ToLower(http.StatusText(e.Code)))
}

// Is makes a missing page ErrAbsent.
func (e *StatusError) Is(target error) bool {
	return target == ErrAbsent && (e.Code == http.StatusNotFound || e.Code == http.StatusGone)
}

// link is the client of services on the link: no proxy knows the way to them,
// and a connection that cannot be made fails soon, to be tried again.
var link = &http.Client{
	Timeout: 20 * time.Second,
	Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
		DisableKeepAlives:     true, // what asks is gone in a moment
	},
}

// Get is the page at path, which is below Base, or a whole address. header are
// names and values, in turn.
func (c Client) Get(ctx context.Context, path string, header ...string) ([]byte, error) {
	return c.Do(ctx, http.MethodGet, path, nil, header...)
}

// Optional is Get, and nothing where there is no such page.
func (c Client) Optional(ctx context.Context, path string, header ...string) ([]byte, error) {
	text, err := c.Get(ctx, path, header...)
	if errors.Is(err, ErrAbsent) {
		return nil, nil
	}
	return text, err
}

// Do asks with any method and body. An answer other than 2xx is a *StatusError,
// one that is too large an error.
func (c Client) Do(ctx context.Context, method, path string, body []byte, header ...string) ([]byte, error) {
	url := path
	if !strings.Contains(path, "://") {
		url = strings.TrimSuffix(c.Base, "/") + "/" + strings.TrimPrefix(path, "/")
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, pairs := range [][]string{c.Header, header} {
		for i := 0; i+1 < len(pairs); i += 2 {
			request.Header.Set(pairs[i], pairs[i+1])
		}
	}
	client := c.HTTP
	if client == nil {
		client = link
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return nil, &StatusError{URL: url, Code: response.StatusCode}
	}
	return readBounded(response.Body, url)
}

// readBounded reads all of r, unless that is more than anyone needs.
func readBounded(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if len(text) > maxBody {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxBody>>20)
	}
	return text, nil
}
