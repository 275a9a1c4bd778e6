// Package netconf sets up the links of the machine as rancher.network says.
//
// It owns addresses, routes, MTU and the commands around them, and takes back
// what an earlier config had set up. What is asked for by DHCP, router
// advertisements and IPv4LL is dhcpcd's work, which it starts for the links
// that want it; name servers are written by the scripts of the image.
//
// # Which entry a link is set up by
//
// One with match: mac=… goes before one with the exact name, which goes before
// a pattern. Of two patterns the longer one counts, of two of the same length
// the first in the alphabet. Patterns mean no loopback, no bridges and no ends
// of veth pairs: those of container engines have names like any other. mac=
// means cards only: a VLAN has the address of the card below it. A link that no
// entry matches is left alone.
//
// # What is taken back
//
// What was set up is written down before it is done, in a file that outlives
// the container. So a config that is reverted, however the service ended in
// between, takes its addresses and routes along, and an MTU becomes what it
// was. The same holds for what dhcpcd has left on a link that is no longer
// its: dhcpcd's hooks write down which links those are. What commands have done
// stays.
package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/config"
)

// usual is what is done when the config names no links: cards get their
// addresses by DHCP. The names are those of the image's dhcpcd.conf.
var usual = map[string]config.Interface{
	"eth*": {},
	"en*":  {},
}

// Paths are where things are.
type Paths struct {
	Settings string // what rosd says, config.Network as JSON
	Memory   string // a directory that lasts until the next boot
	Scratch  string // one that lasts as long as the container
	Conf     string // dhcpcd's options for every link
	Resolver string // the program that writes resolv.conf
}

// readSettings gives an empty config when rosd says nothing.
func (p Paths) readSettings() (config.Network, error) {
	var n config.Network
	err := readJSON(p.Settings, &n)
	return n, err
}

// readJSON leaves what alone if there is no such file.
func readJSON(path string, what any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, what)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	return nil
}

func (p Paths) owned() string            { return filepath.Join(p.Memory, "links.json") }
func (p Paths) lease(link string) string { return filepath.Join(p.Memory, "dhcp", link) }
func (p Paths) dhcpcdConf() string       { return filepath.Join(p.Scratch, "dhcpcd.conf") }
func (p Paths) faults() string           { return filepath.Join(p.Scratch, "faults") }

// leased says whether dhcpcd has set a link up in this boot, and the IPv4
// address that it gave it, if any.
func (p Paths) leased(link string) (address string, is bool) {
	text, err := os.ReadFile(p.lease(link))
	return strings.TrimSpace(string(text)), err == nil
}
