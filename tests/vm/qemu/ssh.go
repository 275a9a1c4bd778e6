package qemu

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
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

// session is one that a test speaks with.
func (c *Client) session() (session *ssh.Session, in io.Writer, out io.Reader, err error) {
	if session, err = c.conn.NewSession(); err != nil {
		return nil, nil, nil, err
	}
	in, inErr := session.StdinPipe()
	out, outErr := session.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		session.Close()
		return nil, nil, nil, err
	}
	return session, in, out, nil
}

// Typed is what somebody types on a terminal once it shows After.
type Typed struct{ After, Text string }

// Terminal opens a login shell on a terminal of 33 lines and 99 columns, types,
// and returns all that was shown when the shell has ended.
func (c *Client) Terminal(ctx context.Context, dialog []Typed) (string, error) {
	session, in, out, err := c.session()
	if err != nil {
		return "", err
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	if err := session.RequestPty("vt220", 33, 99, ssh.TerminalModes{}); err != nil {
		return "", err
	}
	if err := session.Shell(); err != nil {
		return "", err
	}
	var shown []byte
	from, piece := 0, make([]byte, 4096)
	for {
		for len(dialog) > 0 && bytes.Contains(shown[from:], []byte(dialog[0].After)) {
			from = len(shown)
			if _, err := io.WriteString(in, dialog[0].Text); err != nil {
				return string(shown), err
			}
			dialog = dialog[1:]
		}
		n, err := out.Read(piece)
		shown = append(shown, piece[:n]...)
		if err == io.EOF && len(dialog) == 0 {
			return string(shown), session.Wait()
		}
		if err != nil {
			return string(shown), fmt.Errorf("waiting for %d lines to be typed: %w", len(dialog), err)
		}
	}
}

// SFTPHome asks the machine's sftp which folder "." is
// (draft-ietf-secsh-filexfer-02, sections 4 and 6.11).
func (c *Client) SFTPHome() (string, error) {
	session, in, out, err := c.session()
	if err != nil {
		return "", err
	}
	defer session.Close()
	if err := session.RequestSubsystem("sftp"); err != nil {
		return "", err
	}
	const initialise, realpath, name = 1, 16, 104
	for _, packet := range []string{
		"\x00\x00\x00\x05" + string(rune(initialise)) + "\x00\x00\x00\x03",
		"\x00\x00\x00\x0a" + string(rune(realpath)) + "\x00\x00\x00\x01" + "\x00\x00\x00\x01.",
	} {
		if _, err := io.WriteString(in, packet); err != nil {
			return "", err
		}
		var length [4]byte
		if _, err := io.ReadFull(out, length[:]); err != nil {
			return "", err
		}
		answer := make([]byte, binary.BigEndian.Uint32(length[:])&0xffff)
		if _, err := io.ReadFull(out, answer); err != nil {
			return "", err
		}
		// After its kind: the request, how many names (one), the length of the name, the name.
		if len(answer) > 13 && answer[0] == name {
			size := binary.BigEndian.Uint32(answer[9:13])
			return string(answer[13:min(13+int(size), len(answer))]), nil
		}
	}
	return "", errors.New("sftp tells no name")
}
