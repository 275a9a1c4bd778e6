package loader

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"go.yaml.in/yaml/v4"

	"github.com/rosteros/ros/internal/compose"
	"github.com/rosteros/ros/internal/project"
	"github.com/rosteros/ros/internal/yamldoc"
)

// resolve writes a file out as package compose reads it: compose-go says what
// comes of extends and include, and origins where each part of that stands.
func resolve(ctx context.Context, req project.Request) compose.Resolved {
	if req.Home != "" {
		req.Dir, req.Remote = req.Home, true
	}
	env, err := environment(req)
	if err != nil {
		return compose.Resolved{Faults: []compose.Fault{{File: req.Path, Message: err.Error()}}}
	}
	o, faults := findOrigins(req, env)
	if len(faults) > 0 {
		return compose.Resolved{Faults: faults}
	}
	model, err := readModel(ctx, req, env)
	if err != nil {
		path, message := explained(err)
		if len(path) == 0 && len(o.top("include")) > 0 {
			path = yamldoc.Path{"include"}
		}
		return compose.Resolved{Faults: []compose.Fault{o.fault(path, message)}}
	}
	text, places, err := writeOut(model, o)
	if err != nil {
		return compose.Resolved{Faults: []compose.Fault{{File: req.Path, Message: err.Error()}}}
	}
	return compose.Resolved{Text: text, Places: places}
}

// readModel lets compose-go put a file together. Whether the outcome makes sense
// is not asked here: package compose knows, and where it stands.
func readModel(ctx context.Context, req project.Request, env map[string]string) (model map[string]any, err error) {
	defer func() { // it takes the types in extends and include for granted when it does not validate
		if p := recover(); p != nil {
			err = fmt.Errorf("compose-go cannot read it: %v", p)
		}
	}()
	return loader.LoadModelWithContext(ctx, details(req, env), options(req, env), func(o *loader.Options) {
		o.SkipValidation, o.SkipNormalization, o.SkipConsistencyCheck, o.SkipDefaultValues = true, true, true, true
	})
}

// writeOut is the text of a model, and where all of it stands.
func writeOut(model map[string]any, o *origins) ([]byte, map[string]compose.Place, error) {
	text, err := yaml.Marshal(model)
	if err != nil {
		return nil, nil, fmt.Errorf("internal error: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, nil, fmt.Errorf("internal error: %w", err)
	}
	w := writer{places: map[string]compose.Place{}, env: o.env}
	for _, pair := range pairs(doc.Content[0]) {
		top := pair.key.Value
		if top != "services" {
			w.write(pair.value, yamldoc.Path{top}, o.top(top))
			continue
		}
		for _, s := range pairs(pair.value) {
			w.write(s.value, yamldoc.Path{top, s.key.Value}, o.services[s.key.Value])
		}
	}
	dropValues(doc.Content[0])
	text, err = yaml.Marshal(&doc)
	return text, w.places, err
}

// dropValues takes the variables out that configs and secrets are to have their
// content of: they count as they are when the service starts.
func dropValues(root *yaml.Node) {
	for _, top := range pairs(root) {
		if top.key.Value != "configs" && top.key.Value != "secrets" {
			continue
		}
		for _, object := range pairs(top.value) {
			if value(object.value, "environment") != nil {
				drop(object.value, "content")
				drop(object.value, "x-#value")
			}
		}
	}
}

// writer gives the nodes of a model their places.
type writer struct {
	places map[string]compose.Place
	env    map[string]string
}

// write looks at one node; from are the places that it can be from, the one that
// counts most first.
func (w writer) write(n *yaml.Node, path yamldoc.Path, from []origin) {
	if len(from) > 0 {
		w.places[path.String()] = from[0].place(path)
	}
	if len(path) == 4 && path[0] == "services" && path[2] == "volumes" && len(from) > 0 {
		w.keepOptions(n, from[0])
	}
	switch parts := partsOf(from); n.Kind {
	case yaml.MappingNode:
		for _, p := range pairs(n) {
			w.write(p.value, append(path[:len(path):len(path)], p.key.Value), keyOf(parts, p.key.Value))
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			w.write(item, append(path[:len(path):len(path)], "["+strconv.Itoa(i)+"]"), entry(parts, n, i))
		}
	case yaml.ScalarNode:
		if n.ShortTag() == "!!str" { // it has been filled in and would be so again
			n.Value = strings.ReplaceAll(n.Value, "$", "$$")
		} else if len(from) > 0 {
			asWritten(n, from[0])
		}
	}
}

// keepOptions gives a volume its short form back: of its options compose-go drops
// those that it does not know, without a word.
func (w writer) keepOptions(n *yaml.Node, from origin) {
	if n.Kind != yaml.MappingNode || from.at.Kind() != yamldoc.Scalar {
		return
	}
	text, err := compose.Fill(from.at.Text(), w.env)
	parts := strings.Split(text, ":")
	source, target := value(n, "source"), value(n, "target")
	if err != nil || len(parts) != 3 || source == nil || target == nil {
		return
	}
	*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: source.Value + ":" + target.Value + ":" + parts[2]}
}

// asWritten gives a number back its digits: 0440 is a mode and 288 is none.
func asWritten(n *yaml.Node, from origin) {
	if from.at.Kind() != yamldoc.Scalar || from.at.Tag() == "!!str" {
		return
	}
	var here, there any
	if n.Decode(&here) == nil && yaml.Unmarshal([]byte(from.at.Text()), &there) == nil && reflect.DeepEqual(here, there) {
		n.Value = from.at.Text()
	}
}

type pair struct{ key, value *yaml.Node }

func pairs(n *yaml.Node) (list []pair) {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		list = append(list, pair{n.Content[i], n.Content[i+1]})
	}
	return list
}

func value(n *yaml.Node, key string) *yaml.Node {
	for _, p := range pairs(n) {
		if p.key.Value == key {
			return p.value
		}
	}
	return nil
}

func drop(n *yaml.Node, key string) {
	for i := len(n.Content) - 2; i >= 0; i -= 2 {
		if n.Content[i].Value == key {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
		}
	}
}
