package main

import (
	"context"
	"fmt"
	"time"
)

// waitForDockerName is the name by which this program waits until the user's
// engine answers, for scripts that know RancherOS.
const waitForDockerName = "wait-for-docker"

// engineBeat is how long one question to the engine may take, and how long
// there is none after it.
const engineBeat = time.Second

// waitForDocker ends when the engine answers, and not before.
func (a *app) waitForDocker(ctx context.Context) int {
	engine := client{a.engineSocket}
	for {
		one, cancel := context.WithTimeout(ctx, engineBeat)
		answer, err := engine.open(one, "GET", "/_ping", nil)
		if err == nil {
			answer.Close()
		}
		cancel()
		switch {
		case err == nil:
			return exitDone
		case ctx.Err() != nil:
			fmt.Fprintf(a.stderr, "%s: %v\n", waitForDockerName, err)
			return exitFailed
		}
		time.Sleep(engineBeat)
	}
}
