package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/rosteros/ros/internal/control"
)

// Measures of the chart, in pixels.
const (
	chartWidth  = 960
	chartLeft   = 150 // names stand left of this
	chartRight  = 90  // room for the figure of a bar that ends at the edge
	chartHead   = 64  // title and legend
	chartRow    = 20
	chartBar    = 12
	chartGap    = 26 // title of a group
	chartBottom = 34 // figures of the axis
)

// The colours are of middle lightness, so that the chart can stand on a light
// page and on a dark one; it has no background of its own. They are attributes
// and not a style sheet because simple viewers know only those.
const (
	chartText     = "#7d8590"
	chartSlow     = "#c9761a"
	chartPhase    = "#4b8fe2"
	chartWaiting  = "#b4bac2"
	chartStarting = "#2e9e6b"
	chartFailed   = "#d9534f"
)

// A bar is one row of the chart.
type bar struct {
	name   string
	spans  []barSpan
	figure string // right of the last span
	title  string // shown when the pointer rests on it
	slow   bool
}

type barSpan struct {
	fill       string
	start, end float64
}

type barGroup struct {
	title string
	bars  []bar
}

// bootChart draws a boot as an SVG: the phases of PID 1, below them the
// services with the time they waited and the time they took to start, over an
// axis in seconds since the kernel started.
func bootChart(boot control.Boot) []byte {
	c := &chart{groups: barGroups(boot)}
	for _, g := range c.groups {
		c.height += chartGap + chartRow*len(g.bars)
		for _, b := range g.bars {
			for _, s := range b.spans {
				c.until = max(c.until, s.end)
			}
		}
	}
	c.height += chartHead + chartBottom
	c.step = tickStep(c.until)
	c.until = max(c.step, math.Ceil(c.until/c.step-1e-9)*c.step)
	return c.draw(chartTitle(boot))
}

func chartTitle(boot control.Boot) string {
	title := "Boot"
	if v := boot.Record.Version; v != "" {
		title += " of Roster " + v
	}
	return title + upAfter(boot.Services)
}

// barGroups lays a boot out in rows.
func barGroups(boot control.Boot) []barGroup {
	slowPhase, slowService := slowest(boot)
	initrd, pid1, services := barGroup{title: "initrd"}, barGroup{title: "init"}, barGroup{title: "services"}
	for _, p := range boot.Record.Phases {
		b := bar{
			name:   p.Name,
			spans:  []barSpan{{chartPhase, p.Start, p.End}},
			figure: fmt.Sprintf("%.2f s", p.End-p.Start),
			title:  p.Detail,
			slow:   p.Name == slowPhase,
		}
		if p.Error != "" {
			b.spans[0].fill, b.title = chartFailed, p.Error
		}
		if p.Stage == 1 {
			initrd.bars = append(initrd.bars, b)
		} else {
			pid1.bars = append(pid1.bars, b)
		}
	}
	planned, end := chartTimes(boot)
	for _, s := range slices.Concat(started(boot.Services), neverStarted(boot.Services)) {
		services.bars = append(services.bars, serviceBar(s, planned, end, s.Name == slowService))
	}
	return slices.DeleteFunc([]barGroup{initrd, pid1, services}, func(g barGroup) bool { return len(g.bars) == 0 })
}

// serviceBar is the row of a service: how long it waited, how long it took to
// start. What has not come to an end yet goes on to the end of the chart.
func serviceBar(s control.Service, planned, end float64, slow bool) bar {
	b := bar{name: s.Name, title: s.Reason, figure: string(s.State), slow: slow}
	switch {
	case s.BootReady > 0:
		b.spans = []barSpan{{chartStarting, s.BootStart, s.BootReady}}
		b.figure = fmt.Sprintf("%.2f s", s.BootReady-s.BootStart)
	case s.BootStart > 0 && ill(s.State):
		b.spans = []barSpan{{chartFailed, s.BootStart, end}}
	case s.BootStart > 0:
		b.spans = []barSpan{{chartStarting, s.BootStart, end}}
	case ill(s.State):
		return bar{name: s.Name, title: s.Reason, figure: string(s.State), spans: []barSpan{{chartFailed, planned, planned}}}
	default:
		b.title = strings.Join(s.WaitingFor, ", ")
		b.spans = []barSpan{{chartWaiting, planned, end}}
	}
	if s.BootStart > planned {
		b.spans = append([]barSpan{{chartWaiting, planned, s.BootStart}}, b.spans...)
	}
	return b
}

// chartTimes are when services began to wait for each other (the first of them
// was started) and when the last thing happened.
func chartTimes(boot control.Boot) (planned, end float64) {
	for _, p := range boot.Record.Phases {
		end = max(end, p.End)
	}
	planned = end
	for i, s := range started(boot.Services) {
		if i == 0 {
			planned = s.BootStart
		}
		end = max(end, s.BootStart, s.BootReady)
	}
	return planned, end
}

// chart is the drawing while it is drawn.
type chart struct {
	out         bytes.Buffer
	groups      []barGroup
	until, step float64 // end of the axis and distance of its ticks, seconds
	height      int
}

func (c *chart) x(seconds float64) float64 {
	return chartLeft + seconds/c.until*(chartWidth-chartLeft-chartRight)
}

func (c *chart) draw(title string) []byte {
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s"`+
		` font-family="system-ui, DejaVu Sans, sans-serif" font-size="12" stroke="none" fill="%s">`,
		chartWidth, c.height, chartWidth, c.height, escape(title), chartText)
	c.printf(`<text x="8" y="22" font-size="15" font-weight="600">%s</text>`, escape(title))
	c.legend()
	c.axis()
	y := chartHead
	for _, g := range c.groups {
		c.printf(`<text x="8" y="%d" font-weight="600">%s</text>`, y+17, g.title)
		y += chartGap
		for _, b := range g.bars {
			c.bar(b, y)
			y += chartRow
		}
	}
	c.printf("</svg>")
	return c.out.Bytes()
}

func (c *chart) legend() {
	x := chartLeft
	for _, l := range []struct{ fill, text string }{
		{chartPhase, "phase of PID 1"},
		{chartWaiting, "service waits for others"},
		{chartStarting, "service starts, until others can go on"},
		{chartFailed, "failed or not healthy"},
	} {
		c.printf(`<rect x="%d" y="38" width="12" height="12" rx="2" fill="%s"/>`, x, l.fill)
		c.printf(`<text x="%d" y="48">%s</text>`, x+17, l.text)
		x += 40 + 6*len(l.text)
	}
}

func (c *chart) axis() {
	bottom := c.height - chartBottom + 6
	for i := 0; float64(i)*c.step <= c.until+1e-9; i++ {
		at := float64(i) * c.step
		c.printf(`<rect x="%.1f" y="%d" width="1" height="%d" fill-opacity="0.3"/>`, c.x(at)-0.5, chartHead, bottom-chartHead)
		c.printf(`<text x="%.1f" y="%d" text-anchor="middle">%s s</text>`, c.x(at), bottom+16, tickFigure(at))
	}
}

func (c *chart) bar(b bar, y int) {
	look := ""
	if b.slow {
		look = fmt.Sprintf(` font-weight="700" fill="%s"`, chartSlow)
		b.figure += ", slowest"
	}
	c.printf("<g>")
	if b.title != "" {
		c.printf("<title>%s: %s</title>", escape(b.name), escape(b.title))
	}
	c.printf(`<text x="%d" y="%d" text-anchor="end"%s>%s</text>`, chartLeft-8, y+14, look, escape(b.name))
	end := 0.0
	for _, s := range b.spans {
		// A bar of no length would not be seen.
		width := max(c.x(s.end)-c.x(s.start), 3)
		c.printf(`<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`,
			c.x(s.start), y+(chartRow-chartBar)/2, width, chartBar, s.fill)
		end = c.x(s.start) + width
	}
	c.printf(`<text x="%.1f" y="%d"%s>%s</text>`, end+6, y+14, look, escape(b.figure))
	c.printf("</g>")
}

func (c *chart) printf(format string, args ...any) {
	fmt.Fprintf(&c.out, format+"\n", args...)
}

// tickStep is a round distance that puts at most ten ticks on the axis.
func tickStep(until float64) float64 {
	for step := 0.1; ; step *= 10 {
		for _, s := range []float64{step, 2 * step, 5 * step} {
			if until/s <= 10 {
				return s
			}
		}
	}
}

func tickFigure(at float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", at), ".0")
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
