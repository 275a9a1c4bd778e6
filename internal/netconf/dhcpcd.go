package netconf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rosteros/ros/internal/atomicfile"
	"github.com/rosteros/ros/internal/reaper"
)

// stopTime is how long dhcpcd has to end.
const stopTime = 2 * time.Second

// dhcpcd is the client for all links that ask for addresses.
type dhcpcd struct {
	reaper *reaper.Reaper
	paths  Paths
	path   string // the program
	proc   *reaper.Process
	conf   []byte // what it has read
}

// see gives it these links to look after. For others it is started anew: it
// leaves links as they are when it ends, and asks for the same addresses again.
// At a SIGHUP with another file it would take them away first.
func (d *dhcpcd) see(ctx context.Context, links map[string]wanted) error {
	if len(links) == 0 && d.proc == nil {
		return nil
	}
	base, err := os.ReadFile(d.paths.Conf)
	if err != nil {
		return err
	}
	conf := dhcpcdConf(base, links)
	if bytes.Equal(conf, d.conf) {
		return nil
	}
	if err := atomicfile.WriteFile(d.paths.dhcpcdConf(), conf, 0o644); err != nil {
		return err
	}
	if err := d.stop(ctx); err != nil {
		return err
	}
	if err := d.start(); err != nil {
		return err
	}
	d.conf = conf
	return nil
}

func (d *dhcpcd) start() error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	d.proc, err = d.reaper.Start(reaper.Command{
		Path:  d.path,
		Args:  []string{"dhcpcd", "--nobackground", "--config", d.paths.dhcpcdConf()},
		Env:   []string{"PATH=" + searchPath},
		Files: []*os.File{null, os.Stdout, os.Stderr},
	})
	return err
}

// ended is closed when it has ended; nil while it was not started.
func (d *dhcpcd) ended() <-chan struct{} {
	if d.proc == nil {
		return nil
	}
	return d.proc.Done()
}

// stop ends it, if it runs. Links stay as they are.
func (d *dhcpcd) stop(ctx context.Context) error {
	if d.proc == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := d.proc.Signal(syscall.SIGTERM)
	select {
	case <-d.proc.Done():
	case <-ctx.Done():
		err = errors.Join(err, d.proc.Signal(syscall.SIGKILL))
		<-d.proc.Done()
	}
	d.proc = nil
	return err
}

// dhcpcdConf is dhcpcd.conf(5): the options for every link, and which links
// these are.
func dhcpcdConf(base []byte, links map[string]wanted) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(base)) {
		if !strings.HasPrefix(line, "allowinterfaces") && strings.TrimSpace(line) != "noarp" {
			b.WriteString(line)
		}
	}
	names := sortedKeys(links)
	b.WriteString("\n# Written by ros-netconf from rancher.network.interfaces.\n")
	if len(names) == 0 {
		b.WriteString("denyinterfaces *\n") // those it had are gone
	} else {
		fmt.Fprintf(&b, "allowinterfaces %s\n", strings.Join(names, " "))
	}
	for _, name := range names {
		if options := links[name].dhcpcdOptions(); len(options) > 0 {
			fmt.Fprintf(&b, "\ninterface %s\n%s\n", name, strings.Join(options, "\n"))
		}
	}
	return b.Bytes()
}

// dhcpcdOptions are those of one link.
func (w wanted) dhcpcdOptions() []string {
	var options []string
	if !w.DHCP {
		options = append(options, "nodhcp", "noipv6") // only an address of 169.254.0.0/16
	}
	if !w.IPv4LL {
		options = append(options, "noarp") // as for every link, but IPv4LL asks the link whether an address is taken
	}
	if w.MTU != 0 {
		options = append(options, "nooption interface_mtu")
	}
	return options
}

// sortedKeys are eth0, eth1, …, eth10.
func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if n := len(a) - len(b); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	return keys
}
