#!/bin/sh
# Runs the VM tests; `make test-vm` and `make test-all` call it. The arm64 tests
# need an arm64 build too, and slow ones the flavour metal, so those are made
# first.
set -eu
"${MAKE:-make}" --no-print-directory build ARCH=arm64 FLAVOUR=vm
if [ "${ROS_TEST_ALL:-}" = 1 ]; then
	"${MAKE:-make}" --no-print-directory build ARCH=amd64 FLAVOUR=metal
fi
exec go test -tags vm -count 1 -timeout 120m ./tests/vm/...
