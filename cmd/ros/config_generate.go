package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/urfave/cli/v3"
)

func (a *app) configGenerateVerb() *cli.Command {
	return &cli.Command{
		Name:     "generate",
		Usage:    "fill a template with the environment",
		Category: configFiles,
		Description: `Reads a Go template (text/template) from standard input and prints it with the
variables of the environment filled in: {{.NAME}}.`,
		Metadata: examples("NAME=edge-7 ros config generate < edge.tmpl > edge.yml"),
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.configGenerate(os.Environ())
		},
	}
}

func (a *app) configGenerate(environ []string) error {
	_, text, err := a.input("")
	if err != nil {
		return err
	}
	tmpl, err := template.New("template").Parse(string(text))
	if err != nil {
		return fmt.Errorf("cannot use the template: %w", err)
	}
	env := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	if err := tmpl.Execute(a.stdout, env); err != nil {
		return fmt.Errorf("cannot fill the template: %w", err)
	}
	return nil
}
