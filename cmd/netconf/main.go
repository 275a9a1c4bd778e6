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
	"github.com/rosteros/ros/internal/servicelog"
)

const dhcpcd = "/usr/sbin/dhcpcd"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: servicelog.WithoutTime}))
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
