package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/rosteros/ros/internal/fetch"
	"github.com/rosteros/ros/internal/yamldoc"
)

// List is a list of releases, releases.yml as RancherOS had it: references
// that Open takes.
type List struct {
	Current   string
	Available []string
}

// ReadList reads the list at an address or in a file. running is the version
// that asks; a server is told, as RancherOS did.
func ReadList(ctx context.Context, place, running string, client *http.Client) (List, error) {
	text, err := fetchList(ctx, place, running, client)
	var l List
	if err == nil {
		l, err = ParseList(place, text)
	}
	if err != nil {
		return List{}, fmt.Errorf("cannot read the list of releases: %w", err)
	}
	return l, nil
}

func fetchList(ctx context.Context, place, running string, client *http.Client) ([]byte, error) {
	if !isURL(place) {
		return yamldoc.Read(place)
	}
	u, err := url.Parse(place)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	query.Set("current", running)
	u.RawQuery = query.Encode()
	return fetch.Text(ctx, u.String(), client)
}

func isURL(place string) bool {
	return strings.HasPrefix(place, "https://") || strings.HasPrefix(place, "http://")
}

// ParseList reads a list: every fault is reported with its line and key. A key
// that it does not know is none: a list must not lose the machines of today when
// it says more to those of tomorrow. References that begin with ./ or ../ are taken from where the list is.
func ParseList(place string, text []byte) (List, error) {
	doc, faults := yamldoc.Parse(text)
	var l List
	if doc != nil {
		l, faults = readList(doc.Root(), faults)
	}
	if len(faults) > 0 {
		var errs []error
		for _, f := range faults {
			at := fmt.Sprintf("%s:%d", place, f.Line)
			if len(f.Path) > 0 {
				at += ": " + f.Path.String()
			}
			errs = append(errs, fmt.Errorf("%s: %s", at, f.Message))
		}
		return List{}, errors.Join(errs...)
	}
	for i, ref := range l.Available {
		l.Available[i] = relative(place, ref)
	}
	l.Current = relative(place, l.Current)
	return l, nil
}

func readList(root yamldoc.Value, faults []yamldoc.Fault) (List, []yamldoc.Fault) {
	var l List
	var meant []yamldoc.Fault // keys that may have been meant to be "current"
	text := func(v yamldoc.Value) string {
		if v.Kind() != yamldoc.Scalar || strings.TrimSpace(v.Text()) == "" {
			faults = append(faults, v.Fault("must be the reference of a release"))
		}
		return v.Text()
	}
	for _, p := range root.Pairs() {
		switch p.Key {
		case "current":
			l.Current = text(p.Value)
		case "available":
			if p.Value.Kind() != yamldoc.List {
				faults = append(faults, p.Value.Fault("must be a list of references"))
				continue
			}
			for _, item := range p.Value.Items() {
				l.Available = append(l.Available, text(item))
			}
		default:
			if yamldoc.Nearest(p.Key, []string{"current"}) != "" {
				meant = append(meant, p.Value.Fault(`there is no such key; did you mean "current"?`))
			}
		}
	}
	if l.Current == "" && len(faults) == 0 {
		faults = meant
		if len(meant) == 0 {
			faults = append(faults, root.Fault("it names no current release"))
		}
	}
	return l, faults
}

// relative is a reference as seen from where the list is.
func relative(place, ref string) string {
	if !strings.HasPrefix(ref, "./") && !strings.HasPrefix(ref, "../") {
		return ref
	}
	if !isURL(place) {
		return filepath.Join(filepath.Dir(place), ref)
	}
	base, err := url.Parse(place)
	if err != nil {
		return ref
	}
	at, err := base.Parse(ref)
	if err != nil {
		return ref
	}
	return at.String()
}
