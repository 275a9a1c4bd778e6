package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/control"
)

func (a *app) tlsVerb() *cli.Command {
	return &cli.Command{
		Name:     "tls",
		Usage:    "certificates for a Docker that is reached over the network",
		Category: "Services",
		Metadata: examples("sudo ros tls gen --server -H edge-7", "sudo ros tls gen"),
		Commands: []*cli.Command{a.tlsGenVerb()},
	}
}

func (a *app) tlsGenVerb() *cli.Command {
	return &cli.Command{
		Name:    "generate",
		Aliases: []string{"gen"},
		Usage:   "make a certificate for a client, or for the engine",
		Description: `An authority is made once and kept in the config (rancher.docker.ca_cert and
ca_key). With --server it signs the engine's certificate, also kept there; with
rancher.docker.tls set to true the engine then listens on port 2376 for clients
that have a certificate of that authority. Without --server it signs one of a
client: ca.pem, cert.pem and key.pem, where the docker command looks for them.`,
		Metadata: examples(
			"sudo ros config set rancher.docker.tls true",
			"sudo ros tls gen --server -H edge-7 -H 192.0.2.7",
			"sudo ros tls gen",
			"sudo ros tls gen -d ./for-anna",
		),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "server", Aliases: []string{"s"}, Usage: "the engine's certificate, not a client's", Local: true},
			&cli.StringSliceFlag{Name: "hostname", Aliases: []string{"H"}, Usage: "a `NAME` or address it is reached by; may be repeated", Local: true},
			&cli.StringFlag{Name: "dir", Aliases: []string{"d"}, Usage: "write the files into `DIR`", Local: true},
		},
		Action: a.tlsGen,
	}
}

func (a *app) tlsGen(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	if err := a.needRoot("make certificates"); err != nil {
		return err
	}
	ask := control.TLSAsk{Server: cmd.Bool("server"), Hosts: cmd.StringSlice("hostname"), Name: a.person()}
	if ask.Server && len(ask.Hosts) == 0 {
		return usage(cmd.FullName()+" --server -H NAME", "cannot make a certificate: what do clients call this machine?")
	}
	var made control.TLSMade
	if err := a.daemon().ask(ctx, "POST", "/v1/tls", ask, &made); err != nil {
		return a.explain("make a certificate", err)
	}
	names := map[string]string{"ca.pem": made.CA, "cert.pem": made.Cert, "key.pem": made.Key}
	dir := cmp.Or(cmd.String("dir"), filepath.Join(a.homes, a.person(), ".docker"))
	if ask.Server {
		names = map[string]string{"ca.pem": made.CA, "server-cert.pem": made.Cert, "server-key.pem": made.Key}
		dir = cmd.String("dir") // without it rosd writes them where dockerd looks
	}
	if made.NewCA {
		fmt.Fprintln(a.stdout, "made an authority: rancher.docker.ca_cert, rancher.docker.ca_key")
	}
	if ask.Server {
		fmt.Fprintln(a.stdout, "made the certificate of the engine: rancher.docker.server_cert, rancher.docker.server_key")
	}
	if dir != "" {
		if err := writeCertificates(dir, names); err != nil {
			return fmt.Errorf("cannot write certificates: %w", err)
		}
		fmt.Fprintf(a.stdout, "wrote %s: ca.pem and a certificate with its key\n", dir)
	}
	if made.Applied == nil {
		return nil
	}
	return a.tellApplied("written", *made.Applied)
}

// person is who uses the machine: who called sudo, or rancher.
func (a *app) person() string {
	if name := a.getenv("SUDO_USER"); name != "" && name != "root" && !strings.ContainsRune(name, '/') {
		return name
	}
	return "rancher"
}

// writeCertificates writes files that belong to who owns the folder above.
func writeCertificates(dir string, files map[string]string) error {
	parent, err := os.Stat(filepath.Dir(filepath.Clean(dir)))
	if err != nil {
		return err
	}
	owner, ok := parent.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("internal error: nobody owns a folder")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	paths := []string{dir}
	for name, text := range files {
		perm := os.FileMode(0o644)
		if strings.HasSuffix(name, "key.pem") {
			perm = 0o600
		}
		path := filepath.Join(dir, name)
		if err := atomicfile.WriteFile(path, []byte(text), perm); err != nil {
			return err
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return nil
}
