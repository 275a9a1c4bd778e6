#!/usr/bin/env bash
# Prints the QEMU accelerator that works on this machine: kvm or tcg.
#
#     scripts/accel.sh ARCH
#
# A /dev/kvm proves nothing: inside some clouds it opens, and every guest hangs.
# So KVM is believed only after a guest has come all the way through a kernel
# start, which a working KVM does in about a second. The answer is kept in
# $ROS_BUILD/accel; delete that file to probe again.
set -euo pipefail

build=${ROS_BUILD:-build}
arch=${1:?usage: scripts/accel.sh ARCH}
here=$(dirname "$0")
cache=$build/accel
seconds=20

case $(uname -m) in
x86_64) host=amd64 qemu=qemu-system-x86_64 machine=q35 console=ttyS0 ;;
aarch64) host=arm64 qemu=qemu-system-aarch64 machine=virt console=ttyAMA0 ;;
*) host=none ;;
esac

# KVM runs the host's own architecture only.
if [ "$arch" != "$host" ]; then
	echo tcg
	exit
fi
if [ -s "$cache" ]; then
	cat "$cache"
	exit
fi
if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
	echo tcg # not kept: the next caller may be allowed to open it
	exit
fi
kernel=$build/$arch/vmlinuz
if [ ! -s "$kernel" ]; then
	echo tcg # not kept: nothing to probe with yet
	exit
fi

# Without an initrd the kernel starts everything it has, looks for its root
# file system, finds none and panics. That last line is the proof.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
	timeout -s KILL "$seconds" "$here/tool.sh" "$qemu" \
		-machine "$machine" -accel kvm -cpu host -m 256 -nodefaults -display none -no-reboot \
		-L "$build/root/usr/share/qemu" -L "$build/root/usr/share/seabios" \
		-kernel "$kernel" -append "console=$console panic=-1" -serial "file:$log" </dev/null || true
} >/dev/null 2>&1

if grep -q 'Unable to mount root fs' "$log"; then
	answer=kvm
else
	answer=tcg
	echo "accel.sh: /dev/kvm is there, but a guest did not come through its kernel start: using TCG" >&2
fi
mkdir -p "$build"
echo "$answer" >"$cache.new"
mv "$cache.new" "$cache"
echo "$answer"
