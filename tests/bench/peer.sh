#!/usr/bin/env bash
# Builds the system we compare ourselves with: what somebody would set up who
# wants a small Docker host from Debian packages. Minimal trixie without
# recommended packages, manual pages and translations; Debian's cloud kernel,
# systemd with networkd and resolved, chrony, OpenSSH, docker.io.
#
#     tests/bench/peer.sh OUT
#
# OUT gets vmlinuz, initrd.img, disk.ext4 (the root file system) and sizes.json.
# Needs root and mmdebstrap; everything else comes from the build root. MIRROR=
# overrides mmdebstrap's own choice of a package mirror.
set -euo pipefail

out=${1:?usage: tests/bench/peer.sh OUT}
here=$(cd "$(dirname "$0")" && pwd)
tool=$here/../../scripts/tool.sh
"$tool" mksquashfs -version >/dev/null # before the long part

packages=(
	linux-image-cloud-amd64 initramfs-tools zstd
	systemd-sysv systemd-resolved udev kmod dbus
	iproute2 iptables ca-certificates procps e2fsprogs sudo
	docker.io docker-cli openssh-server chrony
)
rm -rf "$out"
mkdir -p "$out"
root=$out/root
echo "building the peer (Debian with systemd and Docker) in $out"
mmdebstrap --quiet --mode=root --variant=minbase \
	--keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
	--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--include="$(IFS=,; echo "${packages[*]}")" \
	trixie "$root" ${MIRROR:+"deb $MIRROR trixie main"}

# What an installer would have asked for.
echo peer >"$root/etc/hostname"
echo '/dev/vda / ext4 defaults,noatime 0 1' >"$root/etc/fstab"
echo bf2c9d1d6f2b4b0e9d0a6d8a3a1c7e55 >"$root/etc/machine-id"
cat >"$root/etc/systemd/network/10-wired.network" <<'NETWORK'
[Match]
Name=en* eth*
[Network]
DHCP=yes
NETWORK
ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

# The measurement, started as soon as the basic system is up.
install -m 755 "$here/guest/measure.sh" "$root/usr/local/sbin/bench.measure"
cat >"$root/etc/systemd/system/bench.service" <<'UNIT'
[Unit]
Description=Measurement
After=basic.target
[Service]
ExecStart=/bin/sh /usr/local/sbin/bench.measure
StandardOutput=null
StandardError=null
[Install]
WantedBy=multi-user.target
UNIT
chroot "$root" systemctl --quiet enable systemd-networkd systemd-resolved ssh docker chrony bench
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/apt

cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
cp "$root"/boot/initrd.img-* "$out/initrd.img"
"$tool" mke2fs -q -t ext4 -L peer -E lazy_itable_init=1 -d "$root" "$out/disk.ext4" 4096M

# What somebody would download: kernel, initrd, and the rest as dense as an
# image of it gets.
echo "compressing it, to know its size"
"$tool" mksquashfs "$root" "$out/root.squashfs" -quiet -no-progress \
	-comp zstd -Xcompression-level 19 -b 256K -e boot >/dev/null
size() { stat -c %s "$out/$1"; }
printf '{"kernel": %d, "initrd": %d, "image": %d}\n' \
	"$(size vmlinuz)" "$(size initrd.img)" "$(size root.squashfs)" >"$out/sizes.json"
rm -rf "$root" "$out/root.squashfs"
