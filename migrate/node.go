package migrate

import (
	"errors"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	strTag  = "!!str"
	nullTag = "!!null"
)

// child is the value of a key, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if i := index(n, key); i >= 0 {
		return n.Content[i+1]
	}
	return nil
}

func index(n *yaml.Node, key string) int {
	if n == nil || n.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// at follows keys downwards.
func at(n *yaml.Node, keys ...string) *yaml.Node {
	for _, k := range keys {
		n = child(n, k)
	}
	return n
}

// position is where a key stands, or past every end.
func position(n *yaml.Node, key string) int {
	if i := index(n, key); i >= 0 {
		return i
	}
	return math.MaxInt
}

func remove(n *yaml.Node, key string) {
	if i := index(n, key); i >= 0 {
		n.Content = slices.Delete(n.Content, i, i+2)
	}
}

// insert puts a key at a position, or at the end.
func insert(n *yaml.Node, at int, key string, value *yaml.Node) {
	at = min(at, len(n.Content))
	n.Content = slices.Insert(n.Content, at, scalar(key), value)
}

// text is the value of a scalar; empty for everything else, null included.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() == nullTag {
		return ""
	}
	return n.Value
}

func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == nullTag
}

// texts are the values of a list of scalars.
func texts(n *yaml.Node) []string {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	var all []string
	for _, item := range n.Content {
		all = append(all, text(item))
	}
	return all
}

// dictionary is a map of scalars.
func dictionary(n *yaml.Node) map[string]string {
	all := map[string]string{}
	for k, v := range pairs(n) {
		all[k.Value] = text(v)
	}
	return all
}

// pairs are the keys and values of a mapping.
func pairs(n *yaml.Node) func(yield func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

func scalar(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: strTag, Value: s}
	if strings.Contains(s, "\n") {
		n.Style = yaml.LiteralStyle
	}
	return n
}

func literal(tag, s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: s} }

func sequence(items []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, s := range items {
		n.Content = append(n.Content, scalar(s))
	}
	return n
}

// dict is a mapping of texts.
func dict(m map[string]string) *yaml.Node {
	n := mapping()
	for _, k := range sorted(m) {
		n.Content = append(n.Content, scalar(k), scalar(m[k]))
	}
	return n
}

// mapping is made of keys and nodes in turn.
func mapping(keysAndNodes ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(keysAndNodes); i += 2 {
		n.Content = append(n.Content, scalar(keysAndNodes[i].(string)), keysAndNodes[i+1].(*yaml.Node))
	}
	return n
}

func walk(n *yaml.Node, visit func(*yaml.Node)) {
	if n == nil {
		return
	}
	visit(n)
	for _, c := range n.Content {
		walk(c, visit)
	}
}

// mostNodes bounds what aliases can blow a document up to.
const mostNodes = 200_000

// plain is a copy without anchors: aliases are replaced by what they stand for, and merge keys by what they bring.
func plain(n *yaml.Node) (*yaml.Node, error) {
	left := mostNodes
	return expand(n, &left)
}

func expand(n *yaml.Node, left *int) (*yaml.Node, error) {
	if n == nil {
		return nil, nil
	}
	if *left--; *left < 0 {
		return nil, errors.New("its YAML aliases expand to too much: write it without aliases")
	}
	if n.Kind == yaml.AliasNode {
		return expand(n.Alias, left)
	}
	c := *n
	c.Anchor, c.Content = "", nil
	for _, item := range n.Content {
		e, err := expand(item, left)
		if err != nil {
			return nil, err
		}
		c.Content = append(c.Content, e)
	}
	if c.Kind == yaml.MappingNode {
		flatten(&c)
	}
	return &c, nil
}

// flatten replaces the merge keys of a mapping. A key of its own wins, and of several merged mappings the first one.
func flatten(n *yaml.Node) {
	for i := index(n, "<<"); i >= 0; i = index(n, "<<") {
		merged := n.Content[i+1]
		n.Content = slices.Delete(n.Content, i, i+2)
		from := []*yaml.Node{merged}
		if merged.Kind == yaml.SequenceNode {
			from = merged.Content
		}
		for _, m := range from {
			for k, v := range pairs(m) {
				if index(n, k.Value) < 0 {
					n.Content = append(n.Content, k, v)
				}
			}
		}
	}
}

// overlay lays a patch over a mapping as a JSON merge patch does: mappings are merged, a null removes, the rest replaces.
func overlay(n, patch *yaml.Node) {
	for k, v := range pairs(patch) {
		have := child(n, k.Value)
		switch {
		case isNull(v):
			remove(n, k.Value)
		case have != nil && have.Kind == yaml.MappingNode && v.Kind == yaml.MappingNode:
			overlay(have, v)
		case have != nil:
			n.Content[index(n, k.Value)+1] = v
		default:
			n.Content = append(n.Content, k, v)
		}
	}
}
