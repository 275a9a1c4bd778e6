package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// Way is how servers are reached, as a config says it. The zero Way is that of
// the environment.
type Way struct {
	HTTPProxy, HTTPSProxy, NoProxy string // none of them: those of the environment

	Certificates string // file or folder with the certificate authorities, PEM; "": Go's own way

	// Insecure are servers whose certificates are not looked at, or that have no
	// TLS; nil: none.
	Insecure func(host string) bool
}

// Client makes requests that way, over a network that may stop at any time.
// Authorities are read now: Go itself reads those of the machine once, and the
// config may have changed them. What is wrong with them every request says.
func (w Way) Client() *http.Client {
	roots, err := Roots(w.Certificates)
	if err != nil {
		return &http.Client{Transport: broken{err}}
	}
	careful := w.transport(&tls.Config{RootCAs: roots})
	if w.Insecure == nil {
		return &http.Client{Transport: careful}
	}
	return &http.Client{Transport: &apart{
		insecure: w.Insecure, careful: careful,
		careless: w.transport(&tls.Config{InsecureSkipVerify: true}), // as the operator wants it for these
	}}
}

func (w Way) transport(config *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                 w.proxy(),
		TLSClientConfig:       config,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   30 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout:       30 * time.Second, // a client is made for one piece of work
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   4,
		DisableCompression:    true, // or the bytes of a range are not those that were asked for
	}
}

func (w Way) proxy() func(*http.Request) (*url.URL, error) {
	if w.HTTPProxy == "" && w.HTTPSProxy == "" {
		return http.ProxyFromEnvironment
	}
	return Proxies(w.HTTPProxy, w.HTTPSProxy, w.NoProxy)
}

// Proxies finds the proxy of a request as a transport asks for it, by the config
// alone: where that names none there is none, whatever the environment says.
func Proxies(forHTTP, forHTTPS, without string) func(*http.Request) (*url.URL, error) {
	find := (&httpproxy.Config{HTTPProxy: forHTTP, HTTPSProxy: forHTTPS, NoProxy: without}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return find(r.URL) }
}

// Roots reads certificate authorities from a file or a folder; nil for "": Go's
// own.
func Roots(place string) (*x509.CertPool, error) {
	if place == "" {
		return nil, nil
	}
	files := []string{place}
	if entries, err := os.ReadDir(place); err == nil {
		files = nil
		for _, e := range entries {
			files = append(files, filepath.Join(place, e.Name()))
		}
	}
	pool := x509.NewCertPool()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("certificate authorities: %w", err)
		}
		pool.AppendCertsFromPEM(text)
	}
	return pool, nil
}

// broken answers every request with the same error.
type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

// apart treats some servers with less care.
type apart struct {
	insecure          func(host string) bool
	careful, careless http.RoundTripper
}

func (a *apart) RoundTrip(r *http.Request) (*http.Response, error) {
	if !a.insecure(r.URL.Host) {
		return a.careful.RoundTrip(r)
	}
	answer, err := a.careless.RoundTrip(r)
	if err == nil || r.URL.Scheme != "https" || r.Body != nil || !noTLS(err) {
		return answer, err
	}
	plain := r.Clone(r.Context())
	plain.URL.Scheme = "http"
	return a.careless.RoundTrip(plain)
}

// noTLS says whether a server has none, as far as an error tells.
func noTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, syscall.ECONNREFUSED)
}
