#!/bin/sh
# What `make lint` runs. Prints only what is wrong.
set -eu
status=0

unformatted=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'lint: not formatted (run gofmt -w):\n%s\n' "$unformatted"
	status=1
fi
echo "lint: go vet"
go vet ./... || status=1
go vet -tags vm ./tests/vm/... || status=1
go vet -tags engine ./internal/docker || status=1
GOARCH=arm64 go vet ./init ./cmd/... || status=1
echo "lint: staticcheck"
go tool staticcheck ./... || status=1
echo "lint: generated pages"
go test ./config ./cmd/ros -run '^(TestDocs|TestReference)$' || status=1
echo "lint: shellcheck"
git ls-files -z scripts images .ci tests | xargs -0 grep -lsE -m1 '^#!/(usr/)?bin/(env )?(ba|da)?sh' | xargs shellcheck -x || status=1
exit $status
