package repository

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// login gets into a registry: with name and password, or with a token that it
// fetches from where the registry says (distribution's "token authentication").
type login struct {
	client         *http.Client
	repository     string
	name, password string

	mu     sync.Mutex
	header string // of Authorization, as it worked last
}

// do sends a request. If the registry wants a login, it logs in and sends it
// again.
func (l *login) do(req *http.Request) (*http.Response, error) {
	resp, err := l.send(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	challenge := resp.Header.Get("WWW-Authenticate")
	_ = resp.Body.Close() // it only says no
	header, err := l.answer(req, challenge)
	if err != nil {
		return nil, fmt.Errorf("log in to %s: %w", req.URL.Host, err)
	}
	l.mu.Lock()
	l.header = header
	l.mu.Unlock()
	return l.send(req)
}

func (l *login) send(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	l.mu.Lock()
	header := l.header
	l.mu.Unlock()
	if header != "" {
		// net/http leaves it out when it is sent on to another host.
		req.Header.Set("Authorization", header)
	}
	return l.client.Do(req)
}

// answer makes the Authorization header that a challenge asks for.
func (l *login) answer(req *http.Request, challenge string) (string, error) {
	scheme, parameters, _ := strings.Cut(challenge, " ")
	switch strings.ToLower(scheme) {
	case "basic":
		if l.name == "" {
			return "", errors.New("it wants a name and a password")
		}
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(l.name, l.password)
		return r.Header.Get("Authorization"), nil
	case "bearer":
		return l.token(req, parse(parameters))
	}
	return "", fmt.Errorf("it wants %q, which is not known here", challenge)
}

// token fetches a token. Without name and password it is one for everybody.
func (l *login) token(req *http.Request, challenge map[string]string) (string, error) {
	realm, err := url.Parse(challenge["realm"])
	if err != nil || realm.Host == "" {
		return "", fmt.Errorf("it names no place to log in: %q", challenge["realm"])
	}
	if realm.Scheme != "https" && req.URL.Scheme == "https" {
		return "", fmt.Errorf("it sends us to %s, which is not encrypted", realm)
	}
	q := realm.Query()
	if challenge["service"] != "" {
		q.Set("service", challenge["service"])
	}
	q.Set("scope", "repository:"+l.repository+":pull")
	realm.RawQuery = q.Encode()
	ask, err := http.NewRequestWithContext(req.Context(), http.MethodGet, realm.String(), nil)
	if err != nil {
		return "", err
	}
	if l.name != "" {
		ask.SetBasicAuth(l.name, l.password)
	}
	resp, err := l.client.Do(ask)
	if err != nil {
		return "", plain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", &StatusError{realm.Host, resp.StatusCode}
	}
	var token struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&token); err != nil {
		return "", err
	}
	if token.Token == "" {
		token.Token = token.AccessToken
	}
	if token.Token == "" {
		return "", fmt.Errorf("%s gives no token", realm.Host)
	}
	return "Bearer " + token.Token, nil
}

// parse reads the parameters of a challenge: realm="…",service="…".
func parse(text string) map[string]string {
	values := map[string]string{}
	for text != "" {
		name, rest, ok := strings.Cut(strings.TrimLeft(text, " ,"), "=")
		if !ok {
			break
		}
		value := ""
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			value, text, _ = strings.Cut(quoted, `"`)
		} else {
			value, text, _ = strings.Cut(rest, ",")
		}
		values[strings.ToLower(strings.TrimSpace(name))] = value
	}
	return values
}
