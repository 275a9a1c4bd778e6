package datasource_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rosteros/ros/internal/datasource"
)

// tftpServer serves files on loopback, each transfer from a port of its own. It
// returns its address.
func tftpServer(t *testing.T, files map[string][]byte) string {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { server.Close(); <-done })
	go func() {
		defer close(done)
		buffer := make([]byte, 1500)
		for {
			n, client, err := server.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			name, _, _ := strings.Cut(string(buffer[2:n]), "\x00")
			if err := serve(files, name, client); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		}
	}()
	return server.LocalAddr().String()
}

func serve(files map[string][]byte, name string, client *net.UDPAddr) error {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer conn.Close()
	send := func(kind, number uint16, data []byte) error {
		packet := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, kind), number)
		_, err := conn.WriteToUDP(append(packet, data...), client)
		return err
	}
	data, ok := files[name]
	switch {
	case name == "odd":
		return send(5, 0, []byte("disk on fire\x00"))
	case name == "fat":
		return send(3, 1, make([]byte, 600))
	case name == "silent":
		return nil
	case !ok:
		return send(5, 1, []byte("no "+name+"\x00"))
	}
	for block := uint16(1); ; block++ {
		part := data[:min(len(data), 512)]
		data = data[len(part):]
		// Each block comes twice, as over a bad link, and the one before again.
		for _, number := range []uint16{block - 1, block, block} {
			if number == 0 {
				continue
			}
			if err := send(3, number, part); err != nil {
				return err
			}
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		ack := make([]byte, 4)
		for binary.BigEndian.Uint16(ack[2:]) != block {
			if _, err := conn.Read(ack); err != nil {
				return err
			}
			if binary.BigEndian.Uint16(ack) == 5 {
				return nil
			}
		}
		if len(part) < 512 {
			return nil
		}
	}
}

func TestTFTP(t *testing.T) {
	config := append([]byte("#cloud-config\n"), bytes.Repeat([]byte("# x\n"), 500)...)
	host := tftpServer(t, map[string][]byte{"dir/config": config, "empty": nil, "even": make([]byte, 1024), "huge": make([]byte, 4<<20+512)})
	for _, tt := range []struct {
		name, file string
		want       int
		wantErr    string
	}{
		{name: "several blocks", file: "dir/config", want: len(config)},
		{name: "empty", file: "empty"},
		{name: "ends with a full block", file: "even", want: 1024},
		{name: "not there", file: "none", wantErr: `tftp://HOST/none: the server has no such file: "no none"`},
		{name: "error", file: "odd", wantErr: `tftp://HOST/odd: the server says: "disk on fire"`},
		{name: "blocks that are too large", file: "fat", wantErr: "tftp://HOST/fat: the server sends blocks that are too large"},
		{name: "zero byte", file: "a\x00b", wantErr: "tftp://HOST/a\x00b: a file name has no zero byte"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := oneSource(t, datasource.Machine{}, "tftp:"+host+"/"+tt.file).Fetch(t.Context())
			if said := strings.ReplaceAll(text(err), host, "HOST"); said != tt.wantErr {
				t.Fatalf("Fetch() error = %q, want %q", said, tt.wantErr)
			}
			if err == nil && len(got.UserData) != tt.want {
				t.Errorf("%d bytes, want %d", len(got.UserData), tt.want)
			}
		})
	}
	t.Run("by its address", func(t *testing.T) {
		got, err := datasource.Web{}.Get(t.Context(), "tftp://"+host+"/dir/config")
		if err != nil || !bytes.Equal(got, config) {
			t.Errorf("Get() = %d bytes, %v", len(got), err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		_, err := datasource.Web{}.Get(t.Context(), "tftp://"+host+"/huge")
		if want := "tftp://HOST/huge: is larger than 4 MiB"; strings.ReplaceAll(text(err), host, "HOST") != want {
			t.Errorf("Get() error = %v, want %s", err, want)
		}
	})
}

func TestTFTPEndsWithItsContext(t *testing.T) {
	host := tftpServer(t, nil)
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err := oneSource(t, datasource.Machine{}, "tftp:"+host+"/silent").Fetch(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Fetch() error = %v, want that of the context", err)
	}
}
