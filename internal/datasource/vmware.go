package datasource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
)

// vmware reads what was set for a virtual machine of VMware: guestinfo variables
// by the hypervisor's backdoor, and the properties of an OVF environment, which
// is a guestinfo variable itself or a CD. The argument is a file to read instead,
// with an OVF environment.
//
// A key is looked for as a variable guestinfo.KEY, then as a property
// guestinfo.KEY, then as a property KEY. There are three dialects: cloud-init's
// (metadata, userdata, vendordata), RancherOS's (hostname,
// cloud-init.config.data, interface.0.mac, …) and that of OVF appliances
// (instance-id, hostname, public-keys, user-data).
type vmware struct {
	door  backdoor
	disks Disks
	file  string
	uuid  string // of the machine
	web   Web
}

func newVMware(m Machine, argument string) (Source, error) {
	s := vmware{door: knock, disks: m.Disks, uuid: strings.ToLower(m.DMI["product_uuid"]), web: m.Web}
	if argument == "" {
		return s, nil
	}
	if !path.IsAbs(argument) {
		return nil, fmt.Errorf("%q is not an absolute path", argument)
	}
	s.file = filepath.Join(m.Root, argument)
	return s, nil
}

func (vmware) Name() string { return "vmware" }

func (s vmware) Fetch(ctx context.Context) (*Data, error) {
	settings, err := s.settings(ctx)
	if err != nil {
		return nil, err
	}
	d := &Data{}
	if err := settings.read(ctx, d); err != nil {
		return nil, err
	}
	if reflect.DeepEqual(d, &Data{}) {
		return nil, fmt.Errorf("neither guestinfo variables nor an OVF environment: %w", ErrAbsent)
	}
	if d.InstanceID == "" {
		d.InstanceID = s.uuid
	}
	return d, nil
}

// vmwareSettings are where keys are looked for.
type vmwareSettings struct {
	variables  func(key string) (string, error) // of guestinfo; nil: there are none
	properties map[string]string
	web        Web // for the address of user-data
}

// settings finds the places that this machine has.
func (s vmware) settings(ctx context.Context) (v vmwareSettings, err error) {
	v.web = s.web
	if s.file != "" {
		text, err := os.ReadFile(s.file)
		if errors.Is(err, fs.ErrNotExist) {
			return v, fmt.Errorf("%w: %w", err, ErrAbsent)
		}
		if err == nil {
			v.properties, err = ovfProperties(text)
		}
		return v, err
	}
	text, err := s.door.guestinfo("ovfEnv")
	switch {
	case err == nil:
		v.variables = s.door.guestinfo
	case !errors.Is(err, ErrAbsent): // without a backdoor there may still be a CD
		return v, err
	}
	if text != "" {
		v.properties, err = ovfProperties([]byte(text))
		return v, err
	}
	err = s.disks.Read(ctx, labelled("ovf env", "ovfenv", "ovf-transport"), func(fsys fs.FS) error {
		text, err := readFile(fsys, "ovf-env.xml")
		if err == nil && len(text) > 0 {
			v.properties, err = ovfProperties(text)
		}
		return err
	})
	if errors.Is(err, ErrAbsent) {
		err = nil
	}
	return v, err
}

// get is the value of a key, "" if it is nowhere.
func (v vmwareSettings) get(key string) (string, error) {
	if v.variables != nil {
		value, err := v.variables(key)
		// "---" is what cloud-init leaves of a value that is nobody else's business.
		if value = strings.TrimRight(value, " \t\r\n"); err != nil || value != "" && value != "---" {
			return value, err
		}
	}
	if value := v.properties["guestinfo."+key]; value != "" {
		return value, nil
	}
	return v.properties[key], nil
}
