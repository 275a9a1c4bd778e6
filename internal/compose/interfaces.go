package compose

import (
	"fmt"
	"net"
	"regexp"
	"slices"

	"github.com/rosteros/ros/internal/yamldoc"
)

// LinkName is what the link to a network is called inside of the service; i is
// the place of the network among its networks.
func (a Attachment) LinkName(i int) string {
	if a.Interface != "" {
		return a.Interface
	}
	return fmt.Sprintf("eth%d", i)
}

// linkWord is a name that the kernel takes for a link.
var linkWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$`)

// ofKernel are names of links, or of settings for all of them.
var ofKernel = []string{"lo", "all", "default"}

func (r *reader) interfaceName(v yamldoc.Value) string {
	name, ok := r.word(v)
	if ok && (!linkWord.MatchString(name) || slices.Contains(ofKernel, name)) {
		r.wrong(v, "%q cannot be the name of an interface: it has at most 15 letters, digits and . _ -", name)
	}
	return name
}

// hardware is an address that one interface may have.
func (r *reader) hardware(v yamldoc.Value) string {
	text, ok := r.word(v)
	if !ok {
		return ""
	}
	a, err := net.ParseMAC(text)
	if err != nil || len(a) != 6 || a[0]&1 == 1 || slices.Max(a) == 0 {
		r.wrong(v, "%q must be a hardware address like 02:42:ac:11:65:43, the first number even", text)
		return ""
	}
	return a.String()
}

// interfaces settles what the links of a service are like. mac is that of the
// service as a whole, which Compose gives to the first.
func (r *reader) interfaces(s *Service, at yamldoc.Pair, mac string) {
	if mac != "" && s.Networks[0].MAC == "" {
		s.Networks[0].MAC = mac
	}
	names := map[string]bool{}
	for i, a := range s.Networks {
		name := a.LinkName(i)
		if names[name] {
			r.wrongKey(at, "two interfaces have the name %q", name)
		}
		names[name] = true
	}
}
