package project_test

import (
	"strings"
	"testing"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
)

// What secrets say is not for people who look at a service.
func TestShown(t *testing.T) {
	s, err := project.With(compose.Service{Name: "a"}, project.Container{Name: "a-1", Files: []project.File{{Path: "/run/secrets/word", Text: []byte("hush"), Mode: 0o400}}})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := project.Shown(s)
	if err != nil || strings.Contains(string(shown.Engine), "aHVzaA") || !strings.Contains(string(shown.Engine), "/run/secrets/word") {
		t.Errorf("shown is %s, %v", shown.Engine, err)
	}
	if c, err := project.Of(s); err != nil || string(c.Files[0].Text) != "hush" {
		t.Errorf("and the service itself has lost it: %+v, %v", c, err)
	}
	if shown, err = project.Shown(compose.Service{Name: "b"}); err != nil || shown.Name != "b" {
		t.Errorf("a service of the OS: %+v, %v", shown, err)
	}
}
