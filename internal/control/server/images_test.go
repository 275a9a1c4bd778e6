package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control/server"
	"github.com/rosteros/ros/internal/images"
	"github.com/rosteros/ros/internal/imagestore"
	"github.com/rosteros/ros/internal/supervise"
)

// imagesFake loads what ends well.
type imagesFake struct{ server.Images }

func (imagesFake) Load(ctx context.Context, r io.Reader, _ int64, say func(imagestore.Event)) ([]imagestore.Image, error) {
	say(imagestore.Event{Status: images.Loading})
	head := make([]byte, 4)
	_, _ = io.ReadFull(r, head)
	if string(head) == "all " {
		_, _ = io.Copy(io.Discard, r)
		return nil, fmt.Errorf("cannot load the archive: %v", ctx.Err())
	}
	if string(head) != "good" {
		return nil, errors.New("cannot load the archive: it is empty")
	}
	_, _ = io.Copy(io.Discard, r)
	return []imagestore.Image{{Name: "docker.io/library/box:1"}}, nil
}

// config answers nothing.
type noConfig struct{ server.Config }

func TestLoadImages(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root may load images")
		}
		t.Skip("only root may load images")
	}
	socket := filepath.Join(t.TempDir(), "rosd.sock")
	l, err := server.Listen(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	s := &server.Server{Supervisor: supervise.New(supervise.Config{}), Images: imagesFake{}, Config: noConfig{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })

	for _, tt := range []struct{ archive, want string }{
		{"good and long " + strings.Repeat("x", 1<<20), `"image":{"name":"docker.io/library/box:1"`},
		{"all of it is read", `{"error":"cannot load the archive: \u003cnil\u003e"}`},
		{"bad", `{"error":"cannot load the archive: it is empty"}`},
		{"bad and long " + strings.Repeat("x", 1<<20), `{"error":"cannot load the archive: it is empty"}`},
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST /v1/images/load HTTP/1.0\r\nHost: rosd\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n")
		in := bufio.NewReader(conn)
		for line := "-"; strings.TrimSpace(line) != ""; {
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			_, _ = io.WriteString(conn, tt.archive)
			_ = conn.(*net.UnixConn).CloseWrite()
		}()
		rest, err := io.ReadAll(in)
		if err != nil || !strings.Contains(string(rest), tt.want) {
			t.Errorf("load %.10q = %q, %v, want %s", tt.archive, rest, err, tt.want)
		}
		conn.Close()
	}
}
