package main

import "slices"

// verbs is the table of all that the worker can do.
func verbs() []verb {
	return slices.Concat(slotVerbs(), pauseVerbs(), []verb{
		{name: "install", alone: true, run: runInstall},
		{name: "upgrade", alone: true, run: runUpgrade},
		{name: "verify", alone: true, run: runVerify},
		{name: "list", run: runList},
		{name: "args", alone: true, run: runArgs},
	})
}
