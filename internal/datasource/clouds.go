package datasource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// linkLocal is where most clouds have their metadata service.
const linkLocal = "http://169.254.169.254"

// clouds are the sources of cloud providers, in the order in which they are
// asked when all are named ("*"): some of the others also understand EC2's
// questions, and say more when they are asked their own.
//
// The argument of each is the address of its service, for a machine that has it
// elsewhere: ec2:http://10.0.0.1. That of vmware is a file, see there.
var clouds = []kind{
	{"vmware", dmi("sys_vendor", "VMware, Inc."), newVMware},
	{"gce", either(dmi("product_name", "Google Compute Engine"), dmiPrefix("product_serial", "GoogleCloud-")), newGCE},
	{"azure", dmi("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"), newAzure},
	{"digitalocean", dmi("sys_vendor", "DigitalOcean"), newDigitalOcean},
	{"hetzner", dmi("sys_vendor", "Hetzner"), newHetzner},
	{"exoscale", either(dmi("sys_vendor", "Exoscale"), dmiPrefix("product_name", "Exoscale")), newExoscale},
	{"aliyun", dmi("product_name", "Alibaba Cloud ECS"), newAliyun},
	{"openstack", isOpenStack, newOpenStack},
	{"ec2", isEC2, newEC2},
	{"cloudstack", dmiPrefix("product_name", "CloudStack "), newCloudStack},
	{"packet", nil, newPacket}, // DMI names the maker of the board, any maker
}

// dmi is true of a machine one of whose DMI values is one of those.
func dmi(field string, values ...string) func(Machine) bool {
	return func(m Machine) bool { return slices.Contains(values, m.DMI[field]) }
}

// dmiPrefix is true of a machine one of whose DMI values begins so.
func dmiPrefix(field, prefix string) func(Machine) bool {
	return func(m Machine) bool { return strings.HasPrefix(m.DMI[field], prefix) }
}

func either(tests ...func(Machine) bool) func(Machine) bool {
	return func(m Machine) bool {
		return slices.ContainsFunc(tests, func(test func(Machine) bool) bool { return test(m) })
	}
}

// service is the client of a metadata service: at the address in argument, or
// where the cloud has it. header are names and values, sent with every question.
func service(argument, usual string, header ...string) (Client, error) {
	c := Client{Base: usual, Header: header}
	switch {
	case argument == "":
	case strings.HasPrefix(argument, "http://"), strings.HasPrefix(argument, "https://"):
		c.Base = argument
	default:
		return Client{}, fmt.Errorf("%q is not the address of a metadata service, such as %s", argument, usual)
	}
	return c, nil
}

// Finisher is a source that has something left to do when its data is stored.
type Finisher interface {
	Source
	// Finish does it: it reports to a cloud that counts a machine as failed until
	// it has heard of it. It may only be called after Fetch.
	Finish(ctx context.Context) error
}

// Finish lets the source that data is from finish, if it has something to do.
func Finish(ctx context.Context, sources []Source, data *Data) error {
	for _, s := range sources {
		f, ok := s.(Finisher)
		if !ok || s.Name() != data.Source {
			continue
		}
		if err := f.Finish(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.Name(), err)
		}
	}
	return nil
}

// getJSON asks for a page of JSON and decodes it into v.
func getJSON(ctx context.Context, c Client, path string, v any) error {
	text, err := c.Get(ctx, path)
	if err != nil {
		return err
	}
	return decodeJSON(text, path, v)
}

func decodeJSON(text []byte, name string, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	return nil
}

// firstService asks one after the other until one has answered, be it with a no.
func firstService(services []Client, ask func(Client) (*Data, error)) (*Data, error) {
	var errs []error
	for _, c := range services {
		data, err := ask(c)
		if err == nil || answered(err) {
			return data, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// answered tells whether err is what a service has said, rather than that none
// could be reached.
func answered(err error) bool {
	var status *StatusError
	return errors.As(err, &status)
}
