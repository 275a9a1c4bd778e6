package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/rosteros/ros/internal/control"
)

// daemon is rosd as the verbs see it.
func (a *app) daemon() client { return client{a.socket} }

// explain turns an error of a talk with rosd into what the operator should
// read: what could not be done ("list the services"), why, and what next.
func (a *app) explain(doing string, err error) error {
	return a.explainSocket(peer{"rosd", a.socket, "root and group ros may", "ros service logs rosd"}, doing, err)
}

// peer is one of the two that ros talks to.
type peer struct {
	name   string
	socket string
	may    string // who may talk to it
	next   string // what to do when it does not answer
}

func (a *app) explainSocket(p peer, doing string, err error) error {
	var refused *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		// rosd's errors already say what it cannot do.
		if strings.HasPrefix(refused.message, "cannot ") {
			return err
		}
		if refused.status == 403 {
			return &fault{err: fmt.Errorf("cannot %s: %w", doing, err), try: "sudo " + typed(a.argv), code: exitFailed}
		}
	case errors.Is(err, os.ErrPermission):
		return &fault{
			err:  fmt.Errorf("cannot %s: no permission for %s (%s)", doing, p.socket, p.may),
			try:  "sudo " + typed(a.argv),
			code: exitFailed,
		}
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &fault{
			err:  fmt.Errorf("cannot %s: %s does not run (nothing listens at %s)", doing, p.name, p.socket),
			try:  p.next,
			code: exitUnreachable,
		}
	case gone(err):
		return &fault{
			err:  fmt.Errorf("cannot %s: %s went away meanwhile", doing, p.name),
			try:  p.next,
			code: exitUnreachable,
		}
	}
	return fmt.Errorf("cannot %s: %w", doing, err)
}

// explainNamed is explain for a request about one service; when there is no
// such service it says which one may have been meant.
func (a *app) explainNamed(ctx context.Context, doing, name string, err error) error {
	var refused *refusal
	if errors.As(err, &refused) && refused.status == 404 {
		if services, err := a.daemon().services(ctx); err == nil && !hasService(services, name) {
			return unknownService(doing, name, serviceNames(services))
		}
	}
	return a.explain(fmt.Sprintf("%s service %q", doing, name), err)
}

func unknownService(doing, name string, known []string) error {
	try := "ros service list"
	if near := nearest(name, known); near != "" {
		try = fmt.Sprintf("%q; ros service list shows all", near)
	}
	return &fault{
		err:  fmt.Errorf("cannot %s service %q: no service has that name", doing, name),
		try:  try,
		code: exitFailed,
	}
}

// pick returns the services that were named, in that order, or all of them
// when none was.
func pick(doing string, services []control.Service, names []string) ([]control.Service, error) {
	if len(names) == 0 {
		return services, nil
	}
	picked := []control.Service{}
	for _, name := range names {
		if !hasService(services, name) {
			return nil, unknownService(doing, name, serviceNames(services))
		}
		for _, s := range services {
			if s.Name == name {
				picked = append(picked, s)
			}
		}
	}
	return picked, nil
}

func hasService(services []control.Service, name string) bool {
	for _, s := range services {
		if s.Name == name {
			return true
		}
	}
	return false
}

func serviceNames(services []control.Service) []string {
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	return names
}
