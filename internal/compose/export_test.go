package compose

// The tables of keys, for the test that compares them with the documentation.
var (
	Supported = supported
	Refused   = refused
)
