package imagestore

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// hub is where an image comes from whose name says nothing about that.
const hub = "docker.io"

// FullName is the name of an image with all that Docker leaves out filled in:
// "alpine" is docker.io/library/alpine:latest. A name without a registry
// belongs to domain, unless that is "": with domain "reg:5000", "rancher/x" is
// reg:5000/rancher/x:latest. With a digest, a tag is of no account and left out.
func FullName(name, domain string) (string, error) {
	// Names of images are lower case and a digest is not the name of one.
	if domain != "" && domain != hub && !hasRegistry(name) {
		name = strings.TrimSuffix(domain, "/") + "/" + name
	}
	full, err := reference.ParseDockerRef(name)
	if err != nil {
		return "", fmt.Errorf("%q is not the name of an image: %w", name, err)
	}
	return full.String(), nil
}

// hasRegistry says whether the first part of a name is a host, by Docker's
// rule.
func hasRegistry(name string) bool {
	first, _, more := strings.Cut(name, "/")
	return more && (strings.ContainsAny(first, ".:") || first == "localhost")
}

// ShortName is the name as people write it: alpine:latest.
func ShortName(full string) string {
	named, err := reference.ParseDockerRef(full)
	if err != nil {
		return full
	}
	return reference.FamiliarString(named)
}

// registryOf is the host in a full name.
func registryOf(full string) string {
	host, _, _ := strings.Cut(full, "/")
	return host
}

// digestOf is the digest in a full name; "" without one.
func digestOf(full string) string {
	_, digest, _ := strings.Cut(full, "@")
	return digest
}
