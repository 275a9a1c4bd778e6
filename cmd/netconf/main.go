// Command ros-netconf is the main process of the OS service network when the
// config says something about links. It sets them up, with dhcpcd for those
// that ask for addresses. When there is nothing left to do but what dhcpcd does
// by itself, it becomes dhcpcd.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/rosteros/ros/internal/netconf"
)

const dhcpcd = "/usr/sbin/dhcpcd"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	done, err := netconf.Service{
		Paths: netconf.Paths{
			Settings: "/run/ros/config/network/network.json",
			Memory:   "/run/ros/netconf",
			Scratch:  "/run/netconf",
			Conf:     "/etc/dhcpcd.conf",
			Resolver: "/usr/lib/ros-network/resolvconf",
		},
		DHCPCD: dhcpcd,
		Log:    log,
	}.Run(ctx)
	stop()
	if err == nil && done {
		err = syscall.Exec(dhcpcd, []string{"dhcpcd", "--nobackground"}, os.Environ())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "ros-netconf: %v\n", err)
		os.Exit(1)
	}
}

// withoutTime leaves the time to the service log, which has one for each line.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
