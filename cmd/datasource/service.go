package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rosteros/ros/internal/cmdline"
	"github.com/rosteros/ros/internal/datasource"
	"github.com/rosteros/ros/internal/userdata"
)

// Where things are on the machine.
const (
	settingsFile = "run/ros/config/datasource/datasource.json"
	answerDir    = "var/lib/rancher/conf/datasource"
)

const (
	usualTimeout   = 300 * time.Second // for everything, from the first look on
	lookTimeout    = 10 * time.Second  // of it, for the labels of all disks
	includeTimeout = 60 * time.Second  // for all that user-data includes
	finishTimeout  = 30 * time.Second
)

// settings is what rosd writes, in the words of rancher.cloud_init and
// rancher.network.
type settings struct {
	Datasources []string `json:"datasources"`
	IMDSv1      bool     `json:"imdsv1"`
	Timeout     int      `json:"timeout"` // seconds
	HTTPProxy   string   `json:"http_proxy"`
	HTTPSProxy  string   `json:"https_proxy"`
	NoProxy     string   `json:"no_proxy"`
}

func (s settings) deadline() time.Duration {
	if s.Timeout > 0 {
		return time.Duration(s.Timeout) * time.Second
	}
	return usualTimeout
}

func (s settings) web() datasource.Web {
	return datasource.Web{HTTPProxy: s.HTTPProxy, HTTPSProxy: s.HTTPSProxy, NoProxy: s.NoProxy}
}

// waits are those between attempts at an include.
var waits = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// service is one run.
type service struct {
	root  string
	disks datasource.Disks
	waits []time.Duration
	log   *slog.Logger
}

func (s service) path(name string) string { return filepath.Join(s.root, name) }

// run asks and stores. An error is a fault of this machine; that nobody
// answered is none.
func (s service) run(ctx context.Context) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, set.deadline())
	defer stop()
	machine, err := s.machine(ctx, set)
	if err != nil {
		s.log.Warn("going on without the disks", "error", err)
	}
	sources, errs := datasource.Detect(machine, set.Datasources)
	for _, err := range errs {
		s.log.Error("this datasource is not asked", "error", err)
	}
	if len(sources) == 0 {
		s.log.Info("no datasource: none is configured, and neither disks nor firmware nor kernel command line point to one")
		return nil
	}
	s.log.Info("asking", "datasources", names(sources), "timeout", set.deadline())
	data, err := datasource.First(ctx, sources, s.log)
	if err != nil {
		s.log.Warn("no datasource has answered; what an earlier boot found still counts")
		for line := range strings.Lines(err.Error()) {
			s.log.Warn(strings.TrimSuffix(line, "\n"))
		}
		return nil
	}
	if err := s.store(ctx, data, set.web()); err != nil {
		return err
	}
	return s.finish(ctx, sources, data)
}

func names(sources []datasource.Source) string {
	var all []string
	for _, s := range sources {
		all = append(all, s.Name())
	}
	return strings.Join(all, " ")
}

// settings reads what rosd wrote. Without it the machine itself says whom to
// ask.
func (s service) settings() (set settings, err error) {
	text, err := os.ReadFile(s.path(settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return set, nil
	}
	if err != nil {
		return set, fmt.Errorf("cannot read the settings: %w", err)
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return set, fmt.Errorf("cannot read the settings in %s: %w", settingsFile, err)
	}
	return set, nil
}

// machine looks at the machine. Without its disks it is still of use.
func (s service) machine(ctx context.Context, set settings) (datasource.Machine, error) {
	m := datasource.Machine{
		DMI:    datasource.ReadDMI(s.path("sys/class/dmi/id")),
		Root:   s.root,
		Disks:  s.disks,
		IMDSv1: set.IMDSv1,
		Web:    set.web(),
	}
	line, err := os.ReadFile(s.path("proc/cmdline"))
	m.Cmdline = cmdline.Parse(string(line))
	ctx, stop := context.WithTimeout(ctx, lookTimeout)
	defer stop()
	volumes, looked := s.disks.Volumes(ctx)
	m.Volumes = volumes
	return m, errors.Join(err, looked)
}

// store keeps an answer, unless it is only a part of one that is there in full.
func (s service) store(ctx context.Context, data *datasource.Data, web datasource.Web) error {
	including, stop := context.WithTimeout(ctx, includeTimeout)
	defer stop()
	f := fetcher{ctx: including, web: web, waits: s.waits, log: s.log}
	parts, err := userdata.Decode(data.UserData, userdata.Options{Fetch: f.fetch})
	dir := s.path(answerDir)
	if f.failed && datasource.Stored(dir, data) {
		s.log.Error("what an earlier boot found still counts: user-data cannot be read in full", "error", err)
		return nil
	}
	vendor, vendorErr := userdata.Decode(data.VendorData, userdata.Options{Fetch: f.fetch})
	record, stored := data.Store(dir, datasource.Decoded{
		User: parts, Vendor: vendor, UserErr: err, VendorErr: vendorErr,
	}, time.Now())
	if stored != nil {
		return stored
	}
	for _, fault := range record.Errors {
		s.log.Error("left out", "error", fault)
	}
	s.log.Info("found", "datasource", data.Source, "instance", data.InstanceID, "hostname", data.Hostname,
		"ssh_keys", len(data.SSHKeys), "parts", len(parts)+len(vendor), "network", len(data.Network) > 0)
	return nil
}

// finish lets a source do what it does last, however much of the user-data could
// be used.
func (s service) finish(ctx context.Context, sources []datasource.Source, data *datasource.Data) error {
	ctx, stop := context.WithTimeout(ctx, finishTimeout)
	defer stop()
	return datasource.Finish(ctx, sources, data)
}

// fetcher gets what user-data includes.
type fetcher struct {
	ctx    context.Context
	web    datasource.Web
	waits  []time.Duration
	log    *slog.Logger
	failed bool // something could not be had
}

// fetch tries a few times: the network may have come up a moment ago.
func (f *fetcher) fetch(address string) ([]byte, error) {
	for try := 0; ; try++ {
		text, err := f.web.Get(f.ctx, address)
		if err == nil {
			return text, nil
		}
		if try == len(f.waits) || errors.Is(err, datasource.ErrAbsent) || f.ctx.Err() != nil {
			f.failed = true
			return nil, err
		}
		f.log.Debug("included address does not answer", "error", err)
		select {
		case <-f.ctx.Done():
		case <-time.After(f.waits[try]):
		}
	}
}
