#!/bin/sh
# Runs the VM tests; `make test-vm` and `make test-all` call it. The arm64 tests
# need an arm64 build too, which shares nothing but the package cache.
set -eu
build=${ROS_BUILD:-build}
[ -e "$build/arm64/roster.iso" ] || "${MAKE:-make}" --no-print-directory build ARCH=arm64 FLAVOUR=vm
exec go test -tags vm -count 1 -timeout 120m ./tests/vm/...
