package userdata

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/yamldoc"
)

// FromCompose makes a cloud-config of a Compose file: its services, in the
// notation of version 1 or later, become rancher.services.
func FromCompose(data []byte) ([]byte, error) {
	// What is wrong within a file that can be read is for those who load it.
	if readable, faults := yamldoc.Parse(data); readable == nil {
		return nil, composeError(faults[0])
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("compose file: %w", err)
	}
	services := doc.Content[0]
	for i := 0; i+1 < len(services.Content); i += 2 {
		if services.Content[i].Value == "services" {
			services = services.Content[i+1]
			break
		}
	}
	if services.Kind != yaml.MappingNode {
		return nil, errors.New(`compose file: "services" must be a mapping of services`)
	}
	text, err := yaml.Marshal(mapping("rancher", mapping("services", services)))
	if err != nil {
		return nil, fmt.Errorf("compose file: %w", err)
	}
	text = append([]byte("#cloud-config\n"), text...)
	// Aliases of what stood outside the services lead nowhere now.
	if readable, faults := yamldoc.Parse(text); readable == nil {
		return nil, fmt.Errorf("compose file: aliases must stay within \"services\": %s", faults[0].Message)
	}
	return text, nil
}

func composeError(f yamldoc.Fault) error {
	if f.Line == 0 {
		return fmt.Errorf("compose file %s", f.Message)
	}
	return fmt.Errorf("compose file, line %d: %s", f.Line, f.Message)
}

func mapping(key string, value *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		{Kind: yaml.ScalarNode, Value: key}, value,
	}}
}
