#!/bin/sh
# Runs a program of the build root (a Debian trixie chroot) on this source tree:
#
#   scripts/in-root.sh PROGRAM [ARG...]
#
# The tree, /dev, /proc and /tmp are mounted at the same paths inside, in a mount
# namespace of its own, so nothing stays mounted whatever happens.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
root=${BUILD:-$top/build}/root
[ -x "$root/usr/bin/env" ] || { echo "in-root: no build root at $root: run 'make root' first" >&2; exit 1; }
if [ -z "${IN_ROOT_NS:-}" ]; then
	IN_ROOT_NS=1 exec unshare --mount --propagation private "$0" "$@"
fi
unset IN_ROOT_NS
mkdir -p "$root$top"
mount --rbind "$top" "$root$top"
mount --rbind /dev "$root/dev"
mount --bind /proc "$root/proc"
mount --bind /tmp "$root/tmp"
if [ -e /etc/resolv.conf ]; then
	# The name servers and a possible proxy setting of apt are the host's.
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
fi
exec chroot "$root" /usr/bin/env -C "$PWD" PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
