#!/usr/bin/env bash
# Runs a program of the build root without entering the build root:
#
#     scripts/tool.sh NAME [ARGUMENT...]
#
# The build root's own loader starts it with the build root's own libraries, and
# the caller's paths mean what they mean to the caller. So no chroot is needed,
# hence no root rights, no bind mounts and nothing left over when it is killed.
# ROS_BUILD is the build directory (default: build).
set -euo pipefail

root=${ROS_BUILD:-build}/root

case $(uname -m) in
x86_64) loader=lib64/ld-linux-x86-64.so.2 triplet=x86_64-linux-gnu ;;
aarch64) loader=lib/ld-linux-aarch64.so.1 triplet=aarch64-linux-gnu ;;
*) echo "tool.sh: cannot run the build root's programs on $(uname -m)" >&2; exit 1 ;;
esac

[ $# -ge 1 ] || { echo "usage: scripts/tool.sh NAME [ARGUMENT...]" >&2; exit 2; }
name=$1
shift

program=$root/usr/bin/$name
[ -x "$program" ] || program=$root/usr/sbin/$name
[ -x "$program" ] || { echo "tool.sh: cannot find $name in the build root $root" >&2; exit 1; }

export QEMU_MODULE_DIR=$root/usr/lib/$triplet/qemu
exec "$root/$loader" --library-path "$root/usr/lib/$triplet" "$program" "$@"
