package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/authority"
)

// A server and a client that one authority has signed talk to each other; a
// client of another authority is not let in.
func TestHandshake(t *testing.T) {
	now := time.Now()
	ca, err := authority.New("ros", now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server([]string{"edge-7", "192.0.2.7", "edge-7"}, now)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Client("rancher", now)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := authority.New("other", now)
	stranger, _ := other.Client("rancher", now)
	for _, tt := range []struct {
		name, host string
		client     authority.Pair
		ok         bool
	}{
		{"by name", "edge-7", client, true},
		{"by address", "192.0.2.7", client, true},
		{"another name", "edge-8", client, false},
		{"a stranger", "edge-7", stranger, false},
		{"a server as a client", "edge-7", server, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := talk(t, ca, server, tt.client, tt.host); (err == nil) != tt.ok {
				t.Errorf("error = %v, want none: %t", err, tt.ok)
			}
		})
	}
	if _, err := client.Client("x", now); err == nil || err.Error() != "cannot use the authority: its certificate is not one of an authority" {
		t.Errorf("a client signs: %v", err)
	}
}

func talk(t *testing.T, ca, server, client authority.Pair, host string) error {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ca.Cert))
	pair := func(p authority.Pair) []tls.Certificate {
		c, err := tls.X509KeyPair([]byte(p.Cert), []byte(p.Key))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	// Not net.Pipe: it holds nothing, so two sides that both write wait for ever.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	answered := make(chan error, 1)
	go func() {
		there, err := listener.Accept()
		if err != nil {
			answered <- err
			return
		}
		defer there.Close()
		s := tls.Server(there, &tls.Config{Certificates: pair(server), ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
		_, err = s.Write([]byte("OK"))
		answered <- err
	}()
	here, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	c := tls.Client(here, &tls.Config{Certificates: pair(client), RootCAs: pool, ServerName: host})
	_, err = io.ReadFull(c, make([]byte, 2))
	here.Close()
	if served := <-answered; err == nil {
		err = served
	}
	return err
}
