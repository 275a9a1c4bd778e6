package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/rosteros/ros/internal/bootlog"
	"github.com/rosteros/ros/internal/control"
)

func (a *app) bootVerb() *cli.Command {
	return &cli.Command{
		Name:     "boot",
		Usage:    "how this boot went: every phase and service with its time",
		Category: "The machine",
		Description: `START is seconds since the kernel started. TOOK is how long a phase ran, or how
long a service needed from its start until others could go on. When rosd does
not run, the phases are still shown.`,
		Metadata: examples("ros boot", "ros boot --svg boot.svg"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "svg", Usage: "draw the boot as a chart into `FILE` (- for standard output)", Local: true, TakesFile: true},
			jsonFlag(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.boot(ctx, cmd.String("svg"), cmd.Bool("json"))
		},
	}
}

func (a *app) boot(ctx context.Context, svg string, asJSON bool) error {
	boot, err := a.daemon().boot(ctx)
	err = a.explain("show the services of the boot", err)
	if f := new(fault); errors.As(err, &f) && f.code == exitUnreachable {
		// That rosd does not run is when the phases matter most.
		record, readErr := bootlog.Read(a.bootRecord)
		if readErr != nil {
			return err
		}
		boot = control.Boot{Record: record, Services: []control.Service{}}
	} else if err != nil {
		return err
	}
	return errors.Join(err, a.showBoot(boot, svg, asJSON))
}

func (a *app) showBoot(boot control.Boot, svg string, asJSON bool) error {
	switch {
	case svg == "-":
		_, err := a.stdout.Write(bootChart(boot))
		return err
	case svg != "":
		if err := os.WriteFile(svg, bootChart(boot), 0o644); err != nil {
			return fmt.Errorf("cannot draw the boot: %w", err)
		}
		_, err := fmt.Fprintf(a.stdout, "drawn into %s\n", svg)
		return err
	case asJSON:
		return a.printJSON(boot)
	}
	a.bootTable(boot).write(a.stdout)
	if sentence := upAfter(boot.Services); sentence != "" {
		fmt.Fprintf(a.stdout, "\nBoot%s\n", sentence)
	}
	return nil
}

func (a *app) bootTable(boot control.Boot) *table {
	t := &table{}
	t.add("STEP", "WHERE", "START", "TOOK", "")
	phase, service := slowest(boot)
	for _, p := range boot.Record.Phases {
		mark := ""
		if p.Name == phase {
			mark = "<- slowest phase"
		}
		t.add(p.Name, where(p), seconds(p.Start), seconds(p.End-p.Start), mark)
		if p.Error != "" {
			t.note("failed: %s", p.Error)
		}
	}
	for _, s := range started(boot.Services) {
		took, mark := "-", string(s.State)
		if s.BootReady > 0 {
			took, mark = seconds(s.BootReady-s.BootStart), ""
		}
		if s.Name == service {
			mark = "<- slowest service"
		}
		t.add(s.Name, "service", seconds(s.BootStart), took, mark)
	}
	for _, s := range neverStarted(boot.Services) {
		t.add(s.Name, "service", "-", "-", string(s.State))
		if len(s.WaitingFor) > 0 {
			t.note("waits for %s", strings.Join(s.WaitingFor, ", "))
		}
	}
	return t
}

// where says which program ran a phase.
func where(p bootlog.Phase) string {
	if p.Stage == 1 {
		return "initrd"
	}
	return "init"
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
