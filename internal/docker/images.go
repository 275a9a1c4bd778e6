package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/distribution/reference"

	"github.com/rosteros/ros/internal/images"
)

// Step is a step of a pull.
type Step = images.Event

// Login is how a registry knows us.
type Login struct {
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
	ServerAddress string `json:"serveraddress,omitempty"`
}

// Image is an image of the engine by its content; IsNotFound says that there is
// none of that name.
func (c *Client) Image(ctx context.Context, name string) (pin string, err error) {
	image, err := c.inspectImage(ctx, name)
	if err != nil {
		return "", err
	}
	repository, _, _ := strings.Cut(name, "@")
	if colon := strings.LastIndexByte(repository, ':'); colon > strings.LastIndexByte(repository, '/') {
		repository = repository[:colon]
	}
	for _, d := range image.RepoDigests {
		if have, digest, ok := strings.Cut(d, "@"); ok && same(have, repository) {
			return repository + "@" + digest, nil
		}
	}
	return image.ID, nil // it was loaded or built here
}

// same says whether two names are of one repository: the engine leaves out
// docker.io/library, which service files may have.
func same(a, b string) bool {
	one, err1 := reference.ParseNormalizedNamed(a)
	other, err2 := reference.ParseNormalizedNamed(b)
	return err1 == nil && err2 == nil && one.Name() == other.Name()
}

// image is what the engine says about one.
type image struct {
	ID          string `json:"Id"`
	RepoDigests []string
}

func (c *Client) inspectImage(ctx context.Context, name string) (i image, err error) {
	err = c.call(ctx, "GET", "/images/"+url.PathEscape(name)+"/json", nil, &i)
	return i, err
}

// Pull is that of Client. Containers that were made of the image by its name have
// another definition when it is another one by now.
func (r *Runtime) Pull(ctx context.Context, name, platform string, login Login, say func(Step)) (pin string, err error) {
	pin, err = r.Client.Pull(ctx, name, platform, login, say)
	if err != nil {
		return "", err
	}
	now, err := r.inspectImage(ctx, name)
	if err != nil {
		return "", err
	}
	r.know(name, now.ID)
	return pin, nil
}

func (r *Runtime) know(image, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[image] = id
}

// Pull gets an image from its registry. When the registry does not have it, or
// cannot be reached, the one that is there will do only if somebody says so:
// this is an error.
func (c *Client) Pull(ctx context.Context, name, platform string, login Login, say func(Step)) (pin string, err error) {
	if err := c.pull(ctx, name, platform, login, say); err != nil {
		return "", fmt.Errorf("cannot pull image %q: %w", name, err)
	}
	return c.Image(ctx, name)
}

func (c *Client) pull(ctx context.Context, name, platform string, login Login, say func(Step)) error {
	if !strings.Contains(name, "@") && strings.LastIndexByte(name, ':') <= strings.LastIndexByte(name, '/') {
		name += ":latest" // without a tag the engine would pull all of them
	}
	query := url.Values{"fromImage": {name}}
	if platform != "" {
		query.Set("platform", platform)
	}
	header := http.Header{}
	if login.Username != "" || login.IdentityToken != "" || login.RegistryToken != "" {
		text, err := json.Marshal(login)
		if err != nil {
			return err
		}
		header.Set("X-Registry-Auth", base64.URLEncoding.EncodeToString(text))
	}
	body, err := c.send(ctx, "POST", "/images/create?"+query.Encode(), nil, header)
	if err != nil {
		return err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var line struct {
			ID, Status, Error string
			ProgressDetail    struct{ Current, Total int64 }
		}
		switch err := dec.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return down(ctx, err)
		case line.Error != "":
			return errors.New(line.Error)
		}
		say(Step{Layer: line.ID, Status: line.Status, Current: line.ProgressDetail.Current, Total: line.ProgressDetail.Total})
	}
}
