package datasource

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/internal/atomicfile"
)

// azure is the instance metadata service of Azure, and its wire server, which
// wants to hear that a new machine is up: one that does not report is shown as
// failed, and scale sets delete it.
//
// User-data is what the service calls user data or else what Azure calls custom
// data, which is only on a DVD that is there until the machine has reported. So
// it is kept beside what is stored.
type azure struct {
	client     Client
	wire       Client
	disks      Disks
	kept       string // directory for custom data
	vmID       string // known after Fetch, as is customData
	customData []byte
}

// wireServer is an address that Azure's hosts have had from the beginning.
const wireServer = "http://168.63.129.16"

// azureVersion is the first version of the interface that has user-data.
const azureVersion = "2021-01-01"

func newAzure(m Machine, argument string) (Source, error) {
	c, err := service(argument, linkLocal, "Metadata", "true")
	if err != nil {
		return nil, err
	}
	wire, err := service(argument, wireServer, "x-ms-version", "2012-11-30", "x-ms-agent-name", "ros")
	if err != nil {
		return nil, err
	}
	return &azure{
		client: c,
		wire:   wire,
		disks:  m.Disks,
		kept:   filepath.Join(m.Root, "var/lib/rancher/conf/datasource"),
	}, nil
}

func (*azure) Name() string { return "azure" }

// azureInstance is what of a machine matters here.
type azureInstance struct {
	Compute struct {
		VMID      string `json:"vmId"`
		Name      string `json:"name"` // of the resource, which may not do for a host name
		UserData  string `json:"userData"`
		OSProfile struct {
			ComputerName string `json:"computerName"`
		} `json:"osProfile"`
		PublicKeys []struct {
			KeyData string `json:"keyData"`
		} `json:"publicKeys"`
	} `json:"compute"`
}

func (s *azure) Fetch(ctx context.Context) (*Data, error) {
	var instance azureInstance
	if err := getJSON(ctx, s.client, "metadata/instance?api-version="+azureVersion, &instance); err != nil {
		return nil, err
	}
	compute := instance.Compute
	if !instanceID.MatchString(compute.VMID) {
		return nil, fmt.Errorf("%s: an answer without the id of a machine", s.client.Base)
	}
	d := &Data{InstanceID: compute.VMID, Hostname: compute.OSProfile.ComputerName}
	if d.Hostname == "" {
		d.Hostname = compute.Name
	}
	s.vmID = compute.VMID
	s.customData = s.readCustomData(ctx, d)
	d.UserData = s.customData
	if compute.UserData != "" {
		var err error
		if d.UserData, err = base64.StdEncoding.DecodeString(compute.UserData); err != nil {
			d.Notes = append(d.Notes, fmt.Sprintf("cannot decode the user data: %v", err))
		}
	}
	for _, key := range compute.PublicKeys {
		// Keys made by Windows tools are sometimes broken into lines.
		d.SSHKeys = append(d.SSHKeys, strings.NewReplacer("\r", "", "\n", "").Replace(strings.TrimSpace(key.KeyData)))
	}
	return d, nil
}

// customDataFile is where the custom data of this machine is kept.
func (s *azure) customDataFile() string {
	return filepath.Join(s.kept, "azure-custom-data-"+s.vmID)
}

// readCustomData is the custom data on the DVD, or that of an earlier boot. What
// is wrong with it is a note: keys and host name are good without it.
func (s *azure) readCustomData(ctx context.Context, d *Data) (data []byte) {
	err := s.disks.Read(ctx, func(v Volume) bool { return v.Type == "udf" }, func(fsys fs.FS) error {
		text, err := readFile(fsys, "ovf-env.xml")
		if err != nil || len(text) == 0 {
			return err
		}
		data, err = azureCustomData(text)
		return err
	})
	if err != nil && !errors.Is(err, ErrAbsent) {
		d.Notes = append(d.Notes, fmt.Sprintf("custom data: %v", err))
	}
	if len(data) > 0 {
		return data
	}
	data, err = os.ReadFile(s.customDataFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.Notes = append(d.Notes, fmt.Sprintf("custom data: %v", err))
	}
	return data
}

// azureCustomData is the custom data in ovf-env.xml.
func azureCustomData(text []byte) ([]byte, error) {
	var environment struct {
		CustomData string `xml:"ProvisioningSection>LinuxProvisioningConfigurationSet>CustomData"`
	}
	if err := xml.Unmarshal(text, &environment); err != nil {
		return nil, fmt.Errorf("cannot read ovf-env.xml: %w", err)
	}
	words := strings.Join(strings.Fields(environment.CustomData), "")
	data, err := base64.StdEncoding.DecodeString(words)
	if err != nil {
		return nil, fmt.Errorf("cannot decode the CustomData of ovf-env.xml: %w", err)
	}
	return data, nil
}

// Finish keeps the custom data and only then reports.
func (s *azure) Finish(ctx context.Context) error {
	var keep error
	if len(s.customData) > 0 {
		keep = atomicfile.WriteFile(s.customDataFile(), s.customData, 0o600)
	}
	report := s.report(ctx)
	if report != nil {
		report = fmt.Errorf("cannot report that the machine is up: %w", report)
	}
	return errors.Join(keep, report)
}

// goalState names the machine in the words of the wire server.
type goalState struct {
	Incarnation string `xml:"Incarnation"`
	ContainerID string `xml:"Container>ContainerId"`
	InstanceID  string `xml:"Container>RoleInstanceList>RoleInstance>InstanceId"`
}

// health is what the wire server is told.
type health struct {
	XMLName     xml.Name `xml:"Health"`
	Incarnation string   `xml:"GoalStateIncarnation"`
	ContainerID string   `xml:"Container>ContainerId"`
	InstanceID  string   `xml:"Container>RoleInstanceList>Role>InstanceId"`
	State       string   `xml:"Container>RoleInstanceList>Role>Health>State"`
}

// report tells the wire server that the machine is ready. It may be told at
// every boot.
func (s *azure) report(ctx context.Context) error {
	text, err := s.wire.Get(ctx, "machine/?comp=goalstate")
	if err != nil {
		return err
	}
	var goal goalState
	if err := xml.Unmarshal(text, &goal); err != nil {
		return fmt.Errorf("cannot read the goal state: %w", err)
	}
	body, err := xml.Marshal(health{
		Incarnation: goal.Incarnation,
		ContainerID: goal.ContainerID,
		InstanceID:  goal.InstanceID,
		State:       "Ready",
	})
	if err != nil {
		return err
	}
	_, err = s.wire.Do(ctx, http.MethodPost, "machine?comp=health", append([]byte(xml.Header), body...),
		"Content-Type", "text/xml; charset=utf-8")
	return err
}
