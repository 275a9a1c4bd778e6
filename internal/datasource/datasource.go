// Package datasource asks the places where a machine may find out what it
// should be: disks, metadata services of clouds, files, addresses.
//
// It owns the protocols of these places, which of them a machine is likely to
// have, and the directory that keeps the answer for the next boots. It does not
// know what user-data means (internal/userdata) and applies nothing: rosd loads
// the directory as layers of the config.
package datasource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rosteros/ros/internal/cmdline"
)

// ErrAbsent is the error of Fetch when this machine has no such place, and of
// Client when there is no such page (404).
var ErrAbsent = errors.New("not there")

// Source asks one kind of place for what a machine should be.
type Source interface {
	// Name is how rancher.cloud_init.datasources calls it.
	Name() string
	// Fetch asks once. An error that is ErrAbsent says that this machine has no
	// such place, and nobody asks again; after any other it is asked again later.
	// It returns soon after ctx ends.
	Fetch(ctx context.Context) (*Data, error)
}

// Data is what a source answered. Everything may be empty.
type Data struct {
	Source       string // the name of the source
	InstanceID   string // changes when the machine is another one
	Hostname     string // as given; a full name is cut to its first part when it is stored
	SSHKeys      []string
	UserData     []byte   // as it came: plain, gzip, MIME, …
	VendorData   []byte   // the same, from the cloud; UserData goes before it
	Network      []byte   // YAML: the value of rancher.network; netConfig makes it
	ResizeDevice string   // a disk whose first partition shall grow
	Notes        []string // what was there and could not be used
}

// Machine is what tells which sources to ask, and what sources need of it.
type Machine struct {
	// DMI are the files of /sys/class/dmi/id: sys_vendor, product_name,
	// product_serial, product_uuid, chassis_asset_tag, bios_vendor, board_vendor, …
	DMI     map[string]string
	Volumes []Volume // the file systems on the machine's disks
	Cmdline cmdline.Line
	Root    string // "/"; a directory in tests
	Disks   Disks
	IMDSv1  bool // rancher.cloud_init.imdsv1
	Web     Web
}

// kind is one kind of source.
type kind struct {
	name string // how rancher.cloud_init.datasources calls it, before any colon
	// detected tells whether a machine looks as if it has one; it is then asked
	// although nobody named it. nil: only when it is named.
	detected func(m Machine) bool
	// source makes it. argument is what stands behind the colon.
	source func(m Machine, argument string) (Source, error)
}

// Waits between two questions to the same source.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 30 * time.Second
)

// answer is what came of one source.
type answer struct {
	place int // in the list
	data  *Data
	err   error
}

// First asks all sources at the same time until one of them answers, none is
// left or ctx ends. Of several that have answered the one that is named first
// counts. Without an answer the error says of each source why, and is ErrAbsent
// when every one of them was absent.
func First(ctx context.Context, sources []Source, log *slog.Logger) (*Data, error) {
	if len(sources) == 0 {
		return nil, fmt.Errorf("no datasource to ask: %w", ErrAbsent)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	answers := make(chan answer, len(sources))
	// What was last wrong with each, for sources that are still trying at the end.
	faults := make(chan answer, len(sources))
	for i, s := range sources {
		go func() {
			data, err := insist(ctx, s, log, func(err error) {
				select {
				case faults <- answer{place: i, err: err}:
				case <-ctx.Done():
				}
			})
			answers <- answer{i, data, err}
		}()
	}
	errs := make([]error, len(sources))
	for i := range errs {
		errs[i] = errors.New("no answer")
	}
	for left := len(sources); left > 0; {
		select {
		case f := <-faults:
			errs[f.place] = f.err
		case a := <-answers:
			left--
			if a.err == nil {
				return best(a, answers).data, nil
			}
			errs[a.place] = a.err
		case <-ctx.Done():
			return nil, summary(sources, errs)
		}
	}
	return nil, summary(sources, errs)
}

// best is the answer of the source that is named first among a and those that
// have come meanwhile.
func best(a answer, answers <-chan answer) answer {
	for {
		select {
		case b := <-answers:
			if b.err == nil && b.place < a.place {
				a = b
			}
		default:
			return a
		}
	}
}

// insist asks a source until it answers, is absent or ctx ends.
func insist(ctx context.Context, s Source, log *slog.Logger, failed func(error)) (*Data, error) {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		data, err := s.Fetch(ctx)
		if err == nil {
			data.Source = s.Name()
			return data, nil
		}
		if errors.Is(err, ErrAbsent) || ctx.Err() != nil {
			return nil, err
		}
		log.Debug("datasource does not answer", "datasource", s.Name(), "error", err)
		failed(err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// noAnswer is the error when no source has answered.
type noAnswer struct {
	errs   []error
	absent bool
}

func summary(sources []Source, errs []error) error {
	n := noAnswer{absent: true}
	for i, err := range errs {
		n.errs = append(n.errs, fmt.Errorf("%s: %w", sources[i].Name(), err))
		n.absent = n.absent && errors.Is(err, ErrAbsent)
	}
	return n
}

// Error has a line for each source.
func (n noAnswer) Error() string { return errors.Join(n.errs...).Error() }

// Is says ErrAbsent only when that is true of every source.
func (n noAnswer) Is(target error) bool { return target == ErrAbsent && n.absent }
