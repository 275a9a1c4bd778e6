package apply_test

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rosteros/ros/config"
	"github.com/rosteros/ros/internal/apply"
)

func mounts(list ...config.Mount) config.Config { return config.Config{Mounts: list} }

func TestMounts(t *testing.T) {
	m := newMachine(t)
	m.disk("vdb", "DATA")
	m.disk("vdc", "SWAP")
	m.write("opt/source/file", "")
	data := config.Mount{Device: "LABEL=DATA", Path: "/mnt/data", Type: "auto", Options: "noatime,nofail,commit=60"}
	bind := config.Mount{Device: "/opt/source", Path: "/home/bound", Type: "none", Options: "bind,ro"}
	file := config.Mount{Device: "/opt/source/file", Path: "/opt/other/file", Type: "", Options: "bind"}
	memory := config.Mount{Device: "tmpfs", Path: "/mnt/memory", Type: "tmpfs", Options: "size=10m,mode=700"}
	swap := config.Mount{Device: "/dev/vdc", Path: "none", Type: "swap", Options: "sw"}
	later := config.Mount{Device: "/dev/vdb", Path: "/mnt/later", Type: "ext4", Options: "noauto"}
	m.expect(apply.Mounts, mounts(data, bind, file, memory, swap, later), did(
		"mounted LABEL=DATA at /mnt/data",
		"mounted /opt/source at /home/bound",
		"mounted /opt/source/file at /opt/other/file",
		"mounted tmpfs at /mnt/memory",
		"switched swap on /dev/vdc on",
	), "")
	m.called(
		"mount /dev/vdb /mnt/data ext4 0x400 commit=60",
		"mount /opt/source /home/bound  0x1001 ",
		"mount  /home/bound  0x1021 ",
		"mount /opt/source/file /opt/other/file  0x1000 ",
		"mount tmpfs /mnt/memory tmpfs 0x0 size=10m,mode=700",
		"swapon /dev/vdc",
	)
	m.want(map[string]string{"opt/other/file": ""})

	data.Options = "ro"
	m.expect(apply.Mounts, mounts(data, memory), did(
		"switched swap on /dev/vdc off",
		"unmounted /opt/other/file",
		"unmounted /home/bound",
		"unmounted /mnt/data",
		"mounted LABEL=DATA at /mnt/data",
	), "")
	m.called("swapoff /dev/vdc", "unmount /opt/other/file", "unmount /home/bound", "unmount /mnt/data", "mount /dev/vdb /mnt/data ext4 0x1 ")

	m.fail["unmount /mnt/data"] = unix.EBUSY
	m.expect(apply.Mounts, mounts(), did("unmounted /mnt/memory"), "mounts: cannot unmount /mnt/data: somebody uses it")
	delete(m.fail, "unmount /mnt/data")
	m.expect(apply.Mounts, mounts(), did("unmounted /mnt/data"), "")
}

func TestMountsOfDockersData(t *testing.T) {
	m := newMachine(t)
	m.disk("vdb", "DOCKER")
	disk := config.Mount{Device: "vdb", Path: "/var/lib/docker", Type: "ext4"}
	restart := []string{"docker-containerd", "docker"}
	m.expect(apply.Mounts, mounts(disk), apply.Outcome{Did: []string{"mounted vdb at /var/lib/docker"}, Restart: restart}, "")
	m.expect(apply.Mounts, mounts(), apply.Outcome{Did: []string{"unmounted /var/lib/docker"}, Restart: restart}, "")
}

func TestMountsThatSomebodyTookAway(t *testing.T) {
	m := newMachine(t)
	memory := config.Mount{Device: "tmpfs", Path: "/mnt/memory", Type: "tmpfs"}
	m.expect(apply.Mounts, mounts(memory), did("mounted tmpfs at /mnt/memory"), "")
	if err := m.Unmount(m.Path("mnt/memory")); err != nil {
		t.Fatal(err)
	}
	m.expect(apply.Mounts, mounts(memory), did("mounted tmpfs at /mnt/memory"), "")
	if err := m.Unmount(m.Path("mnt/memory")); err != nil {
		t.Fatal(err)
	}
	m.expect(apply.Mounts, mounts(), did("unmounted /mnt/memory"), "")
}

func TestMountFaults(t *testing.T) {
	m := newMachine(t)
	m.disk("vdb", "")
	m.write("dev/vdx", "nothing known")
	m.write("etc/keep", "")
	if err := os.MkdirAll(m.Path("mnt"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../etc", m.Path("mnt/link")); err != nil {
		t.Fatal(err)
	}
	m.fail["mount /dev/vdb /mnt/broken"] = unix.EUCLEAN
	m.fail["swapon"] = unix.EINVAL
	for _, tt := range []struct {
		mount config.Mount
		want  string
	}{
		{config.Mount{Device: "LABEL=NONE", Path: "/mnt/a", Type: "ext4"}, `mounts: cannot mount LABEL=NONE at /mnt/a: cannot find device "LABEL=NONE": no such device`},
		{config.Mount{Device: "/dev/none", Path: "/mnt/a", Type: "ext4"}, `mounts: cannot mount /dev/none at /mnt/a: no such device`},
		{config.Mount{Device: "/dev/vdx", Path: "/mnt/a", Type: "auto"}, `mounts: cannot mount /dev/vdx at /mnt/a: nothing on it is known as a file system`},
		{config.Mount{Device: "/dev/vdb", Path: "/mnt/broken", Type: "ext4"}, `mounts: cannot mount /dev/vdb at /mnt/broken: structure needs cleaning`},
		{config.Mount{Device: "/dev/vdb", Path: "/data", Type: "ext4"}, `mounts: cannot mount /dev/vdb at /data: mount points are below /mnt, /media, /home, /opt, /var, /run, /tmp; the rest is the OS image, which is read-only`},
		{config.Mount{Device: "/dev/vdb", Path: "/mnt/link/x", Type: "ext4"}, `mounts: cannot mount /dev/vdb at /mnt/link/x: mount points are below /mnt, /media, /home, /opt, /var, /run, /tmp; the rest is the OS image, which is read-only`},
		{config.Mount{Device: "/dev/vdb", Path: "data", Type: "ext4"}, `mounts: cannot mount /dev/vdb at data: the mount point is not an absolute path`},
		{config.Mount{Device: "/opt/none", Path: "/mnt/a", Options: "bind"}, `mounts: cannot mount /opt/none at /mnt/a: no such file or directory`},
		{config.Mount{Device: "/dev/vdb", Path: "none", Type: "swap"}, `mounts: cannot swap to /dev/vdb: invalid argument`},
		{config.Mount{Device: "nas", Path: "/mnt/a", Type: "nfs"}, `mounts: cannot mount nas at /mnt/a: what to mount by NFS is written server:/path`},
		{config.Mount{Device: "nas:/x", Path: "/mnt/a", Type: "nfs", Options: "vers=3"}, `mounts: cannot mount nas:/x at /mnt/a: NFS 3 needs daemons that are not here; there is NFS 4.2, 4.1, 4.0`},
		{config.Mount{Device: "127.0.0.1:/x", Path: "/mnt/a", Type: "nfs", Options: "port=1"}, `mounts: cannot mount 127.0.0.1:/x at /mnt/a: dial tcp 127.0.0.1:1: connect: connection refused`},
	} {
		t.Run(tt.mount.Device+" "+tt.mount.Path, func(t *testing.T) {
			m.t = t
			good := config.Mount{Device: "tmpfs", Path: "/mnt/good", Type: "tmpfs"}
			m.expect(apply.Mounts, mounts(tt.mount, good), did("mounted tmpfs at /mnt/good"), tt.want)
			m.expect(apply.Mounts, mounts(), did("unmounted /mnt/good"), "")
		})
	}
}

func TestMountsTwoInOnePlace(t *testing.T) {
	m := newMachine(t)
	m.expect(apply.Mounts, mounts(
		config.Mount{Device: "tmpfs", Path: "/mnt/a", Type: "tmpfs"},
		config.Mount{Device: "other", Path: "/mnt/a/", Type: "tmpfs"},
	), did("mounted tmpfs at /mnt/a"), "mounts: cannot mount other at /mnt/a/: tmpfs is mounted there")
}

func TestMountsNFS(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	m.fail["mount localhost:/x /mnt/x nfs4 0x2 port="+port+",soft,vers=4.2"] = unix.EPROTONOSUPPORT
	share := config.Mount{Device: "localhost:/x", Path: "/mnt/x", Type: "nfs", Options: "_netdev,nosuid,bg,nolock,nfsvers=4,port=" + port + ",soft"}
	cfg := mounts(share)
	o, fault := m.apply(apply.Mounts, &cfg)
	if fault != "" || len(o.Did) != 1 {
		t.Errorf("did %q, error %q", o.Did, fault)
	}
	m.called(
		"mount localhost:/x /mnt/x nfs4 0x2 port="+port+",soft,vers=4.2,addr=127.0.0.1,clientaddr=0.0.0.0",
		"mount localhost:/x /mnt/x nfs4 0x2 port="+port+",soft,vers=4.1,addr=127.0.0.1,clientaddr=0.0.0.0",
	)
}
