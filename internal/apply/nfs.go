package apply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
)

// nfsPort is where a server of NFS 4 answers.
const nfsPort = "2049"

// nfsPatience is how long a server has to answer before it is not there. The
// kernel would ask for minutes, and the boot would wait with it.
const nfsPatience = 3 * time.Second

func isNFS(fstype string) bool { return fstype == "nfs" || fstype == "nfs4" }

// nfsVersions are tried from the newest on, unless the options name one.
var nfsVersions = []string{"4.2", "4.1", "4.0"}

// mountNFS does what mount.nfs does for NFS 4: it finds the address of the
// server and agrees on a version. NFS 3 needs daemons that are not here.
func (m *mounter) mountNFS(ctx context.Context, want config.Mount, o mountOptions, target string) error {
	host, export, err := splitExport(want.Device)
	if err != nil {
		return err
	}
	data, versions, port, err := nfsOptions(o.data)
	if err != nil {
		return err
	}
	address, err := reach(ctx, host, port)
	if err != nil {
		return err
	}
	if err := m.mountPoint("", o, target); err != nil {
		return err
	}
	path := m.h.Path(target)
	for _, version := range versions {
		options := append(slices.Clone(data), "vers="+version, "addr="+address.String(), "clientaddr="+anyAddress(address))
		source := host + ":" + export
		if strings.Contains(host, ":") {
			source = "[" + host + "]:" + export
		}
		err = m.h.System.Mount(source, path, "nfs4", o.flags, strings.Join(options, ","))
		if !errors.Is(err, unix.EPROTONOSUPPORT) && !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	if err != nil {
		return err
	}
	return m.rest(o, path)
}

// splitExport takes server:/path and [address]:/path apart.
func splitExport(device string) (host, export string, err error) {
	if rest, ok := strings.CutPrefix(device, "["); ok {
		host, export, ok = strings.Cut(rest, "]:")
		if ok && host != "" && strings.HasPrefix(export, "/") {
			return host, export, nil
		}
	}
	host, export, ok := strings.Cut(device, ":/")
	if !ok || host == "" || strings.HasPrefix(device, "[") {
		return "", "", errors.New("what to mount by NFS is written server:/path")
	}
	return host, "/" + export, nil
}

// nfsOptions takes out what mount.nfs would keep from the kernel.
func nfsOptions(words []string) (data, versions []string, port string, err error) {
	versions, port = nfsVersions, nfsPort
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "vers", "nfsvers":
			if value == "4" {
				continue
			}
			if !slices.Contains(nfsVersions, value) {
				return nil, nil, "", fmt.Errorf("NFS %s needs daemons that are not here; there is NFS %s", value, strings.Join(nfsVersions, ", "))
			}
			versions = []string{value}
		case "port":
			port = value
			data = append(data, word)
		case "bg", "fg", "retry", "mountproto", "mountport", "mountvers", "mounthost", "nolock", "lock", "addr", "clientaddr":
		default:
			data = append(data, word)
		}
	}
	return data, versions, port, nil
}

// reach is the address at which a server answers.
func reach(ctx context.Context, host, port string) (netip.Addr, error) {
	dialer := net.Dialer{Timeout: nfsPatience}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	address, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	return address.Addr().Unmap(), err
}

// anyAddress lets the server call back over the connection that we have made.
func anyAddress(server netip.Addr) string {
	if server.Is4() {
		return "0.0.0.0"
	}
	return "::"
}
