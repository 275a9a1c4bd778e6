package netconf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/reaper"
)

// loseLease takes away what dhcpcd has left on a link that is no longer its.
func (r *running) loseLease(ctx context.Context, l link, w wanted) error {
	leased, is := r.Paths.leased(l.Name)
	if !is || w.DHCP || w.IPv4LL && isIPv4LL(leased) {
		return nil
	}
	if err := r.setter(l, w).forgetLease(leased); err != nil {
		return err
	}
	parts, err := filepath.Glob(filepath.Join(r.Paths.Memory, "resolv", l.Name+".*"))
	if err != nil {
		return err
	}
	for _, path := range append(parts, r.Paths.lease(l.Name)) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, resolvTime)
	defer cancel()
	out, code, err := r.commands.reaper.Output(ctx, reaper.Command{
		Path: r.Paths.Resolver, Args: []string{path.Base(r.Paths.Resolver), "-u"}, Env: []string{"PATH=" + searchPath},
	})
	if err == nil && code != 0 {
		err = fmt.Errorf("cannot write resolv.conf: %s", strings.TrimSpace(string(out)))
	}
	return err
}

func isIPv4LL(prefix string) bool {
	p, err := netip.ParsePrefix(prefix)
	return err == nil && p.Addr().Is4() && p.Addr().IsLinkLocalUnicast()
}

// awaitLease waits for an address that is not one of the config's, no longer
// than dhcp_timeout.
func (r *running) awaitLease(ctx context.Context, l link, w wanted) {
	limit := time.Duration(r.settings.DHCPTimeoutSeconds) * time.Second
	if limit == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !r.hasLease(l, w) {
		select {
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				r.Log.Warn(fmt.Sprintf("no address after %s; going on without", limit), "link", l.Name)
			}
			return
		case <-time.After(leaseLook):
		}
	}
}

func (r *running) hasLease(l link, w wanted) bool {
	addresses, err := r.kernel.addresses(l)
	return err == nil && slices.ContainsFunc(addresses, func(a address) bool {
		return a.Ready && !slices.Contains(w.Addresses, a.Prefix) && (a.Addr().Is4() || !a.Addr().IsLinkLocalUnicast())
	})
}
