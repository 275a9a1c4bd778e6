// Command project reads a Compose file for the user's engine: a
// project.Request on standard input, a project.Result on standard output.
//
// rosd runs it when a service file with services of scope user is new or has
// changed. It is a program of its own because it links all of compose-go, which
// rosd would pay for in memory for as long as the machine runs.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/sirupsen/logrus"

	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/project/loader"
)

func main() {
	logrus.SetOutput(io.Discard) // compose-go warns where the loader refuses
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "project: %v\n", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var req project.Request
	if err := json.NewDecoder(in).Decode(&req); err != nil {
		return fmt.Errorf("cannot read the request: %w", err)
	}
	return json.NewEncoder(out).Encode(loader.Load(context.Background(), req))
}
