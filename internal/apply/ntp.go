package apply

import (
	"bytes"
	"context"
	"fmt"

	"github.com/rosteros/ros/config"
)

// sourcesFile takes the place of the file of the same name in the image, where
// the built-in pool is.
const sourcesFile = "run/ros/config/ntp/ros.sources"

// NTP says which time servers are asked. Whether any are at all is for whoever
// starts services: ntp.enabled.
func NTP(ctx context.Context, h *Host, cfg *config.Config) (Outcome, error) {
	var changed bool
	var err error
	did := "asks the built-in time servers"
	if n := len(cfg.NTP.Servers) + len(cfg.NTP.Pools); n == 0 {
		changed, err = h.remove(sourcesFile)
	} else {
		did = fmt.Sprintf("asks %d time servers or pools of the config", n)
		changed, err = h.put(sourcesFile, sources(cfg.NTP), 0o644)
	}
	if err != nil || !changed {
		return Outcome{}, err
	}
	return Outcome{Did: []string{"ntp " + did}, Restart: []string{"ntp"}}, nil
}

// sources are lines of chrony. Even a single server is better than none, so
// each is trusted alone.
func sources(n config.NTP) []byte {
	var b bytes.Buffer
	b.WriteString("# Written by rosd from ntp.servers and ntp.pools.\n")
	for _, server := range n.Servers {
		fmt.Fprintf(&b, "server %s iburst\n", server)
	}
	for _, pool := range n.Pools {
		fmt.Fprintf(&b, "pool %s iburst maxsources 4\n", pool)
	}
	return b.Bytes()
}
