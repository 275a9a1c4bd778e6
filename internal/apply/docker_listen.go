package apply

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
)

// Where RancherOS kept them: tls_args name these paths.
const (
	dockerCA   = "etc/docker/tls/ca.pem"
	dockerCert = "etc/docker/tls/server-cert.pem"
	dockerKey  = "etc/docker/tls/server-key.pem"
)

// dockerSocket is what everything on the machine talks to.
const dockerSocket = "unix:///var/run/docker.sock"

// listen says where dockerd listens, besides its socket. When TLS is asked for
// and cannot be had, no port is open.
func (d *dockerd) listen() {
	hosts, args := hostFlags(d.c.ExtraArgs)
	hosts = append(slices.Clone(d.c.Host), hosts...)
	d.args = args
	secure := false
	if d.c.TLS {
		secure = d.certificates()
		more, tlsArgs := hostFlags(d.c.TLSArgs)
		hosts = append(hosts, more...)
		switch {
		case !secure:
		case len(tlsArgs) > 0:
			d.args = append(d.args, tlsArgs...)
		default:
			d.options["tlsverify"] = true
			d.options["tlscacert"], d.options["tlscert"], d.options["tlskey"] = "/"+dockerCA, "/"+dockerCert, "/"+dockerKey
		}
		if !slices.ContainsFunc(hosts, isTCP) {
			hosts = append(hosts, "tcp://0.0.0.0:2376")
		}
	} else {
		d.noCertificates()
	}
	all := []string{dockerSocket}
	open := false
	for _, host := range hosts {
		switch host = dockerHost(host); {
		case strings.HasPrefix(host, "fd://"):
			d.wrong("host", "fd:// is for systemd, which is not here")
		case slices.Contains(all, host) || isTCP(host) && d.c.TLS && !secure:
		default:
			all = append(all, host)
			open = open || isTCP(host)
		}
	}
	if len(all) > 1 {
		d.options["hosts"] = list(all)
	}
	if open && !d.c.TLS && !slices.ContainsFunc(d.args, func(word string) bool { return strings.HasPrefix(word, "--tls") }) {
		d.options["tls"] = false // else dockerd waits for a quarter of a minute
		d.outcome.Notes = append(d.outcome.Notes, "whoever reaches "+strings.Join(all[1:], ", ")+" is root on this machine: rancher.docker.tls keeps others out")
	}
}

// hostFlags takes -H and --host out of arguments: a list of them in daemon.json
// and one in flags exclude each other.
func hostFlags(args []string) (hosts, rest []string) {
	for i := 0; i < len(args); i++ {
		name, value, own := flagName(args[i])
		switch {
		case name != "H" && name != "host":
			rest = append(rest, args[i])
		case own:
			hosts = append(hosts, value)
		case i+1 < len(args):
			i++
			hosts = append(hosts, args[i])
		}
	}
	return hosts, rest
}

// dockerHost spells the same place the same.
func dockerHost(host string) string {
	if !strings.Contains(host, "://") {
		host = "tcp://" + host
	}
	if host == "unix:///run/docker.sock" || host == "unix://" {
		return dockerSocket
	}
	return host
}

func isTCP(host string) bool { return strings.HasPrefix(dockerHost(host), "tcp://") }

// certificates puts those of the config where dockerd reads them.
func (d *dockerd) certificates() bool {
	if d.c.ServerCert == "" && d.c.ServerKey == "" && d.c.CACert == "" {
		d.outcome.Notes = append(d.outcome.Notes, "rancher.docker.tls: no port is open until there are certificates; make them with: ros tls gen --server -H HOST")
		return false
	}
	if err := d.checkCertificates(); err != nil {
		d.wrong("tls", "no port is open: %w", err)
		return false
	}
	for _, file := range []struct {
		path, text string
		perm       os.FileMode
	}{
		{dockerCA, string(d.c.CACert), 0o644},
		{dockerCert, string(d.c.ServerCert), 0o644},
		{dockerKey, string(d.c.ServerKey), 0o600},
	} {
		changed, err := d.h.put(file.path, []byte(file.text), file.perm)
		d.failed(err)
		d.renewed = d.renewed || changed
	}
	return true
}

func (d *dockerd) checkCertificates() error {
	if d.c.ServerCert == "" || d.c.ServerKey == "" || d.c.CACert == "" {
		return errors.New("it needs server_cert, server_key and ca_cert")
	}
	if _, err := tls.X509KeyPair([]byte(d.c.ServerCert), []byte(d.c.ServerKey)); err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(d.c.CACert)) {
		return errors.New("ca_cert is not a certificate in PEM")
	}
	return nil
}

func (d *dockerd) noCertificates() {
	for _, path := range []string{dockerCA, dockerCert, dockerKey} {
		_, err := d.h.remove(path)
		d.failed(err)
	}
}
