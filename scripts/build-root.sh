#!/bin/sh
# Makes the build root: a Debian trixie chroot with every tool that the build
# needs, so that the distribution of the host does not matter.
#
#   scripts/build-root.sh DIR
#
# MIRROR= overrides the package mirror that mmdebstrap would choose.
set -eu
dir=$1

# Each line: what it is for.
packages=$(sed -n 's/^#: \([^ ]*\) .*/\1/p' "$0" | paste -sd,)
#: apt                 resolves and downloads the packages of the images
#: ca-certificates     for a mirror over TLS
#: erofs-utils         mkfs.erofs
#: cryptsetup-bin      veritysetup
#: e2fsprogs           state disks: of tests, and of disk images
#: fdisk               sfdisk, for disk images
#: dosfstools          mkfs.vfat, for the EFI system partition of the ISO
#: mtools              fills it without mounting
#: xorriso             the ISO
#: grub-common         grub-mkimage
#: grub-pc-bin         GRUB for BIOS
#: grub-efi-amd64-bin  GRUB for UEFI
#: squashfs-tools      weighs the peer of the benchmark
#: kmod                depmod
#: cpio                the initrd
#: zstd                compresses it
#: xz-utils            packages
#: qemu-system-x86     runs the OS; QEMU 10 (older ones crash under new kernels)
#: qemu-system-arm     the same for arm64
#: qemu-utils          qemu-img
#: seabios             firmware: BIOS
#: ovmf                firmware: UEFI
#: qemu-efi-aarch64    firmware: UEFI for arm64
#: ipxe-qemu           boot ROM that QEMU's network cards ask for
#: busybox-static      the programs of the image that tests run in Docker

if [ -f "$dir/.complete" ] && [ "$(cat "$dir/.complete")" = "$packages" ]; then exit 0; fi
echo "making the build root in $dir (once, about a minute)"
rm -rf "$dir"
mkdir -p "$(dirname "$dir")"
mmdebstrap --quiet --mode=root --variant=minbase \
	--keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
	--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' \
	--include="$packages" trixie "$dir" ${MIRROR:+"deb $MIRROR trixie main"}

# GRUB for the other architecture is only files: no need to run its package.
grub=$(mktemp -d)
trap 'rm -rf "$grub"' EXIT
cat >"$grub/get.sh" <<'G'
set -eu
opts="-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State=/tmp/grub-arm64 -o Dir::State::status=/tmp/grub-arm64/status -o APT::Sandbox::User=root"
mkdir -p /tmp/grub-arm64/lists/partial; : >/tmp/grub-arm64/status; cd /tmp/grub-arm64
apt-get -qq $opts update
apt-get -qq $opts download grub-efi-arm64-bin
dpkg-deb -x grub-efi-arm64-bin_*.deb /
rm -rf /tmp/grub-arm64
G
cp "$grub/get.sh" "$dir/tmp/get.sh"
chroot "$dir" sh /tmp/get.sh
rm -f "$dir/tmp/get.sh"
printf '%s' "$packages" >"$dir/.complete"
