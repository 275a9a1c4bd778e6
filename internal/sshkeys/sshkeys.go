// Package sshkeys reads texts with SSH public keys, one on each line, as
// authorized_keys files and clouds have them (sshd(8), AUTHORIZED_KEYS FILE
// FORMAT).
//
// Whether a line is a key is for package config, who may log in with it for
// package accounts.
package sshkeys

import "strings"

// Lines are the lines of a text that may have a key, without the space around
// them: neither empty ones nor comments.
func Lines(text string) []string {
	var keys []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			keys = append(keys, line)
		}
	}
	return keys
}
