package apply_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

const (
	hostKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAA=\n-----END OPENSSH PRIVATE KEY-----"
	locked  = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ng==\n-----END OPENSSH PRIVATE KEY-----"
)

func TestSSH(t *testing.T) {
	b := newBox(t)
	const head = "# Written by rosd from the config.\n"
	b.expect(apply.SSH, config.Config{}, apply.Outcome{Did: []string{"options of sshd are new"}, Reload: []string{"ssh"}}, "")
	b.want(map[string]string{"run/ros/config/ssh/sshd.conf": head + "PerSourcePenaltyExemptList 127.0.0.1\n", "run/ros/config/ssh/off": "(none)"})

	// What Logins has made of the accounts decides about passwords and root.
	b.write("run/ros/login/shadow", "root:*:1::::::\nann:$6$s$h:1::::::\n")
	b.write("run/ros/login/authorized_keys/root", "ssh-ed25519 AAAA\n")
	ssh := config.SSH{Port: 2222, ListenAddress: "fd00::1", Keys: map[string]config.Secret{"rsa": hostKey, "ed25519": hostKey + "\n", "ed25519-pub": "ssh-ed25519 AAAA"}}
	b.write("var/lib/rancher/ssh/ssh_host_rsa_key.pub", "of another key")
	b.expect(apply.SSH, config.Config{Rancher: config.Rancher{SSH: ssh}}, apply.Outcome{
		Did:    []string{"host key ed25519 is the config's", "host key rsa is the config's", "options of sshd are new"},
		Reload: []string{"ssh"},
	}, "")
	b.want(map[string]string{
		"run/ros/config/ssh/sshd.conf": head + "Port 2222\nListenAddress fd00::1\nPerSourcePenaltyExemptList 127.0.0.1,fd00::1\n" +
			"PasswordAuthentication yes\nPermitRootLogin prohibit-password\nHostKey /var/lib/rancher/ssh/ssh_host_rsa_key\n",
		"var/lib/rancher/ssh/ssh_host_ed25519_key":     hostKey + "\n",
		"var/lib/rancher/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 AAAA\n",
		"var/lib/rancher/ssh/ssh_host_rsa_key":         hostKey + "\n",
		"var/lib/rancher/ssh/ssh_host_rsa_key.pub":     "(none)",
	})
	if info, err := os.Stat(b.Path("var/lib/rancher/ssh/ssh_host_rsa_key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a private key has mode %v, %v", info, err)
	}

	off := false
	b.expect(apply.SSH, config.Config{Rancher: config.Rancher{SSH: config.SSH{Daemon: &off}}}, apply.Outcome{
		Did: []string{"ssh server is off"},
		Notes: []string{
			"host key ed25519 stays: clients know the machine by it. For a new one remove /var/lib/rancher/ssh/ssh_host_ed25519_key and restart ssh",
			"host key rsa stays: clients know the machine by it. For a new one remove /var/lib/rancher/ssh/ssh_host_rsa_key and restart ssh",
		},
		Restart: []string{"ssh"},
	}, "")
	b.expect(apply.SSH, config.Config{}, apply.Outcome{Did: []string{"ssh server is on"}, Restart: []string{"ssh"}}, "")
}

// What sshd could not use must not take the place of what works.
func TestSSHRefuses(t *testing.T) {
	b := newBox(t)
	b.write("var/lib/rancher/ssh/ssh_host_ecdsa_key", "works")
	_, err := b.apply(apply.SSH, &config.Config{Rancher: config.Rancher{SSH: config.SSH{
		Port: 99999, ListenAddress: "here\nPermitRootLogin yes",
		Keys: map[string]config.Secret{"dsa": hostKey, "ecdsa": locked, "rsa": "ssh-rsa AAAA", "ed25519": hostKey + "\n" + hostKey},
	}}})
	const want = `rancher.ssh.port: 99999 is not a port
rancher.ssh.listen_address: "here\nPermitRootLogin yes" is not an address
rancher.ssh.keys: dsa: sshd has no such kind of key, only ed25519, ecdsa, rsa
rancher.ssh.keys: ed25519: is more than one key
rancher.ssh.keys: ecdsa: is locked with a passphrase, which nobody can type at boot
rancher.ssh.keys: rsa: is not a private key in PEM`
	if err != want {
		t.Errorf("errors:\n%s\nwant:\n%s", err, want)
	}
	b.want(map[string]string{"var/lib/rancher/ssh/ssh_host_ecdsa_key": "works", "var/lib/rancher/ssh/ssh_host_rsa_key": "(none)"})
}

// certificate makes one of an authority of that name.
func certificate(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestTrust(t *testing.T) {
	b := newBox(t)
	b.write("usr/share/ca-certificates/mozilla/A.crt", "built-in A\n\n")
	b.write("usr/share/ca-certificates/mozilla/B.crt", "built-in B")
	if err := os.MkdirAll(b.Path("etc/ssl"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := func(want string) {
		t.Helper()
		if got, err := os.Readlink(b.Path("run/ros/trust/certs")); err != nil || got != want {
			t.Errorf("certs leads to %q, %v; want %q", got, err, want)
		}
	}
	b.expect(apply.Trust, config.Config{}, apply.Outcome{}, "")
	link("/usr/share/ca-certificates/mozilla")
	if got, _ := os.Readlink(b.Path("etc/ssl/certs")); got != "/run/ros/trust/certs" {
		t.Errorf("/etc/ssl/certs leads to %q", got)
	}

	mine, other := certificate(t, "mine"), certificate(t, "other")
	b.expect(apply.Trust, config.Config{CACerts: config.CACerts{Trusted: []string{mine + "text between\n" + other, "junk"}}}, apply.Outcome{
		Did: []string{"trusted: the config's certificates (2) and the built-in ones"}, Restart: []string{"docker"},
	}, "ca_certs: trusted: entry 2 is not a certificate in PEM")
	b.want(map[string]string{"run/ros/trust/certs/ca-certificates.crt": "built-in A\nbuilt-in B\n" + mine + other})

	b.expect(apply.Trust, config.Config{CACerts: config.CACerts{Trusted: []string{mine}, RemoveDefaults: true}}, apply.Outcome{
		Did: []string{"trusted: the config's certificates (1) and no others"}, Restart: []string{"docker"},
	}, "")
	b.want(map[string]string{"run/ros/trust/certs/ca-certificates.crt": mine})

	b.expect(apply.Trust, config.Config{}, apply.Outcome{
		Did: []string{"trusted: the built-in certificates and no others"}, Restart: []string{"docker"},
	}, "")
	link("/usr/share/ca-certificates/mozilla")
	entries, err := os.ReadDir(b.Path("run/ros/trust"))
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
}
