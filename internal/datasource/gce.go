package datasource

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/sshkeys"
)

// gce is the metadata service of Google Compute Engine. It is asked by address:
// its name needs a name server that has it.
type gce struct{ client Client }

func newGCE(_ Machine, argument string) (Source, error) {
	c, err := service(argument, linkLocal, "Metadata-Flavor", "Google")
	return gce{c}, err
}

func (gce) Name() string { return "gce" }

// gceInstance is a machine. Its attributes are what its owner calls metadata.
type gceInstance struct {
	ID         json.Number   `json:"id"`
	Hostname   string        `json:"hostname"`
	Attributes gceAttributes `json:"attributes"`
}

type gceAttributes struct {
	UserData         string `json:"user-data"`
	UserDataEncoding string `json:"user-data-encoding"`
	StartupScript    string `json:"startup-script"`
	SSHKeys          string `json:"ssh-keys"`
	OldSSHKeys       string `json:"sshKeys"`
	BlockProjectKeys string `json:"block-project-ssh-keys"`
}

func (s gce) Fetch(ctx context.Context) (*Data, error) {
	const all = "/?recursive=true&alt=json"
	var instance gceInstance
	if err := getJSON(ctx, s.client, "computeMetadata/v1/instance"+all, &instance); err != nil {
		return nil, err
	}
	if instance.ID == "" {
		return nil, fmt.Errorf("%s: an answer without the id of an instance", s.client.Base)
	}
	var project gceAttributes
	if err := getJSON(ctx, s.client, "computeMetadata/v1/project/attributes"+all, &project); err != nil {
		return nil, err
	}
	d := &Data{
		InstanceID: instance.ID.String(),
		Hostname:   instance.Hostname,
		SSHKeys:    gceKeys(instance.Attributes, project, time.Now()),
	}
	var err error
	if d.UserData, err = gceUserData(instance.Attributes); err != nil {
		d.Notes = append(d.Notes, err.Error())
	}
	return d, nil
}

// gceUserData is the user-data, or else the script that Google's own images run
// at every boot.
func gceUserData(a gceAttributes) ([]byte, error) {
	switch {
	case a.UserData == "":
		return []byte(a.StartupScript), nil
	case a.UserDataEncoding != "base64":
		return []byte(a.UserData), nil
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(a.UserData))
	if err != nil {
		return nil, fmt.Errorf("cannot decode user-data, although user-data-encoding is base64: %w", err)
	}
	return text, nil
}

// gceKeys are the keys of the machine, and those of its project unless the
// machine wants none of them.
func gceKeys(instance, project gceAttributes, now time.Time) []string {
	texts := []string{instance.SSHKeys, instance.OldSSHKeys}
	// The old attribute of a machine replaces the project's keys.
	if !strings.EqualFold(instance.BlockProjectKeys, "true") && instance.OldSSHKeys == "" {
		texts = append(texts, project.SSHKeys, project.OldSSHKeys)
	}
	var keys []string
	for _, text := range texts {
		for _, line := range sshkeys.Lines(text) {
			if key := gceKey(line, now); key != "" {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// gceKey is the key of a line "user:type base64 comment", or nothing when it
// has expired. Google's tools say until when a key is good in its comment.
func gceKey(line string, now time.Time) string {
	if user, key, ok := strings.Cut(line, ":"); ok && !strings.Contains(user, " ") {
		line = key
	}
	key, limits, ok := strings.Cut(line, " google-ssh ")
	if !ok {
		return line
	}
	var limit struct {
		ExpireOn string `json:"expireOn"`
	}
	if json.Unmarshal([]byte(limits), &limit) != nil {
		return "" // whoever added it wanted a limit
	}
	end, err := time.Parse("2006-01-02T15:04:05-0700", limit.ExpireOn)
	if err != nil || end.Before(now) {
		return ""
	}
	return key
}
