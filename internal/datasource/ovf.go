package datasource

import (
	"encoding/xml"
	"fmt"
)

// ovfProperties are the properties in an OVF environment, the document that an
// appliance finds its settings in.
func ovfProperties(text []byte) (map[string]string, error) {
	var environment struct {
		Properties []struct {
			Key   string `xml:"key,attr"`
			Value string `xml:"value,attr"`
		} `xml:"PropertySection>Property"`
	}
	if err := xml.Unmarshal(text, &environment); err != nil {
		return nil, fmt.Errorf("cannot read the OVF environment: %w", err)
	}
	properties := make(map[string]string)
	for _, p := range environment.Properties {
		properties[p.Key] = p.Value
	}
	return properties, nil
}
