package modules

// Fnmatch is for the tests of the matcher alone.
func Fnmatch(pattern, s string) bool { return fnmatch([]byte(pattern), s) }
