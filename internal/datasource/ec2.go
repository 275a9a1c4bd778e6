package datasource

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// ec2 is the metadata service of Amazon EC2. It is asked with a token
// (IMDSv2), which a request forged through some program on the machine does not
// have; without one only if the config says so.
type ec2 struct {
	services []Client // the first one that answers counts
	imdsv1   bool
}

// ec2Links are the addresses of the service. The second is for machines that
// have IPv6 only.
var ec2Links = []string{linkLocal, "http://[fd00:ec2::254]"}

// isEC2 knows Nitro by its vendor and Xen by its firmware or by a number that
// is both the UUID and the serial number.
func isEC2(m Machine) bool {
	uuid := m.DMI["product_uuid"]
	return m.DMI["sys_vendor"] == "Amazon EC2" || m.DMI["bios_vendor"] == "Amazon EC2" ||
		strings.HasSuffix(m.DMI["bios_version"], ".amazon") ||
		strings.HasPrefix(strings.ToLower(uuid), "ec2") && strings.EqualFold(uuid, m.DMI["product_serial"])
}

func newEC2(m Machine, argument string) (Source, error) {
	s := ec2{imdsv1: m.IMDSv1}
	links := ec2Links
	if argument != "" {
		links = []string{argument}
	}
	for _, link := range links {
		c, err := service(link, linkLocal)
		if err != nil {
			return nil, err
		}
		s.services = append(s.services, c)
	}
	return s, nil
}

func (ec2) Name() string { return "ec2" }

func (s ec2) Fetch(ctx context.Context) (*Data, error) {
	return firstService(s.services, func(c Client) (*Data, error) { return s.ask(ctx, c) })
}

func (s ec2) ask(ctx context.Context, c Client) (*Data, error) {
	token, err := c.Do(ctx, http.MethodPut, "latest/api/token", nil, "X-aws-ec2-metadata-token-ttl-seconds", "300")
	switch {
	case err == nil:
		c.Header = []string{"X-aws-ec2-metadata-token", strings.TrimSpace(string(token))}
	case !answered(err):
		return nil, err
	case !s.imdsv1:
		return nil, fmt.Errorf("no token for the metadata service (IMDSv2); rancher.cloud_init.imdsv1: true asks without: %w", err)
	}
	return instanceTree{
		client:   c,
		meta:     "latest/meta-data/",
		user:     "latest/user-data",
		hostname: "hostname",
		keys:     "public-keys/",
	}.data(ctx)
}
