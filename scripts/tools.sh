#!/bin/sh
# Installs what the build needs on the host, once: everything else comes from the
# build root. Says what it installs; silent when there is nothing to do.
set -eu

missing=
need() { # need PROGRAM-OR-FILE PACKAGE
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac || missing="$missing $2"
}
need git git
need go golang-go
need mmdebstrap mmdebstrap
need dpkg-deb dpkg
need /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
need ssh openssh-client
need shellcheck shellcheck
need busybox busybox # a shell for the tests of the rescue shell
# What makes a disk, for the tests of the installer.
need sfdisk fdisk
need mkfs.vfat dosfstools
need mcopy mtools
need mke2fs e2fsprogs

if [ -n "$missing" ]; then
	echo "installing on this machine:$missing"
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	$sudo apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# Since 1.21 Go fetches the release that go.mod names by itself
# (https://go.dev/doc/toolchain); that of Debian 12 is older.
if ! go version >/dev/null 2>&1; then
	echo "tools: Go cannot build this tree: $(go version 2>&1 | tail -n 1). Install Go 1.26 or newer from go.dev, then run make again." >&2
	exit 1
fi
