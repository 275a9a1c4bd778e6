package main

import "slices"

// verbs is the table of all that the worker can do.
func verbs() []verb {
	return slices.Concat(slotVerbs(), []verb{
		{name: "install", alone: true, run: runInstall},
	})
}
