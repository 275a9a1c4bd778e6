package main

import (
	"os"
	"slices"
	"testing"
)

// echo x | ros service exec web cat: the screen is a terminal, the input is not.
func TestExecAsksForATerminal(t *testing.T) {
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	a := newApp(t, nil)
	a.terminal = true
	if got, want := a.execArguments(), []string{"exec", "-i"}; !slices.Equal(got, want) {
		t.Errorf("of a pipe: %q, want %q", got, want)
	}
	a.stdin = screen
	if got, want := a.execArguments(), []string{"exec", "-i", "-t"}; !slices.Equal(got, want) {
		t.Errorf("at a terminal: %q, want %q", got, want)
	}
	a.terminal = false
	if got, want := a.execArguments(), []string{"exec", "-i"}; !slices.Equal(got, want) {
		t.Errorf("into a pipe: %q, want %q", got, want)
	}
}
