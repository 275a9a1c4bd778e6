package apply_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

func registries(auths map[string]config.Registry) config.Config {
	return config.Config{Rancher: config.Rancher{RegistryAuths: auths}}
}

// withDocker is a box with accounts that may use Docker, and one that may not.
func withDocker(t *testing.T) *box {
	b := newBox(t)
	b.write("run/ros/login/passwd", "root:x:0:0:root:/root:/bin/sh\nrancher:x:1100:1100::/home/rancher:/bin/bash\n"+
		"ann:x:1500:1500::/home/ann:/bin/bash\ndocker:x:1101:1101::/home/docker:/bin/bash\ngone:x:1501:1501::/home/gone:/bin/bash\n")
	b.write("run/ros/login/group", "root:x:0:\ndocker:x:1101:rancher,gone\n")
	for _, home := range []string{"rancher", "ann", "docker"} {
		b.write("home/"+home+"/keep", "")
	}
	return b
}

func TestRegistries(t *testing.T) {
	needRoot(t)
	b := withDocker(t)
	b.write("home/docker/.docker/config.json", `{"auths": {}}`)
	const text = `{
	"auths": {
		"https://index.` + "docker.io" + `/v1/": {
			"auth": "bWU6c2VjcmV0"
		},
		"registry.example.com:5000": {
			"auth": "eW91OmhpZGRlbg==",
			"identitytoken": "tok"
		},
		"tokens.example.com": {
			"registrytoken": "tok2"
		}
	}
}
`
	kept := "/home/docker/.docker/config.json stays as it is: it is not what the config wrote"
	auths := map[string]config.Registry{
		"docker.io":                         {Username: "me", Password: "secret", Email: "me@example.com"},
		"https://registry.example.com:5000": {Auth: "eW91OmhpZGRlbg==", IdentityToken: "tok"},
		"tokens.example.com":                {RegistryToken: "tok2"},
		"bad.example.com":                   {Auth: "????"},
		"empty.example.com":                 {Username: "me"},
	}
	b.expect(apply.Registries, registries(auths), apply.Outcome{
		Did:   []string{"wrote /run/ros/login/docker/config.json", "wrote /home/rancher/.docker/config.json"},
		Notes: []string{kept},
	}, `rancher.registry_auths: bad.example.com: auth is not base64 of user:password
rancher.registry_auths: empty.example.com: there is neither a user with a password, nor auth, nor a token`)
	b.want(map[string]string{
		"run/ros/login/docker/config.json": text,
		"home/rancher/.docker/config.json": text,
		"home/docker/.docker/config.json":  `{"auths": {}}`,
		"home/ann/.docker/config.json":     "(none)",
		"home/gone/.docker/config.json":    "(none)",
	})
	for path, want := range map[string]os.FileMode{"home/rancher/.docker": 0o700 | os.ModeDir, "home/rancher/.docker/config.json": 0o600} {
		var st unix.Stat_t
		info, err := os.Stat(b.Path(path))
		if err != nil || info.Mode() != want || unix.Stat(b.Path(path), &st) != nil || st.Uid != 1100 || st.Gid != 1100 {
			t.Errorf("%s: %v, %v, of %d:%d", path, info, err, st.Uid, st.Gid)
		}
	}

	// Somebody logs in by hand. After a reboot the config says something else.
	b.write("home/rancher/.docker/config.json", "mine")
	if err := os.RemoveAll(b.Path("run/ros/login/docker")); err != nil {
		t.Fatal(err)
	}
	delete(auths, "bad.example.com")
	delete(auths, "empty.example.com")
	b.expect(apply.Registries, registries(auths), apply.Outcome{
		Did:   []string{"wrote /run/ros/login/docker/config.json"},
		Notes: []string{"/home/rancher/.docker/config.json stays as it is: it is not what the config wrote", kept},
	}, "")
	b.expect(apply.Registries, registries(nil), did("removed /run/ros/login/docker/config.json"), "")
	b.want(map[string]string{
		"run/ros/login/docker/config.json": "(none)",
		"home/rancher/.docker/config.json": "mine",
		"home/docker/.docker/config.json":  `{"auths": {}}`,
	})
	b.expect(apply.Registries, registries(nil), apply.Outcome{}, "")
}

func TestRegistriesStayInTheHome(t *testing.T) {
	needRoot(t)
	b := withDocker(t)
	b.write("etc/config.json", "keep")
	if err := os.Symlink("../../etc", b.Path("home/rancher/.docker")); err != nil {
		t.Fatal(err)
	}
	b.expect(apply.Registries, registries(map[string]config.Registry{"docker.io": {Username: "me", Password: "x"}}), apply.Outcome{
		Did: []string{"wrote /run/ros/login/docker/config.json", "wrote /home/docker/.docker/config.json"},
	}, "rancher.registry_auths: cannot write /home/rancher/.docker/config.json: openat .docker/config.json: path escapes from parent")
	b.want(map[string]string{"etc/config.json": "keep"})
}
