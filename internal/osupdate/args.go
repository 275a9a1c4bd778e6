package osupdate

// ArgsOptions are the options of the verb args: without Set it only answers.
type ArgsOptions struct {
	Set *string `json:"set,omitempty"` // the operator's kernel arguments from the next boot on
	Was string  `json:"was,omitempty"` // what they replace; refused if it is something else by now
}

// Args is what the verb args answers.
type Args struct {
	Args string `json:"args"`
}
