package config

import (
	"encoding/pem"
	"errors"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// check is what a text or a number must be, named by the tag "is".
type check struct {
	noun        string                            // what it is called in docs; "": text
	must        string                            // in words, after "must be"
	pattern     string                            // a regular expression that Go and JavaScript read alike; "": see read
	read        func(text string) (string, error) // more than a pattern says; returns the text as it is kept
	words       []string                          // the only values
	least, most int                               // of a number
	lines       bool                              // the text may have more than one line
	needed      bool                              // an empty text is wrong; else it takes back what a lower layer says
	once        bool                              // what stands twice in a list counts once
}

// errNot stands for "must be " and what the check says.
var errNot = errors.New("not what it must be")

const (
	nameRE   = `[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?`
	hostRE   = `^` + nameRE + `(\.` + nameRE + `)*$`
	deviceRE = `^(/dev/|LABEL=|UUID=|PARTLABEL=|PARTUUID=)[^\s]+$`
	timeRE   = `([01][0-9]|2[0-3]):[0-5][0-9]`
	dayRE    = `(Mon|Tue|Wed|Thu|Fri|Sat|Sun)`
	windowRE = `^(` + dayRE + `(,` + dayRE + `)* +)?` + timeRE + `-` + timeRE + `$`
	loginRE  = `[A-Za-z_][A-Za-z0-9_.-]{0,31}`
)

// checks are all of them, by name.
var checks = map[string]check{
	"hostname":    {noun: "host name", must: "a host name: at most 64 letters, digits and -, with dots between them", pattern: hostRE, read: shortHost},
	"domain":      {noun: "domain", must: "a domain: example.com", pattern: `^(\.|[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?)$`},
	"host":        {noun: "host", must: "a host name or an IP address", read: host},
	"ip":          {noun: "IP address", must: "an IP address", read: address(func(netip.Addr) bool { return true })},
	"ipv4":        {noun: "IPv4 address", must: "an IPv4 address", read: address(netip.Addr.Is4)},
	"ipv6":        {noun: "IPv6 address", must: "an IPv6 address", read: address(netip.Addr.Is6)},
	"cidr":        {noun: "address/length", must: "an address with the length of its network: 192.168.1.10/24", read: cidr},
	"mtu":         {must: "a whole number from 68 to 65535", least: 68, most: 65535},
	"port":        {must: "a whole number from 1 to 65535", least: 1, most: 65535},
	"url":         {noun: "URL", must: "an address: https://…", pattern: `^[A-Za-z][A-Za-z0-9+.-]*://[^\s]+$`},
	"proxy":       {noun: "URL", must: "the address of a proxy: http://proxy.example.com:3128", pattern: `^([A-Za-z][A-Za-z0-9+.-]*://)?[^\s/]+/?$`},
	"docker-host": {noun: "address", must: "what dockerd can listen on: unix:///path, tcp://address:port or fd://", pattern: `^(unix:///[^\s]+|tcp://[^\s]+|fd://[^\s]*|[^\s/]*:[0-9]+)$`},

	"ssh-key":     {noun: "public key", must: `a public key ("ssh-ed25519 AAAA… name")`, read: sshKey},
	"password":    {noun: "password", must: "a password, or its hash as in /etc/shadow", read: password, needed: true},
	"account":     {noun: "account name", must: "the name of an account: letters, digits, _, . and -", pattern: `^` + loginRE + `\$?$`},
	"id":          {must: "a whole number from 1 to 2147483646", least: 1, most: 1<<31 - 2},
	"date":        {noun: "day", must: "a day: 2027-01-31", pattern: `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`},
	"owner":       {noun: "user:group", must: "user, user:group or numbers", pattern: `^(` + loginRE + `|[0-9]{1,10})(:(` + loginRE + `|[0-9]{1,10}))?$`},
	"login-way":   {noun: "word", must: `"password" or "autologin"`, words: []string{"password", "autologin"}, once: true},
	"terminal":    {noun: "terminal", must: "the name of a terminal (tty1, ttyS0)", read: terminal, once: true},
	"certificate": {noun: "certificate", must: "a certificate in PEM (-----BEGIN CERTIFICATE-----)", read: certificate, lines: true},

	"device":          {noun: "device", must: "a device: /dev/…, LABEL=…, UUID=…, PARTLABEL=… or PARTUUID=…", pattern: deviceRE},
	"disk":            {noun: "disk", must: "a disk (/dev/…)", read: disk},
	"directory":       {noun: "directory", must: "a directory of the state disk", read: directory},
	"path":            {noun: "path", must: "an absolute path", read: absolute},
	"encoding":        {noun: "word", must: "an encoding: plain, b64, gzip or gz+b64", words: []string{"plain", "text/plain", "b64", "base64", "gz", "gzip", "gz+b64", "gzip+b64", "gz+base64", "gzip+base64"}},
	"growpart-mode":   {noun: "word", must: "auto or off", words: []string{"auto", "off", "growpart", "gpart", "false"}},
	"state-device":    {noun: "device", must: "a device: /dev/…, LABEL=…, UUID=…, PARTLABEL=… or PARTUUID=…, or none", pattern: `^none$|` + deviceRE},
	"growpart-device": {noun: "device", must: "/ or a device: /dev/…, LABEL=…", pattern: `^/$|` + deviceRE},

	"module":         {noun: "module", must: "a kernel module, and its parameters if any: nbd nbds_max=4", pattern: `^[A-Za-z0-9_-]+( .*)?$`},
	"sysctl":         {must: "a kernel setting: net.ipv4.ip_forward", read: sysctl},
	"timezone":       {noun: "time zone", must: "a time zone: Europe/Vienna", pattern: `^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$`},
	"locale":         {noun: "locale", must: "a locale: C.UTF-8", pattern: `^[A-Za-z0-9_.@-]+$`},
	"power-mode":     {noun: "word", must: "reboot, poweroff or halt", words: []string{"reboot", "poweroff", "halt"}},
	"power-delay":    {noun: "text", must: "now or +minutes", pattern: `^(now|\+?[0-9]{1,5})$`},
	"upgrade-policy": {noun: "word", must: "none, download or auto", words: []string{"none", "download", "auto"}},
	"window":         {noun: "time of day", must: "a window: 02:00-04:00, or Sat,Sun 22:00-05:00", pattern: windowRE},
	"public-key":     {noun: "public key", must: "a public key in PEM (-----BEGIN PUBLIC KEY-----)", read: publicKey, lines: true},
	"datasource":     {noun: "datasource", must: "a datasource", read: datasource},

	"image":            {noun: "name", must: "a name, or that of an image: registry.example.com/engine:1", pattern: `^[A-Za-z0-9][A-Za-z0-9_./:@-]*$`},
	"name":             {noun: "name", must: "a name: letters, digits, _, . and -", pattern: `^[A-Za-z0-9][A-Za-z0-9_.-]*$`},
	"variable":         {noun: "NAME=value", must: "NAME=value", pattern: `^[A-Za-z_][A-Za-z0-9_]*=`},
	"seconds":          {must: "a whole number from 0 to 86400", least: 0, most: 86400},
	"shutdown-timeout": {must: "a whole number from 5 to 86400", least: 5, most: 86400}, // less is no shutdown in order
	"interval":         {must: "a whole number from 60 to 86400", least: 60, most: 86400},
	"count":            {must: "a whole number from 0 to 1000000", least: 0, most: 1_000_000},
	"line":             {must: "one line of text"},
	"lines":            {must: "text", lines: true},
	"text":             {must: "text", lines: true},
	"":                 {must: "text"},
}

// apply returns the text as it is kept, or says what it must be.
func (c check) apply(text string) (string, error) {
	if text == "" && !c.needed {
		return "", nil
	}
	if text == "" || !c.lines && strings.ContainsAny(text, "\x00\n\r") || strings.Contains(text, "\x00") {
		return "", c.fault()
	}
	if c.words != nil && !slices.Contains(c.words, text) {
		return "", c.fault()
	}
	if c.pattern != "" && !compiled(c.pattern).MatchString(text) {
		return "", c.fault()
	}
	if c.read == nil {
		return text, nil
	}
	kept, err := c.read(text)
	if errors.Is(err, errNot) {
		return "", c.fault()
	}
	return kept, err
}

func (c check) fault() error { return errors.New("must be " + c.must) }

// number reads a whole number in decimal.
func (c check) number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || c.most > 0 && (n < c.least || n > c.most) {
		return 0, c.fault()
	}
	return n, nil
}

func shortHost(text string) (string, error) {
	if len(text) > 64 {
		return "", errNot
	}
	return text, nil
}

func host(text string) (string, error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return text, nil
	}
	if len(text) > 253 || !compiled(hostRE).MatchString(text) {
		return "", errNot
	}
	return text, nil
}

func address(fits func(netip.Addr) bool) func(string) (string, error) {
	return func(text string) (string, error) {
		if addr, err := netip.ParseAddr(text); err != nil || !fits(addr) {
			return "", errNot
		}
		return text, nil
	}
}

func cidr(text string) (string, error) {
	if _, err := netip.ParsePrefix(text); err != nil {
		return "", errNot
	}
	return text, nil
}

// sshKey takes what sshd takes, options in front included; what it cannot be
// is a private key or a path.
func sshKey(text string) (string, error) {
	if len(strings.Fields(text)) < 2 || strings.Contains(text, "PRIVATE KEY") {
		return "", errors.New(`is no public key ("ssh-ed25519 AAAA… name")`)
	}
	return strings.TrimSpace(text), nil
}

func password(text string) (string, error) {
	// The form of crypt(5): $id$…$digest.
	if strings.HasPrefix(text, "$") && !compiled(`^\$[0-9a-z]+\$[./0-9A-Za-z$=,+-]+$`).MatchString(text) {
		return "", errors.New("begins with $, but is no hash as in /etc/shadow ($6$salt$digest)")
	}
	return text, nil
}

// terminal leaves out the words of a flag: "rancher.autologin" alone on the
// kernel command line says no terminal.
func terminal(text string) (string, error) {
	name := strings.TrimPrefix(text, "/dev/")
	if !compiled(`^[a-z][a-zA-Z0-9/]{0,31}$`).MatchString(name) || name == "true" || name == "false" {
		return "", errNot
	}
	return name, nil
}

func certificate(text string) (string, error) { return allPEM(text, "CERTIFICATE") }

func publicKey(text string) (string, error) { return allPEM(text, "PUBLIC KEY") }

// allPEM takes a text of PEM blocks that are all of one type, one at least.
func allPEM(text, of string) (string, error) {
	found := false
	for rest := []byte(text); ; found = true {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != of {
			return "", errNot
		}
	}
	if !found {
		return "", errNot
	}
	return text, nil
}

func disk(text string) (string, error) {
	if !strings.HasPrefix(text, "/dev/") || path.Clean(text) != text {
		return "", errNot
	}
	return text, nil
}

// directory stays on the state disk, whatever it says.
func directory(text string) (string, error) {
	if slices.Contains(strings.Split(text, "/"), "..") {
		return "", errNot
	}
	return strings.Trim(path.Clean("/"+text), "/"), nil
}

func absolute(text string) (string, error) {
	if !strings.HasPrefix(text, "/") {
		return "", errNot
	}
	return path.Clean(text), nil
}

// sysctl is a path below /proc/sys, with dots or with slashes; it stays there.
func sysctl(text string) (string, error) {
	if !compiled(`^[A-Za-z0-9_*-]+([./][A-Za-z0-9_.*@:-]+)*$`).MatchString(text) || strings.Contains(text, "..") {
		return "", errNot
	}
	return text, nil
}

// datasources are the names; those that are true want an argument.
var datasources = map[string]bool{
	"*": false, "configdrive": false, "nocloud": false, "ec2": false, "gce": false, "azure": false, "openstack": false,
	"digitalocean": false, "hetzner": false, "packet": false, "cloudstack": false, "exoscale": false, "aliyun": false,
	"vmware": false, "proxmox": false, "cmdline": false, "file": true, "url": true, "tftp": true,
}

func datasource(text string) (string, error) {
	name, argument, _ := strings.Cut(text, ":")
	needsOne, ok := datasources[name]
	switch {
	case !ok:
		return "", unknown("datasource", name, keysOf(datasources))
	case needsOne && argument == "":
		return "", errors.New("lacks what to read: " + name + ":…")
	}
	return text, nil
}
