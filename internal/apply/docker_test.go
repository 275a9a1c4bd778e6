package apply_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

const (
	dockerOptions = "run/ros/config/docker/daemon.json"
	dockerArgs    = "run/ros/config/docker/args"
	dockerEnv     = "run/ros/config/docker/environment"
)

// withDockerd is a box with the built-in options, after its first boot.
func withDockerd(t *testing.T) *box {
	b := newBox(t)
	text, err := os.ReadFile("../../images/docker/rootfs/usr/share/ros-docker/daemon.json")
	if err != nil {
		t.Fatal(err)
	}
	b.write("usr/lib/ros/layers/docker/usr/share/ros-docker/daemon.json", string(text))
	b.write("etc/group", "root:x:0:\ndocker:x:1101:rancher\n")
	b.expect(apply.Docker, dockerOf(config.Docker{}), apply.Outcome{}, "")
	b.want(map[string]string{dockerOptions: string(text), dockerArgs: "(none)", dockerEnv: "(none)"})
	return b
}

// dockerOf has the defaults besides.
func dockerOf(d config.Docker) config.Config {
	d.LiveRestore = true
	return config.Config{Rancher: config.Rancher{Docker: d}}
}

// options are those in daemon.json that differ from the built-in ones.
func (b *box) options() map[string]any {
	b.t.Helper()
	read := func(path string) (options map[string]any) {
		if err := json.Unmarshal([]byte(b.read(path)), &options); err != nil {
			b.t.Fatal(err)
		}
		return options
	}
	now := read(dockerOptions)
	for key, value := range read("usr/lib/ros/layers/docker/usr/share/ros-docker/daemon.json") {
		if cmp.Equal(now[key], value) {
			delete(now, key)
		} else if _, ok := now[key]; !ok {
			now[key] = "(gone)"
		}
	}
	return now
}

func (b *box) wantOptions(want map[string]any) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.options()); diff != "" {
		b.t.Errorf("options of dockerd (-want +got):\n%s", diff)
	}
}

func TestDockerReload(t *testing.T) {
	b := withDockerd(t)
	cfg := dockerOf(config.Docker{Debug: true, InsecureReg: []string{"10.0.0.1:5000"}, RegistryMirror: config.Words{"https://mirror.example.com"}})
	b.expect(apply.Docker, cfg, apply.Outcome{
		Did:    []string{"options of dockerd are new: debug, insecure-registries, registry-mirrors"},
		Reload: []string{"docker"},
	}, "")
	b.wantOptions(map[string]any{
		"debug": true, "insecure-registries": []any{"10.0.0.1:5000"}, "registry-mirrors": []any{"https://mirror.example.com"},
	})
	b.expect(apply.Docker, dockerOf(config.Docker{}), apply.Outcome{
		Did:    []string{"options of dockerd are new: debug, insecure-registries, registry-mirrors"},
		Reload: []string{"docker"},
	}, "")
	b.wantOptions(map[string]any{})
}

func TestDockerLiveRestore(t *testing.T) {
	b := withDockerd(t)
	changed := apply.Outcome{Did: []string{"options of dockerd are new: live-restore"}, Reload: []string{"docker"}}
	b.expect(apply.Docker, config.Config{Rancher: config.Rancher{Docker: config.Docker{LiveRestore: false}}}, changed, "")
	b.wantOptions(map[string]any{"live-restore": false})
	b.expect(apply.Docker, dockerOf(config.Docker{}), changed, "")
	b.wantOptions(map[string]any{})
}

func TestDockerHidesTheCommandLine(t *testing.T) {
	b := withDockerd(t)
	b.write("run/ros/cmdline", "quiet\n")
	b.expect(apply.Docker, dockerOf(config.Docker{}), apply.Outcome{
		Did: []string{"options of dockerd are new: runtimes"}, Restart: []string{"docker"},
	}, "")
	b.wantOptions(map[string]any{"runtimes": map[string]any{"crun": map[string]any{
		"runtimeType": "io.containerd.runc.v2",
		"options":     map[string]any{"BinaryName": "/usr/lib/ros-docker/crun-hiding", "ShimCgroup": "/docker-shims"},
	}}})
	b.expect(apply.Docker, dockerOf(config.Docker{}), apply.Outcome{}, "")
}

const keepsBridge = "containers that run keep docker0 as it is: bip and bridge take effect when docker starts and none runs"

func TestDockerRestart(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		name      string
		docker    config.Docker
		network   config.Network
		want      map[string]any
		args, env string
		did       string
		notes     []string
	}{
		{name: "network", docker: config.Docker{BIP: "10.1.0.1/24"}, want: map[string]any{"bip": "10.1.0.1/24"}, did: "bip", notes: []string{keepsBridge}},
		{name: "no bridge", docker: config.Docker{Bridge: "none"}, want: map[string]any{"bridge": "none"}, did: "bridge", notes: []string{keepsBridge}},
		{name: "storage", docker: config.Docker{StorageDriver: "overlay2"}, want: map[string]any{"storage-driver": "overlay2"}, did: "storage-driver"},
		{name: "limits of the log", docker: config.Docker{LogOpts: map[string]string{"max-size": "1m"}},
			want: map[string]any{"log-opts": map[string]any{"max-size": "1m", "max-file": "2"}}, did: "log-opts"},
		{name: "another log", docker: config.Docker{LogDriver: "syslog", LogOpts: map[string]string{"tag": "x"}},
			want: map[string]any{"log-driver": "syslog", "log-opts": map[string]any{"tag": "x"}}, did: "log-driver, log-opts"},
		{name: "group of the machine", docker: config.Docker{Group: "root"}, want: map[string]any{"group": "root"}, did: "group"},
		{name: "group of logins", docker: config.Docker{Group: "wheel"}, want: map[string]any{"group": "1500"}, did: "group"},
		{name: "userland proxy", docker: config.Docker{UserlandProxy: &yes, BIP: "10.1.0.1/24"}, want: map[string]any{"bip": "10.1.0.1/24"}, did: "bip",
			notes: []string{"docker has no proxy for published ports here: the firewall forwards them", keepsBridge}},
		{name: "arguments", docker: config.Docker{ExtraArgs: []string{"--label", "a=b c", "--default-ulimit=nofile=1:2", "--log-opt=max-size=2m", "-D"}},
			want: map[string]any{"log-opts": "(gone)", "debug": "(gone)"}, args: "--label\na=b c\n--default-ulimit=nofile=1:2\n--log-opt=max-size=2m\n-D\n", did: "debug, log-opts, arguments"},
		{name: "environment", docker: config.Docker{Environment: []string{"A=b c"}}, network: config.Network{HTTPSProxy: "http://p:1"},
			want: map[string]any{}, env: "HTTPS_PROXY=http://p:1\nhttps_proxy=http://p:1\nA=b c\n", did: "environment"},
		{name: "open port", docker: config.Docker{Host: []string{"unix:///run/docker.sock", "tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"}},
			want: map[string]any{"hosts": []any{"unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"}, "tls": false}, did: "hosts, tls",
			notes: []string{"whoever reaches tcp://127.0.0.1:2375 is root on this machine: rancher.docker.tls keeps others out"}},
		{name: "another socket", docker: config.Docker{ExtraArgs: []string{"-H", "unix:///run/x.sock", "--host=unix:///run/y.sock"}},
			want: map[string]any{"hosts": []any{"unix:///var/run/docker.sock", "unix:///run/x.sock", "unix:///run/y.sock"}}, did: "hosts"},
		{name: "user namespaces", docker: config.Docker{UsernsEnabled: &yes}, want: map[string]any{"userns-remap": "dockremap"}, did: "userns-remap",
			notes: []string{"docker keeps images and containers apart with and without userns_enabled: those of before are not seen now"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := withDockerd(t)
			b.write("run/ros/login/group", "wheel:x:1500:ann\n")
			cfg := dockerOf(tt.docker)
			cfg.Rancher.Network = tt.network
			done := []string{"options of dockerd are new: " + tt.did}
			b.expect(apply.Docker, cfg, apply.Outcome{Did: done, Restart: []string{"docker"}, Notes: tt.notes}, "")
			b.wantOptions(tt.want)
			orNone := func(text string) string {
				if text == "" {
					return "(none)"
				}
				return text
			}
			b.want(map[string]string{dockerArgs: orNone(tt.args), dockerEnv: orNone(tt.env)})
			o, err := b.apply(apply.Docker, &config.Config{Rancher: config.Rancher{Docker: config.Docker{LiveRestore: true}}})
			if err != "" || !cmp.Equal(o.Did, done) || !cmp.Equal(o.Restart, []string{"docker"}) {
				t.Errorf("taking it back: %+v, %s", o, err)
			}
			back := map[string]any{}
			if tt.docker.BIP != "" { // dockerd keeps an address until it is told another one
				back["bip"] = "172.17.0.1/16"
			}
			b.wantOptions(back)
			if o, err := b.apply(apply.Docker, &config.Config{Rancher: config.Rancher{Docker: config.Docker{LiveRestore: true}}}); err != "" || o.Did != nil {
				t.Errorf("once more: %+v, %s", o, err)
			}
		})
	}
}

func TestDockerFaults(t *testing.T) {
	b := withDockerd(t)
	b.expect(apply.Docker, dockerOf(config.Docker{
		Bridge: "br0", BIP: "10.1.0.1/24", StorageDriver: "aufs", Group: "nobodys",
		Host: []string{"fd://"}, ExtraArgs: []string{"--data-root", "/x", "--exec-root=/y", "--label=a=b"},
		TLS: true, ServerCert: "x",
	}), apply.Outcome{
		Did:     []string{"options of dockerd are new: bridge, arguments"},
		Notes:   []string{keepsBridge},
		Restart: []string{"docker"},
	}, `rancher.docker.bip: docker0 has no address when bridge is set: br0
rancher.docker.storage_driver: docker has no aufs any more; overlay2 and overlayfs are there
rancher.docker.group: there is no group nobodys
rancher.docker.tls: no port is open: it needs server_cert, server_key and ca_cert
rancher.docker.host: fd:// is for systemd, which is not here
rancher.docker.extra_args: --data-root is fixed
rancher.docker.extra_args: --exec-root is fixed`)
	b.wantOptions(map[string]any{"bridge": "br0"})
	b.want(map[string]string{dockerArgs: "--label=a=b\n"})
}

// TestDockerRefused is when the service has found out that dockerd takes the
// options for wrong.
func TestDockerRefused(t *testing.T) {
	b := withDockerd(t)
	wrong := dockerOf(config.Docker{RegistryMirror: config.Words{"x"}})
	b.expect(apply.Docker, wrong, apply.Outcome{
		Did: []string{"options of dockerd are new: registry-mirrors"}, Reload: []string{"docker"},
	}, "")
	b.write("run/ros/config/docker/refused", "invalid mirror\n")
	b.expect(apply.Docker, wrong, apply.Outcome{},
		"rancher.docker: docker runs with the built-in options, dockerd does not take these: invalid mirror")
	b.expect(apply.Docker, dockerOf(config.Docker{RegistryMirror: config.Words{"https://x"}}), apply.Outcome{
		Did: []string{"options of dockerd are new: registry-mirrors"}, Restart: []string{"docker"},
	}, "")
}

func TestDockerTLS(t *testing.T) {
	b := withDockerd(t)
	cert, key := keyPair(t)
	d := config.Docker{TLS: true, CACert: cert, ServerCert: cert, ServerKey: key}
	const did = "options of dockerd are new: hosts, tlscacert, tlscert, tlskey, tlsverify, certificates"
	b.expect(apply.Docker, dockerOf(d), apply.Outcome{Did: []string{did}, Restart: []string{"docker"}}, "")
	b.wantOptions(map[string]any{
		"hosts":     []any{"unix:///var/run/docker.sock", "tcp://0.0.0.0:2376"},
		"tlsverify": true, "tlscacert": "/etc/docker/tls/ca.pem", "tlscert": "/etc/docker/tls/server-cert.pem", "tlskey": "/etc/docker/tls/server-key.pem",
	})
	if info, err := os.Stat(b.Path("etc/docker/tls/server-key.pem")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key is %v, %v", info, err)
	}

	newCert, newKey := keyPair(t)
	d.ServerCert, d.ServerKey = newCert, newKey
	b.expect(apply.Docker, dockerOf(d), apply.Outcome{
		Did: []string{"options of dockerd are new: certificates"}, Restart: []string{"docker"},
	}, "")

	d.TLSArgs = []string{"--tlsverify", "--tlscacert=/etc/docker/tls/ca.pem", "--tlscert=/etc/docker/tls/server-cert.pem", "--tlskey=/etc/docker/tls/server-key.pem", "-H=tcp://10.0.0.1:2376"}
	b.expect(apply.Docker, dockerOf(d), apply.Outcome{
		Did: []string{"options of dockerd are new: hosts, tlscacert, tlscert, tlskey, tlsverify, arguments"}, Restart: []string{"docker"},
	}, "")
	b.wantOptions(map[string]any{"hosts": []any{"unix:///var/run/docker.sock", "tcp://10.0.0.1:2376"}})
	b.want(map[string]string{dockerArgs: "--tlsverify\n--tlscacert=/etc/docker/tls/ca.pem\n--tlscert=/etc/docker/tls/server-cert.pem\n--tlskey=/etc/docker/tls/server-key.pem\n"})

	d.ServerKey = key // of another certificate
	d.Host = []string{"tcp://0.0.0.0:2375"}
	b.expect(apply.Docker, dockerOf(d), apply.Outcome{
		Did: []string{"options of dockerd are new: hosts, arguments"}, Restart: []string{"docker"},
	}, "rancher.docker.tls: no port is open: tls: private key does not match public key")
	b.wantOptions(map[string]any{})

	b.expect(apply.Docker, dockerOf(config.Docker{}), apply.Outcome{}, "")
	b.want(map[string]string{"etc/docker/tls/server-key.pem": "(none)"})
}

// keyPair is a certificate that signs itself.
func keyPair(t *testing.T) (cert, key config.Secret) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) config.Secret {
		var b bytes.Buffer
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			t.Fatal(err)
		}
		return config.Secret(b.String())
	}
	return text("CERTIFICATE", der), text("EC PRIVATE KEY", keyDER)
}

// Without any certificate the port waits for somebody to make them: that is the
// order in which RancherOS had it done.
func TestDockerTLSBeforeCertificates(t *testing.T) {
	b := withDockerd(t)
	b.expect(apply.Docker, dockerOf(config.Docker{TLS: true}), apply.Outcome{
		Notes: []string{"rancher.docker.tls: no port is open until there are certificates; make them with: ros tls gen --server -H HOST"},
	}, "")
	b.wantOptions(map[string]any{})
}

// An engine of before 29 has built-in options of its own.
func TestDockerOptionsOfAnotherEngine(t *testing.T) {
	b := withDockerd(t)
	b.write("usr/lib/ros/layers/docker/old.json", `{"features": {"containerd-snapshotter": true}, "live-restore": true, "log-opts": {}}`)
	b.DockerOptions = func() string { return "/old.json" }
	cfg := dockerOf(config.Docker{Debug: true})
	if _, err := b.apply(apply.Docker, &cfg); err != "" {
		t.Fatal(err)
	}
	if got := b.options(); got["features"] == nil || got["debug"] != true {
		t.Errorf("options = %v", got)
	}
	cfg = dockerOf(config.Docker{StorageDriver: "overlay2"})
	if _, err := b.apply(apply.Docker, &cfg); err != "" {
		t.Fatal(err)
	}
	if got := b.options(); got["features"] != nil || got["storage-driver"] != "overlay2" {
		t.Errorf("with images in dockerd's own folders options = %v", got)
	}
}
