package main

import (
	"os"
	"testing"
)

func TestOsVersion(t *testing.T) {
	a := newApp(t, nil)
	const text = `{"version":"v0.1.0","arch":"amd64","flavour":"vm","kernel":"6.12.57+deb13-cloud-amd64"}`
	if err := os.WriteFile(a.release, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	check(t, a, "ros os version", result{out: "v0.1.0\n"})
	check(t, a, "ros --version", result{out: "v0.1.0\n"})
	check(t, a, "ros -v", result{out: "v0.1.0\n"})
	check(t, a, "ros os version --json", result{out: `{
  "version": "v0.1.0",
  "arch": "amd64",
  "flavour": "vm",
  "kernel": "6.12.57+deb13-cloud-amd64"
}
`})
	check(t, a, "ros os versoin", result{code: 2, err: `ros: cannot run "versoin": "ros os" has no such verb
try: ros os version
`})
}

func TestOsVersionElsewhere(t *testing.T) {
	check(t, newApp(t, nil), "ros os version", result{code: 1,
		err: "ros: cannot tell the version: open DIR/release.json: no such file or directory\n"})
}
