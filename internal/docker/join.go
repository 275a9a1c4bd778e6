package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// manyNetworks is the first minor version of the API 1 that makes a container
// with more than one network: that of Docker 25.
const manyNetworks = 44

// endpoints are what a container is in its networks, by their names.
type endpoints map[string]json.RawMessage

// takeFurther takes out of a request what an older engine refuses in it: all
// networks but the first, which the container joins once it is made.
func (c *Client) takeFurther(ctx context.Context, body []byte) (rest []byte, further endpoints, err error) {
	var request struct {
		HostConfig       struct{ NetworkMode string }
		NetworkingConfig struct{ EndpointsConfig endpoints }
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, nil, fmt.Errorf("internal error: %w", err)
	}
	all := request.NetworkingConfig.EndpointsConfig
	if len(all) < 2 {
		return body, nil, nil
	}
	if minor, err := c.minor(ctx); err != nil || minor >= manyNetworks {
		return body, nil, err
	}
	name := request.HostConfig.NetworkMode
	first := endpoints{name: all[name]}
	delete(all, name)
	var whole map[string]any
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, nil, fmt.Errorf("internal error: %w", err)
	}
	whole["NetworkingConfig"] = map[string]any{"EndpointsConfig": first}
	rest, err = json.Marshal(whole)
	return rest, all, err
}

// minor is the second number of the version of the engine's API.
func (c *Client) minor(ctx context.Context) (int, error) {
	var version struct {
		API string `json:"ApiVersion"`
	}
	if err := c.call(ctx, "GET", "/version", nil, &version); err != nil {
		return 0, err
	}
	_, text, _ := strings.Cut(version.API, ".")
	minor, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("the engine has an API of version %q, which says nothing", version.API)
	}
	return minor, nil
}

// join lets a container that does not run yet into networks.
func (c *Client) join(ctx context.Context, id string, networks endpoints) error {
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		in := map[string]any{"Container": id, "EndpointConfig": networks[name]}
		if err := c.call(ctx, "POST", "/networks/"+url.PathEscape(name)+"/connect", in, nil); err != nil {
			return fmt.Errorf("network %q: %w", name, err)
		}
	}
	return nil
}
