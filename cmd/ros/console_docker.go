package main

import (
	"fmt"

	"github.com/rosteros/ros/internal/console"
)

// dockerName is the name by which this program starts Docker's command in a
// console: that is a program of our base image, and there it has its libraries.
const dockerName = "docker"

func (a *app) docker(argv []string) int {
	words, err := console.DockerCLI(a.layersDir)
	if err == nil {
		err = a.turnInto(words[0], append(words, argv[1:]...), a.environ())
	}
	fmt.Fprintf(a.stderr, "docker: cannot start: %v\n", err)
	return exitFailed
}
