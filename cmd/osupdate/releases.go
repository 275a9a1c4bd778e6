package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/blockdev"
	"github.com/rosteros/ros/internal/bootnote"
	"github.com/rosteros/ros/internal/configstore"
	"github.com/rosteros/ros/internal/fetch"
	"github.com/rosteros/ros/internal/release"
	"github.com/rosteros/ros/internal/signature"
	"github.com/rosteros/ros/internal/slots"
	"github.com/rosteros/ros/internal/upgrade"
)

// scratch is on the state disk, so that a download goes on after a restart.
const scratch = "/var/lib/rancher/os/download"

// readConfig is the config as rosd reads it. What is wrong with it rosd tells;
// here it counts as not said.
func readConfig() (*config.Config, error) {
	line, err := readCmdline()
	if err != nil {
		return nil, err
	}
	files := config.Files{}
	if !line.OnlyDefaults() {
		store := configstore.New(configstore.Dir)
		files = config.Files{OEM: config.OEMFile, Datasource: store.Datasource(), Dir: store.FileDir(), File: store.File()}
	}
	layers, _ := config.Read(files, line.Settings())
	cfg, _ := config.Load(layers...)
	return cfg, nil
}

// trustedKeys are those of the OS image and those of the config. One that
// cannot be used is left out and told.
func trustedKeys(c call, cfg *config.Config) []signature.PublicKey {
	keys, err := signature.ReadKeys(release.KeysDir)
	if err != nil {
		c.events.Note("a key of the OS image is not used: %v", err)
	}
	for i, text := range cfg.Rancher.Upgrade.TrustedKeys {
		key, err := signature.ParsePublic(fmt.Sprintf("rancher.upgrade.trusted_keys[%d]", i), []byte(text))
		if err != nil {
			c.events.Note("%v", err)
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// openUpgrade is the machine as package upgrade sees it. On the live system it
// has no boot loader, and what needs one says so. The caller closes it.
func openUpgrade(ctx context.Context, c call) (*upgrade.Machine, func(), error) {
	this, err := thisMachine(c)
	if err != nil {
		return nil, nil, err
	}
	about, err := release.ReadRunning(release.RunningFile)
	if err != nil {
		return nil, nil, err
	}
	m := &upgrade.Machine{
		Running: this.running, Record: this.record, Version: about.Version, Floor: about.Floor,
		Scratch: scratch, Now: this.now, Events: c.events, Log: c.log, Open: this.openSlot,
		ForgetNote: func() error { return forgetNote(blockdev.Local(), this.image) },
	}
	if m.Running.Slot == "" {
		return m, func() {}, nil
	}
	loader, closeIt, err := this.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	m.Loader = loader
	return m, func() {
		if err := closeIt(); err != nil {
			c.log.Warn("the worker ends without closing it", "error", err)
		}
	}, nil
}

// forgetNote puts a note of no slot in place of what an earlier trial wrote.
func forgetNote(host blockdev.Host, image string) error {
	device, err := bootnote.Find(host, image)
	if err != nil {
		return err
	}
	return bootnote.Write(device, bootnote.Note{})
}

// openSlot opens the partition of a slot.
func (m *machine) openSlot(s slots.Slot, write bool) (upgrade.Partition, error) {
	d, err := m.slotPartition(s)
	if err != nil {
		return nil, err
	}
	return upgrade.OpenDevice(d, write)
}

func (m *machine) slotPartition(s slots.Slot) (blockdev.Device, error) {
	d, err := m.beside("ROOT_" + string(s))
	if err != nil {
		return d, fmt.Errorf("cannot find slot %s: %w", s, err)
	}
	return d, nil
}

// way is how servers are reached. Whoever starts the worker may know nothing of
// the proxies: rosd has an environment without them.
func way(cfg *config.Config) fetch.Way {
	n := cfg.Rancher.Network
	return fetch.Way{HTTPProxy: n.HTTPProxy, HTTPSProxy: n.HTTPSProxy, NoProxy: n.NoProxy}
}

// releaseOptions say how releases come to this machine. On a full or missing
// state disk what is on its way goes to memory.
func releaseOptions(cfg *config.Config, keys []signature.PublicKey, unsigned bool) release.Options {
	o := release.Options{Keys: keys, AllowUnsigned: unsigned}
	o.Repository.Client = way(cfg).Client()
	if os.MkdirAll(scratch, 0o700) == nil {
		o.Cache = scratch
	}
	o.Repository.PlainHTTP = func(host string) bool { return slices.Contains(cfg.Rancher.Upgrade.Insecure, host) }
	o.Repository.Credentials = func(host string) (user, password string) {
		for place, registry := range cfg.Rancher.RegistryAuths {
			if strings.TrimSuffix(strings.TrimPrefix(place, "https://"), "/") == host {
				return registry.Login()
			}
		}
		return "", ""
	}
	return o
}
