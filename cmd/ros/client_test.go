package main

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

// What may come back over the wire, and what the client makes of it.
func TestClientAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, answer, wantErr string
	}{
		{name: "good", answer: "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[]"},
		{name: "no reason phrase, bare newlines", answer: "HTTP/1.1 200\n\n[]"},
		{name: "not HTTP", answer: "hello there\r\n\r\n", wantErr: `answer begins "hello there", which is not HTTP`},
		{name: "nothing", answer: "", wantErr: "EOF"},
		{name: "cut off in the header", answer: "HTTP/1.0 200 OK\r\nContent-", wantErr: "EOF"},
		{name: "cut off before the body", answer: "HTTP/1.0 200 OK\r\n\r\n", wantErr: "unexpected EOF"},
		{name: "cut off in the body", answer: "HTTP/1.0 200 OK\r\n\r\n[{", wantErr: "unexpected end of JSON input"},
		{name: "refused", answer: "HTTP/1.0 409 Conflict\r\n\r\n{\"error\":\"it is stopping\"}", wantErr: "it is stopping"},
		{name: "refused by somebody else", answer: "HTTP/1.0 404 Not Found\r\n\r\n404 page not found\n", wantErr: "rosd answered 404: 404 page not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			listener, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				conn.Read(make([]byte, 4096))
				io.WriteString(conn, tt.answer)
				conn.Close()
			}()
			_, err = client{socket}.services(context.Background())
			if got := text(err); got != tt.wantErr {
				t.Errorf("services() error = %q, want %q", got, tt.wantErr)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A request that is under way ends with its context.
func TestClientStops(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Read(make([]byte, 4096))
		io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\n{\"type\":\"reload\"}\n")
		<-ctx.Done()
	}()
	err = client{socket}.events(ctx, func(control.Event) error {
		cancel()
		return nil
	})
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("events() error = %v, want that of a closed connection", err)
	}
}
