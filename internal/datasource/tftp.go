package datasource

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// TFTP, RFC 1350.
const (
	tftpPort  = "69"
	tftpRead  = 1
	tftpData  = 3
	tftpAck   = 4
	tftpError = 5
	tftpBlock = 512
	// A server that has not answered after so long is asked again, so often.
	tftpWait    = 2 * time.Second
	tftpRetries = 4
	// Numbers of errors.
	tftpNotFound = 1
	tftpFull     = 3
)

// newTFTP is "tftp:HOST[:PORT]/PATH".
func newTFTP(_ Machine, argument string) (Source, error) {
	host, file, ok := strings.Cut(strings.TrimPrefix(argument, "//"), "/")
	if !ok || host == "" || file == "" {
		return nil, fmt.Errorf("%q is not HOST/PATH", argument)
	}
	return page{name: "tftp", fetch: func(ctx context.Context) ([]byte, error) { return getTFTP(ctx, host, file) }}, nil
}

// getTFTP reads a file. The server answers from a port of its own, which then
// is the only one that is listened to.
func getTFTP(ctx context.Context, host, file string) (text []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("tftp://%s/%s: %w", host, file, err)
		}
	}()
	if strings.ContainsRune(file, 0) {
		return nil, errors.New("a file name has no zero byte")
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), tftpPort)
	}
	server, err := resolveUDP(ctx, host)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// A read that waits ends with ctx.
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now()) })()
	t := transfer{ctx: ctx, conn: conn, server: server}
	return t.read(file)
}

func resolveUDP(ctx context.Context, host string) (*net.UDPAddr, error) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, name)
	if err != nil {
		return nil, err
	}
	return &net.UDPAddr{IP: addresses[0].IP, Zone: addresses[0].Zone, Port: number}, nil
}

// transfer is the reading of one file.
type transfer struct {
	ctx    context.Context
	conn   *net.UDPConn
	server *net.UDPAddr
	fixed  bool // the server's port is known
}

func (t *transfer) read(file string) ([]byte, error) {
	packet := binary.BigEndian.AppendUint16(nil, tftpRead)
	packet = append(packet, file+"\x00octet\x00"...)
	var text []byte
	for block := uint16(1); ; block++ {
		data, err := t.ask(packet, block)
		if err != nil {
			return nil, err
		}
		text = append(text, data...)
		if len(text) > maxBody {
			return nil, errors.Join(fmt.Errorf("is larger than %d MiB", maxBody>>20), t.refuse())
		}
		packet = binary.BigEndian.AppendUint16(nil, tftpAck)
		packet = binary.BigEndian.AppendUint16(packet, block)
		if len(data) < tftpBlock {
			_, err := t.conn.WriteToUDP(packet, t.server) // the last one, which nobody answers
			return text, err
		}
	}
}

// refuse tells the server to send no more.
func (t *transfer) refuse() error {
	packet := binary.BigEndian.AppendUint16(nil, tftpError)
	packet = binary.BigEndian.AppendUint16(packet, tftpFull)
	_, err := t.conn.WriteToUDP(append(packet, "too large\x00"...), t.server)
	return err
}

// ask sends a packet, again if need be, until block comes.
func (t *transfer) ask(packet []byte, block uint16) ([]byte, error) {
	for range tftpRetries {
		if _, err := t.conn.WriteToUDP(packet, t.server); err != nil {
			return nil, err
		}
		data, err := t.await(block)
		var late net.Error
		if !errors.As(err, &late) || !late.Timeout() {
			return data, err
		}
		if err := t.ctx.Err(); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("no answer")
}

// await waits for a block and passes over whatever else comes: earlier blocks
// sent again, packets of others.
func (t *transfer) await(block uint16) ([]byte, error) {
	if err := t.conn.SetReadDeadline(time.Now().Add(tftpWait)); err != nil {
		return nil, err
	}
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	buffer := make([]byte, 4+tftpBlock+1)
	for {
		n, from, err := t.conn.ReadFromUDP(buffer)
		if err != nil {
			return nil, err
		}
		answer := buffer[:n]
		if n < 4 || !from.IP.Equal(t.server.IP) || t.fixed && from.Port != t.server.Port {
			continue
		}
		switch kind, number := binary.BigEndian.Uint16(answer), binary.BigEndian.Uint16(answer[2:]); {
		case kind == tftpError:
			message, _, _ := strings.Cut(string(answer[4:]), "\x00")
			if number == tftpNotFound {
				return nil, fmt.Errorf("the server has no such file: %.100q", message)
			}
			return nil, fmt.Errorf("the server says: %.100q", message)
		case kind == tftpData && number == block:
			if n > 4+tftpBlock {
				return nil, errors.New("the server sends blocks that are too large")
			}
			t.server, t.fixed = from, true
			return answer[4:], nil
		}
	}
}
