package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rosteros/ros/internal/authority"
	"github.com/rosteros/ros/internal/control"
)

// certificate makes one for the engine or for a client of it. The authority and
// the engine's are in the config (server.Certificates).
func (c *configurator) certificate(ctx context.Context, ask control.TLSAsk) (control.TLSMade, error) {
	made, err := c.makeCertificate(ctx, ask)
	if err != nil {
		return made, fmt.Errorf("cannot make a certificate: %w", err)
	}
	return made, nil
}

func (c *configurator) makeCertificate(ctx context.Context, ask control.TLSAsk) (made control.TLSMade, err error) {
	now := time.Now()
	d := c.config().Rancher.Docker
	ca := authority.Pair{Cert: string(d.CACert), Key: string(d.CAKey)}
	var settings []setting
	switch {
	case ca.Cert == "" && ca.Key == "":
		if ca, err = authority.New("ros "+c.config().Hostname, now); err != nil {
			return made, err
		}
		made.NewCA = true
		settings = append(settings, dockerSetting("ca_cert", ca.Cert), dockerSetting("ca_key", ca.Key))
	case ca.Key == "":
		return made, errors.New("rancher.docker.ca_cert is somebody else's: rancher.docker.ca_key is not here")
	}
	var pair authority.Pair
	if ask.Server {
		if len(ask.Hosts) == 0 {
			return made, errors.New("what do clients call this machine? Say -H for each name and address")
		}
		pair, err = ca.Server(append(ask.Hosts, "localhost", "127.0.0.1"), now)
		settings = append(settings, dockerSetting("server_cert", pair.Cert), dockerSetting("server_key", pair.Key))
	} else {
		pair, err = ca.Client(ask.Name, now)
	}
	if err != nil {
		return made, err
	}
	made.CA, made.Cert, made.Key = ca.Cert, pair.Cert, pair.Key
	if len(settings) == 0 {
		return made, nil
	}
	applied, err := c.edit(ctx, settings...)
	if err == nil && string(c.config().Rancher.Docker.CACert) != ca.Cert {
		err = errors.New("a layer of the config that counts more has another rancher.docker.ca_cert")
	}
	made.Applied = &applied
	return made, err
}

// dockerSetting is a key of rancher.docker with a text.
func dockerSetting(key, text string) setting {
	value, _ := json.Marshal(text) // JSON is YAML, also with lines in it
	return setting{[]string{"rancher", "docker", key}, value}
}
