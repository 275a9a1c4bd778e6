package datasource

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/rosteros/ros/internal/sshkeys"
)

// instanceTree is metadata as EC2 has it, a page for each value. Others have it
// alike, below other paths and with small differences.
type instanceTree struct {
	client   Client
	meta     string // "latest/meta-data/"
	user     string // "latest/user-data"
	hostname string // the page below meta that names the machine
	keys     string // the page below meta that has the keys or their numbers
}

// instanceID is what all of them look like. A server that answers anything with
// some page of its own is not a metadata service.
var instanceID = regexp.MustCompile(`^[0-9A-Za-z._:-]{1,128}$`)

// keyNumber is how a list of keys calls one of them.
var keyNumber = regexp.MustCompile(`^[0-9]{1,4}$`)

// data asks for everything. A service without an instance-id is ErrAbsent.
func (t instanceTree) data(ctx context.Context) (*Data, error) {
	id, err := t.client.Get(ctx, t.meta+"instance-id")
	if err != nil {
		return nil, err
	}
	d := &Data{InstanceID: strings.TrimSpace(string(id))}
	if !instanceID.MatchString(d.InstanceID) {
		return nil, fmt.Errorf("%s/%sinstance-id: %.40q is not the name of an instance", t.client.Base, t.meta, d.InstanceID)
	}
	names, err := t.client.Optional(ctx, t.meta+t.hostname)
	if err != nil {
		return nil, err
	}
	// EC2 lists a name for each domain that DHCP options name.
	if words := strings.Fields(string(names)); len(words) > 0 {
		d.Hostname = words[0]
	}
	if d.SSHKeys, err = t.sshKeys(ctx); err != nil {
		return nil, err
	}
	if d.UserData, err = t.client.Optional(ctx, t.user); err != nil {
		return nil, err
	}
	return d, nil
}

// sshKeys are the keys, which are either in the page itself or numbered there:
// "0=name", "0/".
func (t instanceTree) sshKeys(ctx context.Context) ([]string, error) {
	text, err := t.client.Optional(ctx, t.meta+t.keys)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, line := range sshkeys.Lines(string(text)) {
		if isKey(line) {
			keys = append(keys, line)
			continue
		}
		number, _, _ := strings.Cut(line, "=")
		number = strings.TrimSuffix(number, "/")
		if !keyNumber.MatchString(number) {
			return nil, fmt.Errorf("%s/%s%s: %.40q is neither a key nor the number of one", t.client.Base, t.meta, t.keys, line)
		}
		key, err := t.client.Optional(ctx, t.meta+strings.TrimSuffix(t.keys, "/")+"/"+number+"/openssh-key")
		if err != nil {
			return nil, err
		}
		keys = append(keys, sshkeys.Lines(string(key))...)
	}
	return keys, nil
}

// isKey tells a public key from the name of one: its second word is base64 of a
// length below 2^24.
func isKey(line string) bool {
	words := strings.Fields(line)
	return len(words) > 1 && strings.HasPrefix(words[1], "AAAA")
}
