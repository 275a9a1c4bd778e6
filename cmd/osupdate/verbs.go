package main

// verbs is the table of all that the worker can do.
func verbs() []verb {
	return []verb{
		{name: "install", alone: true, run: runInstall},
	}
}
