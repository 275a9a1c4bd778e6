package datasource

import "context"

// exoscale is the metadata service of Exoscale.
type exoscale struct{ client Client }

func newExoscale(_ Machine, argument string) (Source, error) {
	c, err := service(argument, linkLocal)
	return exoscale{c}, err
}

func (exoscale) Name() string { return "exoscale" }

func (s exoscale) Fetch(ctx context.Context) (*Data, error) {
	return instanceTree{
		client:   s.client,
		meta:     "1.0/meta-data/",
		user:     "1.0/user-data",
		hostname: "local-hostname",
		keys:     "public-keys",
	}.data(ctx)
}
