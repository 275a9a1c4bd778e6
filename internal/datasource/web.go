package datasource

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/fetch"
)

// Web fetches what a person has named by its address. It may be behind a proxy;
// metadata services are on the link and never are, so they are asked by Client.
type Web struct {
	HTTPProxy, HTTPSProxy, NoProxy string // as in rancher.network
}

// client is patient: what a person names may be far away.
func (w Web) client() *http.Client {
	return &http.Client{
		Timeout: 60 * time.Second,
		Transport: &http.Transport{
			Proxy:                 fetch.Proxies(w.HTTPProxy, w.HTTPSProxy, w.NoProxy),
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 20 * time.Second,
			DisableKeepAlives:     true,
		},
	}
}

// page is user-data at an address, or in a file.
type page struct {
	name  string // as it was named: "url:http://…", "cmdline"
	fetch func(ctx context.Context) ([]byte, error)
}

func (p page) Name() string { return p.name }

func (p page) Fetch(ctx context.Context) (*Data, error) {
	text, err := p.fetch(ctx)
	if err != nil {
		return nil, err
	}
	return &Data{UserData: text}, nil
}

// newFile is "file:PATH".
func newFile(m Machine, argument string) (Source, error) {
	if !path.IsAbs(argument) {
		return nil, fmt.Errorf("%q is not an absolute path", argument)
	}
	return page{name: "file", fetch: func(context.Context) ([]byte, error) {
		dir, base := filepath.Split(filepath.Join(m.Root, argument))
		text, err := readFile(os.DirFS(dir), base)
		if err == nil && text == nil {
			return nil, fmt.Errorf("%s: %w", argument, ErrAbsent)
		}
		return text, err
	}}, nil
}

// newURL is "url:ADDRESS".
func newURL(m Machine, argument string) (Source, error) {
	return newPage(m.Web, "url", argument)
}

// newCmdline is the address that the kernel command line names with
// cloud-config-url=, or with url= as coreos-cloudinit had it.
func newCmdline(m Machine, _ string) (Source, error) {
	address, ok := cmdlineURL(m)
	if !ok {
		return page{name: "cmdline", fetch: func(context.Context) ([]byte, error) {
			return nil, fmt.Errorf("cloud-config-url= is not on the kernel command line: %w", ErrAbsent)
		}}, nil
	}
	return newPage(m.Web, "cmdline", address)
}

func hasCmdline(m Machine) bool {
	_, ok := cmdlineURL(m)
	return ok
}

func cmdlineURL(m Machine) (string, bool) {
	address, ok := m.Cmdline.Value("cloud-config-url")
	return address, ok && address != ""
}

// newPage is what is at an address. A page that is not there may come yet (a
// server that makes it when the machine registers), so it is asked for again.
func newPage(web Web, name, address string) (Source, error) {
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	return page{name: name, fetch: func(ctx context.Context) ([]byte, error) {
		text, err := web.Get(ctx, address)
		if errors.Is(err, ErrAbsent) {
			err = errors.New(err.Error())
		}
		return text, err
	}}, nil
}

// checkAddress wants what Get can fetch.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tftp" {
		return fmt.Errorf("%q is not an address beginning with http://, https:// or tftp://", hidden(address))
	}
	return nil
}

// Get fetches what an address of a person's names: a page, a file of a TFTP
// server. Errors do not show what may be secret in the address.
func (w Web) Get(ctx context.Context, address string) ([]byte, error) {
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "tftp" {
		return getTFTP(ctx, u.Host, strings.TrimPrefix(u.Path, "/"))
	}
	text, err := Client{HTTP: w.client()}.Get(ctx, address, "User-Agent", "ros-datasource")
	var status *StatusError
	var asked *url.Error
	switch {
	case errors.As(err, &status):
		status.URL = hidden(status.URL)
	case errors.As(err, &asked):
		asked.URL = hidden(asked.URL)
	}
	return text, err
}

// hidden is an address without what may be a secret in it: a password, a token
// behind the question mark.
func hidden(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not an address)"
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}
