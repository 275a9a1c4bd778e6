package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Labelled is a container with its labels.
type Labelled struct {
	ID     string
	Name   string
	Labels map[string]string
}

// Labelled returns the containers that have a label, running or not.
func (c *Client) Labelled(ctx context.Context, label string) ([]Labelled, error) {
	var answer []struct {
		ID     string `json:"Id"`
		Names  []string
		Labels map[string]string
	}
	if err := c.call(ctx, "GET", "/containers/json?all=1&"+filters(map[string][]string{"label": {label}}).Encode(), nil, &answer); err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", err)
	}
	var list []Labelled
	for _, a := range answer {
		l := Labelled{ID: a.ID, Name: a.ID, Labels: a.Labels}
		if len(a.Names) > 0 {
			l.Name = strings.TrimPrefix(a.Names[0], "/")
		}
		list = append(list, l)
	}
	return list, nil
}

// Actions are what Act can do.
var Actions = []string{"start", "restart", "stop"}

// Act starts, restarts or stops a container, which has some seconds to end.
// Starting one that runs does nothing.
func (c *Client) Act(ctx context.Context, id, action string, seconds int) error {
	if !slices.Contains(Actions, action) {
		return fmt.Errorf("cannot %q a container: there are %s", action, strings.Join(Actions, ", "))
	}
	path := "/containers/" + url.PathEscape(id) + "/" + action
	if action != "start" {
		path += "?t=" + strconv.Itoa(seconds)
	}
	return c.call(ctx, "POST", path, nil, nil)
}

// Changes tells of every container that is made or removed, until the engine
// ends or ctx does, which is the error it returns.
func (c *Client) Changes(ctx context.Context, changed func()) error {
	of := filters(map[string][]string{"type": {"container"}, "event": {"create", "destroy"}})
	body, err := c.open(ctx, "GET", "/events?"+of.Encode(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	changed() // what happened before there was somebody to tell
	for in := json.NewDecoder(body); ; {
		var event struct{ Action string }
		if err := in.Decode(&event); err != nil {
			return err
		}
		changed()
	}
}
