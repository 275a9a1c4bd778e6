package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/control"
)

// Whatever a boot was like, the chart is XML without an infinite number in it.
func TestBootChartIsWellFormed(t *testing.T) {
	for _, tt := range []struct {
		name string
		boot control.Boot
	}{
		{name: "nothing", boot: control.Boot{}},
		{name: "services only", boot: control.Boot{Services: machine().services}},
		{name: "nothing was ready", boot: control.Boot{Services: []control.Service{{Name: "a<b>&\"c", Reason: "<&>", BootStart: 1}}}},
		{name: "hours", boot: control.Boot{Services: []control.Service{{Name: "late", BootStart: 1, BootReady: 9000}}}},
		{name: "a machine", boot: machine().boot},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := string(bootChart(tt.boot))
			for _, bad := range []string{"NaN", "Inf", "%!"} {
				if strings.Contains(text, bad) {
					t.Errorf("%s in the chart:\n%s", bad, text)
				}
			}
			for dec := xml.NewDecoder(strings.NewReader(text)); ; {
				if _, err := dec.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v in\n%s", err, text)
				}
			}
		})
	}
}

func TestTickStep(t *testing.T) {
	for _, tt := range []struct{ until, want float64 }{
		{0, 0.1}, {0.9, 0.1}, {3.52, 0.5}, {10, 1}, {10.1, 2}, {47, 5}, {9000, 1000},
	} {
		if got := tickStep(tt.until); got < tt.want*0.999 || got > tt.want*1.001 {
			t.Errorf("tickStep(%v) = %v, want %v", tt.until, got, tt.want)
		}
	}
}
