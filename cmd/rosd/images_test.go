package main

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/imagestore"
)

// hub is Docker Hub.
const hub = "docker.io"

func TestRegistries(t *testing.T) {
	cfg := &config.Config{}
	cfg.Rancher.RegistryAuths = map[string]config.Registry{
		"https://index." + hub + "/v1/": {Username: "me", Password: "secret"},
		"reg.example:5000":              {Auth: config.Secret(base64.StdEncoding.EncodeToString([]byte("you:pass:word")))},
		"token.example":                 {IdentityToken: "abc"},
	}
	cfg.Rancher.Environment = map[string]string{"REGISTRY_DOMAIN": "reg.example:5000"}
	cfg.Rancher.Docker.RegistryMirror = config.Words{"https://mirror.example"}
	cfg.Rancher.Docker.InsecureReg = []string{"10.0.0.0/8"}
	cfg.Rancher.Network.HTTPSProxy, cfg.Rancher.Network.NoProxy = "http://proxy:3128", "reg.example"
	want := imagestore.Registries{
		Logins: map[string]imagestore.Login{
			"docker.io":        {Username: "me", Password: "secret"},
			"reg.example:5000": {Username: "you", Password: "pass:word"},
			"token.example":    {IdentityToken: "abc"},
		},
		Mirrors: []string{"https://mirror.example"}, Insecure: []string{"10.0.0.0/8"}, Domain: "reg.example:5000",
		Certificates: "/etc/ssl/certs", HTTPSProxy: "http://proxy:3128", NoProxy: "reg.example",
	}
	if diff := cmp.Diff(want, registries(cfg)); diff != "" {
		t.Errorf("registries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(imagestore.Registries{}, registries(nil)); diff != "" {
		t.Errorf("registries of no config (-want +got):\n%s", diff)
	}
}

func TestDomainOfServiceFiles(t *testing.T) {
	if got := withDomain(nil)["REGISTRY_DOMAIN"]; got != "docker.io" {
		t.Errorf("REGISTRY_DOMAIN = %q, want docker.io", got)
	}
	if got := withDomain(map[string]string{"REGISTRY_DOMAIN": "reg"})["REGISTRY_DOMAIN"]; got != "reg" {
		t.Errorf("REGISTRY_DOMAIN = %q, want that of the config", got)
	}
}
