package main

import "slices"

// verbs is the table of all that the worker can do.
func verbs() []verb {
	return slices.Concat(slotVerbs(), []verb{
		{name: "args", alone: true, run: runArgs},
		{name: "install", alone: true, run: runInstall},
	})
}
