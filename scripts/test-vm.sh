#!/bin/sh
# Runs the VM tests; `make test-vm` and `make test-all` call it. The arm64 tests
# need an arm64 build too, so that is made first.
set -eu
"${MAKE:-make}" --no-print-directory build ARCH=arm64 FLAVOUR=vm
exec go test -tags vm -count 1 -timeout 120m ./tests/vm/...
