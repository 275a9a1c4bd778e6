package engine

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/compose"
)

// ImageOf returns the image that the service file of an engine names: that of
// the service docker, or of the only one. RancherOS's files (services without a
// key above them) are read too; what else stands in a file is of no account,
// for the service is always that of the OS. Variables are filled in from env.
func ImageOf(text []byte, env map[string]string) (string, error) {
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", fmt.Errorf("it is no service file: %w", err)
	}
	services, ok := file["services"].(map[string]any)
	if !ok {
		services = file
	}
	images := map[string]string{}
	for name, value := range services {
		service, _ := value.(map[string]any)
		if image, _ := service["image"].(string); image != "" {
			images[name] = image
		}
	}
	if image := images[Service]; image != "" {
		return fill(Service, image, env)
	}
	if len(images) != 1 {
		return "", errors.New("it names no image for the service docker")
	}
	for name, image := range images {
		return fill(name, image, env)
	}
	return "", nil
}

func fill(service, image string, env map[string]string) (string, error) {
	filled, err := compose.Fill(image, env)
	if err != nil {
		return "", fmt.Errorf("the image of %s: %w", service, err)
	}
	return filled, nil
}
