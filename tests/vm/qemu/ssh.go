package qemu

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Key is an ssh key pair, made for one run of the tests.
type Key struct {
	Authorized string // the line for ssh_authorized_keys
	signer     ssh.Signer
}

// NewKey makes a key pair.
func NewKey() (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return Key{}, err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return Key{Authorized: line + " roster-test", signer: signer}, nil
}

// Client is an ssh connection to a machine.
type Client struct {
	HostKey string // fingerprint of the host key it showed
	conn    *ssh.Client
}

// SSH logs in, trying again until the machine lets us in or ctx ends. QEMU
// accepts the connection long before the guest listens, so only a finished
// handshake counts.
func (m *Machine) SSH(ctx context.Context, user string, key Key) (*Client, error) {
	var last error
	for {
		client, err := m.login(ctx, user, key)
		if err == nil {
			return client, nil
		}
		last = err
		select {
		case <-m.ended:
			return nil, fmt.Errorf("cannot log in as %q: the machine ended", user)
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot log in as %q: %w (%w); last lines of the console:\n%s",
				user, last, context.Cause(ctx), tail([]byte(m.Console.Since(0))))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (m *Machine) login(ctx context.Context, user string, key Key) (*Client, error) {
	if m.SSHPort == 0 {
		return nil, errors.New("the machine has no network")
	}
	address := fmt.Sprintf("127.0.0.1:%d", m.SSHPort)
	var dialer net.Dialer
	tcp, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	// A guest that is still booting leaves the connection without an answer.
	tcp.SetDeadline(time.Now().Add(m.build.Timeout(30 * time.Second)))
	c := &Client{}
	conn, channels, requests, err := ssh.NewClientConn(tcp, address, &ssh.ClientConfig{
		User: user,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key.signer)},
		HostKeyCallback: func(_ string, _ net.Addr, host ssh.PublicKey) error {
			c.HostKey = ssh.FingerprintSHA256(host)
			return nil
		},
	})
	if err != nil {
		tcp.Close()
		return nil, err
	}
	tcp.SetDeadline(time.Time{})
	c.conn = ssh.NewClient(conn, channels, requests)
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() { c.conn.Close() }

// Result is what a command on the machine did.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs a shell command on the machine. A command that fails is no error:
// look at Code. stdin may be nil.
func (c *Client) Run(ctx context.Context, command string, stdin io.Reader) (Result, error) {
	session, err := c.conn.NewSession()
	if err != nil {
		return Result{}, fmt.Errorf("cannot run %q: %w", command, err)
	}
	defer session.Close()
	var out, errs bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = stdin, &out, &errs
	ended := make(chan error, 1)
	go func() { ended <- session.Run(command) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		c.conn.Close() // or the goroutine would wait for ever
		<-ended
		return Result{}, fmt.Errorf("cannot run %q: %w\nstdout so far: %s\nstderr so far: %s", command, context.Cause(ctx), out.String(), errs.String())
	}
	result := Result{Stdout: out.String(), Stderr: errs.String()}
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		result.Code = exit.ExitStatus()
	case err != nil:
		return result, fmt.Errorf("cannot run %q: %w", command, err)
	}
	return result, nil
}
