package imagestore

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
)

// explain says in the user's words why a registry did not give an image.
func explain(full string, err error) error {
	host := registryOf(full)
	var status remoteerrors.ErrUnexpectedStatus
	var unknownCA x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var dns *net.DNSError
	_ = errors.As(err, &status)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errStalled):
		return err
	case errors.As(err, &unknownCA):
		return fmt.Errorf("registry %s has a certificate that nobody here vouches for (ca_certs.trusted, or rancher.docker.insecure_registry): %w", host, unknownCA)
	case errors.As(err, &wrongName):
		return fmt.Errorf("registry %s: %w", host, wrongName)
	case errors.As(err, &dns):
		return fmt.Errorf("registry %s cannot be found: %w", host, dns)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Errorf("registry %s cannot be reached: %w", host, root(err))
	case errors.Is(err, docker.ErrInvalidAuthorization), status.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("registry %s refuses the login, or there is no such image (rancher.registry_auths)", host)
	case status.StatusCode != 0:
		return fmt.Errorf("registry %s answers %s%s", host, status.Status, said(status))
	case errdefs.IsFailedPrecondition(err):
		// containerd: "unexpected commit size", "unexpected commit digest"
		return fmt.Errorf("registry %s sends other bytes than the image has", host)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("registry %s breaks off in the middle", host)
	case errdefs.IsNotFound(err) && !strings.Contains(err.Error(), "content sha256:"):
		return fmt.Errorf("registry %s does not have it", host)
	}
	return fmt.Errorf("registry %s: %w", host, err)
}

// said is what the body of an answer has to say, if it is short.
func said(s remoteerrors.ErrUnexpectedStatus) string {
	switch s.StatusCode {
	case http.StatusForbidden:
		return " (rancher.registry_auths)"
	}
	if text := strings.TrimSpace(string(s.Body)); text != "" && len(text) < 200 && !strings.Contains(text, "<") {
		return ": " + text
	}
	return ""
}

// root is the innermost error: the layers above it name addresses.
func root(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	return err
}

// passing says whether an error of a registry may be gone in a moment.
func passing(err error) bool {
	var status remoteerrors.ErrUnexpectedStatus
	if errors.As(err, &status) {
		return status.StatusCode >= http.StatusInternalServerError || status.StatusCode == http.StatusTooManyRequests
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, errStalled) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET)
}
