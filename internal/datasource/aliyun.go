package datasource

import (
	"context"
	"net/http"
	"strings"
)

// aliyun is the metadata service of Alibaba Cloud. Machines in its "security
// hardening mode" need a token; the others take one, except in regions that do
// not know tokens yet.
type aliyun struct{ client Client }

func newAliyun(_ Machine, argument string) (Source, error) {
	c, err := service(argument, "http://100.100.100.200")
	return aliyun{c}, err
}

func (aliyun) Name() string { return "aliyun" }

func (s aliyun) Fetch(ctx context.Context) (*Data, error) {
	c := s.client
	token, err := c.Do(ctx, http.MethodPut, "latest/api/token", nil, "X-aliyun-ecs-metadata-token-ttl-seconds", "300")
	switch {
	case err == nil:
		c.Header = []string{"X-aliyun-ecs-metadata-token", strings.TrimSpace(string(token))}
	case !answered(err):
		return nil, err
	}
	return instanceTree{
		client:   c,
		meta:     "2016-01-01/meta-data/",
		user:     "2016-01-01/user-data",
		hostname: "hostname",
		keys:     "public-keys/",
	}.data(ctx)
}
