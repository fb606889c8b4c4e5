package edit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds what a file may grow to when its aliases are followed; maxDepth how deep it may be nested.
const (
	maxValues = 500_000
	maxDepth  = 1000
)

// A tree is what a file says, aliases followed and merge keys applied: map[string]tree, []tree, or a scalar.
type tree any

type scalar struct{ tag, value string }

type grower struct{ values int }

// grow makes the tree of a node.
func (g *grower) grow(n *yaml.Node, depth int) (tree, error) {
	if g.values++; g.values > maxValues || depth > maxDepth {
		return nil, &Refusal{Reason: errBudget.Error()}
	}
	switch n = resolved(n); n.Kind {
	case yaml.MappingNode:
		return g.mapping(n, depth)
	case yaml.SequenceNode:
		list := make([]tree, len(n.Content))
		for i, c := range n.Content {
			var err error
			if list[i], err = g.grow(c, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	default:
		return scalar{n.ShortTag(), n.Value}, nil
	}
}

func (g *grower) mapping(n *yaml.Node, depth int) (tree, error) {
	m := map[string]tree{}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() == mergeTag {
			continue
		}
		v, err := g.grow(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		m[freeKey(m, keyName(n.Content[i], i))] = v
	}
	for _, source := range merged(n) {
		t, err := g.grow(source, depth+1)
		if err != nil {
			return nil, err
		}
		from, _ := t.(map[string]tree)
		for k, v := range from {
			if _, set := m[k]; !set {
				m[k] = v
			}
		}
	}
	return m, nil
}

// mergeSources are the mappings that the value of a merge key names.
func mergeSources(n *yaml.Node) []*yaml.Node {
	n = resolved(n)
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var out []*yaml.Node
	for _, m := range list {
		if m = resolved(m); m.Kind == yaml.MappingNode {
			out = append(out, m)
		}
	}
	return out
}

func keyName(k *yaml.Node, i int) string {
	if k = resolved(k); k.Kind == yaml.ScalarNode {
		return keyText(k)
	}
	return "?" + strconv.Itoa(i/2)
}

// freeKey keeps keys that stand twice apart; what they hold must not change either.
func freeKey(m map[string]tree, key string) string {
	for _, taken := m[key]; taken; _, taken = m[key] {
		key += " (again)"
	}
	return key
}

// trees are those of all documents.
func (f *file) trees() ([]tree, error) {
	var g grower
	list := make([]tree, len(f.docs))
	for i, d := range f.docs {
		var err error
		if list[i], err = g.grow(d.Content[0], 0); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// diff names the values in which two trees differ, by canonical paths.
func diff(path string, a, b tree) []string {
	if m, ok := b.(map[string]tree); ok && absent(a) && len(m) > 0 {
		a = map[string]tree{}
	}
	if l, ok := b.([]tree); ok && absent(a) && len(l) > 0 {
		a = []tree{}
	}
	switch a := a.(type) {
	case map[string]tree:
		if b, ok := b.(map[string]tree); ok {
			return diffMaps(path, a, b)
		}
	case []tree:
		if b, ok := b.([]tree); ok {
			return diffLists(path, a, b)
		}
	case scalar:
		if b, ok := b.(scalar); ok && a == b {
			return nil
		}
	}
	return []string{path}
}

func absent(t tree) bool {
	s, ok := t.(scalar)
	return t == nil || ok && s.tag == nullTag
}

func diffMaps(path string, a, b map[string]tree) []string {
	var out []string
	for k, v := range a {
		if w, ok := b[k]; ok {
			out = append(out, diff(below(path, k), v, w)...)
		} else {
			out = append(out, below(path, k))
		}
	}
	for k, w := range b {
		if _, ok := a[k]; !ok {
			out = append(out, diff(below(path, k), nil, w)...)
		}
	}
	slices.Sort(out)
	return out
}

func diffLists(path string, a, b []tree) []string {
	var out []string
	for i := range max(len(a), len(b)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(a):
			out = append(out, diff(at, nil, b[i])...)
		case i >= len(b):
			out = append(out, at)
		default:
			out = append(out, diff(at, a[i], b[i])...)
		}
	}
	return out
}

var keyEscape = strings.NewReplacer(`\`, `\\`, ".", `\.`, "[", `\[`, "]", `\]`)

// below is the canonical path of a key.
func below(path, key string) string {
	if path != "" {
		path += "."
	}
	return path + keyEscape.Replace(key)
}

// onlyChanged refuses an edit that changed more than what allowed admits. Names of documents but the first begin with "#2:".
func onlyChanged(before, after []byte, allowed func(path string) bool) error {
	a, err := allTrees(before)
	if err != nil {
		return err
	}
	b, err := allTrees(after)
	if err != nil {
		return err
	}
	if len(a) == 0 && len(b) == 1 {
		a = []tree{nil}
	}
	if len(a) != len(b) {
		return refuse("", 0, "the edit would change the number of documents: make it by hand")
	}
	var more []string
	for i := range a {
		if a[i] == nil && absent(b[i]) {
			continue
		}
		for _, path := range diff("", a[i], b[i]) {
			if path = docPrefix(i) + path; !allowed(path) {
				more = append(more, path)
			}
		}
	}
	if len(more) > 0 {
		return refuse("", 0, "the edit would also change %s, which YAML anchors or merge keys tie to it: "+
			"write its value out, or name it as a target with the same image", enumerate(more))
	}
	return nil
}

func docPrefix(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("#%d:", i+1)
}

func enumerate(paths []string) string {
	const most = 4
	if len(paths) > most {
		return strings.Join(paths[:most], ", ") + fmt.Sprintf(" and %d more", len(paths)-most)
	}
	return strings.Join(paths, ", ")
}

func allTrees(data []byte) ([]tree, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	return f.trees()
}
