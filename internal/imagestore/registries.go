package imagestore

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"

	web "github.com/rosteros/ros/internal/fetch"
)

// Registries are how registries are reached, as the config says it.
type Registries struct {
	Logins   map[string]Login // by host[:port]; Docker Hub is "docker.io"
	Mirrors  []string         // of Docker Hub: https://mirror.example[/path], in the order of trying
	Insecure []string         // host[:port] or network (10.0.0.0/8) whose certificates are not looked at, or that have no TLS
	Domain   string           // registry of names without one; "": Docker Hub

	Certificates string // file or folder with the certificate authorities, PEM; "": Go's own way

	HTTPProxy, HTTPSProxy, NoProxy string
}

// Login is who we are at a registry. Either user and password, or one of the
// tokens.
type Login struct {
	Username, Password string
	IdentityToken      string // gets us a token for each image
	RegistryToken      string // is that token
}

// The times after which a registry counts as one that does not answer.
const (
	connectTimeout = 15 * time.Second
	answerTimeout  = 30 * time.Second
)

// resolver finds images in registries.
func (r Registries) resolver() (remotes.Resolver, error) {
	// Read for every pull, because the config may have changed them: Go reads the
	// machine's own once.
	roots, err := web.Roots(r.Certificates)
	if err != nil {
		return nil, err
	}
	return docker.NewResolver(docker.ResolverOptions{
		Headers: http.Header{"User-Agent": {"roster"}},
		Hosts:   func(host string) ([]docker.RegistryHost, error) { return r.hosts(host, roots) },
	}), nil
}

// hosts are where the images of a registry are looked for: its mirrors, then
// itself.
func (r Registries) hosts(host string, roots *x509.CertPool) ([]docker.RegistryHost, error) {
	var list []docker.RegistryHost
	if host == hub {
		for _, mirror := range r.Mirrors {
			h, err := r.mirror(mirror, roots)
			if err != nil {
				return nil, err
			}
			list = append(list, h)
		}
	}
	return append(list, r.host(host, roots)), nil
}

func (r Registries) mirror(address string, roots *x509.CertPool) (docker.RegistryHost, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return docker.RegistryHost{}, fmt.Errorf("registry mirror %q is not an http or https address", address)
	}
	h := r.host(u.Host, roots)
	h.Scheme = u.Scheme
	h.Path = strings.TrimSuffix(u.Path, "/") + "/v2"
	return h, nil
}

func (r Registries) host(host string, roots *x509.CertPool) docker.RegistryHost {
	login := r.Logins[host]
	client := r.client(host, roots)
	h := docker.RegistryHost{
		Client: client,
		Authorizer: docker.NewDockerAuthorizer(
			docker.WithAuthClient(client),
			docker.WithAuthHeader(http.Header{"User-Agent": {"roster"}}),
			docker.WithAuthCreds(func(string) (string, string, error) { return login.credentials() }),
		),
		Host: host, Scheme: "https", Path: "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
	}
	if host == hub {
		h.Host = "registry-1." + hub
	}
	if login.RegistryToken != "" {
		h.Authorizer = nil
		h.Header = http.Header{"Authorization": {"Bearer " + login.RegistryToken}}
	}
	return h
}

// credentials are a user and a password, or "" and a token.
func (l Login) credentials() (user, secret string, err error) {
	if l.IdentityToken != "" {
		return "", l.IdentityToken, nil
	}
	return l.Username, l.Password, nil
}

func (r Registries) client(host string, roots *x509.CertPool) *http.Client {
	transport := &http.Transport{
		Proxy:                 web.Proxies(r.HTTPProxy, r.HTTPSProxy, r.NoProxy),
		DialContext:           (&net.Dialer{Timeout: connectTimeout, KeepAlive: connectTimeout}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: answerTimeout,
		TLSClientConfig:       &tls.Config{RootCAs: roots},
		// A pull is the only user of its connections.
		MaxIdleConnsPerHost: parallelLayers,
		IdleConnTimeout:     5 * time.Second,
	}
	if !r.IsInsecure(host) {
		return &http.Client{Transport: transport}
	}
	transport.TLSClientConfig.InsecureSkipVerify = true // rancher.docker.insecure_registry, or this machine itself
	return &http.Client{Transport: docker.NewHTTPFallback(transport)}
}

// IsInsecure follows Docker: the machine itself always is.
func (r Registries) IsInsecure(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if name == "localhost" || slices.Contains(r.Insecure, host) || slices.Contains(r.Insecure, name) {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if err != nil {
		return false
	}
	return ip.IsLoopback() || slices.ContainsFunc(r.Insecure, func(s string) bool {
		network, err := netip.ParsePrefix(s)
		return err == nil && network.Contains(ip)
	})
}

// Way is how other servers are reached. The registries that need no TLS are
// none of their business: a caller who is after one adds IsInsecure.
func (r Registries) Way() web.Way {
	return web.Way{HTTPProxy: r.HTTPProxy, HTTPSProxy: r.HTTPSProxy, NoProxy: r.NoProxy, Certificates: r.Certificates}
}
