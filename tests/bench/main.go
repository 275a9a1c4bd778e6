// Command bench measures Roster beside the system somebody would take instead,
// a minimal Debian with systemd and Docker, both in the same QEMU.
//
//	go run ./tests/bench [-runs 5] [-quiet 0.2] [-docs docs/benchmarks.md]
//
// Boots take turns (ours, peer, ours, peer, ...), so that a change on the host
// hits both. Each system is booted once unmeasured, from a new disk; measured
// boots start from the disk as that boot left it. The last measured boot of
// each also measures what takes long. The same script runs inside both
// (guest/measure.sh) and talks over the serial port; the time of a finding is
// when its line arrives here, counted from the start of QEMU.
//
// Without KVM absolute figures mean little, and nothing at all while the host
// does other work: a boot during which others used more than -quiet of the host
// is repeated. Compare the columns, not the seconds.
//
// The peer is built once (peer.sh) into <build>/bench/peer. The table goes to
// standard output, into -docs between the lines "<!-- bench:begin -->" and
// "<!-- bench:end -->", and with everything measured into <build>/bench.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/tests/vm/qemu"
)

// options are the flags.
type options struct {
	runs    int
	quiet   float64
	retries int
	docs    string
	all     bool
}

func main() {
	var o options
	flag.IntVar(&o.runs, "runs", 5, "measured boots of each system")
	flag.Float64Var(&o.quiet, "quiet", 0.2, "share of the host's CPU that others may use during a boot; 0: any")
	flag.IntVar(&o.retries, "retries", 4, "boots of each system that may be repeated because the host was not quiet")
	flag.StringVar(&o.docs, "docs", "docs/benchmarks.md", "file to write the table into; empty: none")
	flag.BoolVar(&o.all, "all", false, "measure everything in every boot, not only in the last")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	build, err := qemu.FindBuild()
	if err != nil {
		return err
	}
	out := filepath.Join(build.Dir, "bench")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	ours, err := oursFrom(build, out)
	if err != nil {
		return err
	}
	peer, err := peerFrom(build, out)
	if err != nil {
		return err
	}
	systems := []*system{ours, peer}

	b := bench{build: build, dir: out, options: o}
	for _, s := range systems {
		if err := b.prime(s); err != nil {
			return err
		}
	}
	for i := range o.runs {
		part := short
		if o.all || i == o.runs-1 {
			part = everything
		}
		for _, s := range systems {
			if err := b.measure(s, fmt.Sprintf("%s-%d", s.name, i+1), part); err != nil {
				return err
			}
		}
	}

	data, err := json.MarshalIndent(map[string]any{ours.name: ours.boots, peer.name: peer.boots}, "", " ")
	if err != nil {
		return err
	}
	table := report(ours, peer, strings.Join(append([]string{"go run ./tests/bench"}, os.Args[1:]...), " "))
	fmt.Print(table)
	err = errors.Join(
		os.WriteFile(filepath.Join(out, "boots.json"), data, 0o644),
		os.WriteFile(filepath.Join(out, "table.md"), []byte(table), 0o644))
	if o.docs != "" {
		err = errors.Join(err, writeBetween(o.docs, "<!-- bench:begin -->", "<!-- bench:end -->", table))
	}
	return err
}
