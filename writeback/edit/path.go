package edit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A step leads one level down: to a key, or, if key is empty, to an item of a list.
type step struct {
	key   string
	index int
}

func (s step) below(path string) string {
	if s.key == "" {
		return fmt.Sprintf("%s[%d]", path, s.index)
	}
	return below(path, s.key)
}

// parsePath reads keys separated by dots, each with any number of indices: image.tag, containers[0].image. A backslash makes
// the next character a part of the key, as in Helm's --set.
func parsePath(path string) ([]step, error) {
	var steps []step
	bad := func(why string) ([]step, error) {
		return nil, refuse("", 0, "%q is no path of a value, such as image.tag or containers[0].image: %s", path, why)
	}
	for rest := path; ; {
		var key string
		if key, rest = cutKey(rest); key == "" {
			return bad("a key is empty")
		}
		steps = append(steps, step{key: key})
		for strings.HasPrefix(rest, "[") {
			index, after, found := strings.Cut(rest[1:], "]")
			n, err := strconv.Atoi(index)
			if !found || err != nil {
				return bad("an index is a number in brackets")
			}
			steps, rest = append(steps, step{index: n}), after
		}
		switch {
		case rest == "":
			return steps, nil
		case rest[0] != '.':
			return bad("a dot or an index must follow a key")
		}
		rest = rest[1:]
	}
}

func cutKey(s string) (key, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '.' || c == '[' || c == ']':
			return b.String(), s[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// A place is where a path leads in one document.
type place struct {
	doc int
	// path is the canonical spelling of what was found and what is missing.
	path string
	// value is nil when the path does not exist.
	value *yaml.Node
	// alias is set when the value itself is an alias.
	alias bool
	// parent is what holds the value, or the deepest that exists; nil in a document without any value.
	parent *yaml.Node
	// key is the key of parent, or nil if it has none.
	key *yaml.Node
	// missing is how it goes on below parent.
	missing []step
	// bare is set when the new value is no text, and is written as it is.
	bare bool
	// merged holds the value when a merge key brings it, and the mapping itself does not hold it.
	merged *yaml.Node
}

// locate follows a path in one document.
func (f *file) locate(doc int, steps []step) (place, error) {
	p, err := follow(f.docs[doc].Content[0], steps)
	p.doc = doc
	return p, err
}

func follow(cur *yaml.Node, steps []step) (place, error) {
	var p place
	for i, s := range steps {
		at := p.path
		p.path = s.below(at)
		n := resolved(cur)
		if isNull(n) && s.key != "" {
			p.parent, p.missing = cur, steps[i:]
			return p.spell(at), nil
		}
		next, key, err := descend(n, s, at)
		if err != nil {
			return p, err
		}
		if next == nil {
			p.parent, p.missing = n, steps[i:]
			return p.inherit(n, at)
		}
		p.parent, p.key, cur = n, key, next
	}
	p.alias = cur.Kind == yaml.AliasNode
	p.value = cur
	return p, nil
}

func (p place) spell(at string) place {
	for _, s := range p.missing {
		at = s.below(at)
	}
	p.path = at
	return p
}

// descend makes one step. It returns nil when a key is missing.
func descend(n *yaml.Node, s step, at string) (value, key *yaml.Node, err error) {
	switch {
	case s.key == "" && n.Kind != yaml.SequenceNode:
		return nil, nil, refuse(at, n.Line, "is %s, no list: leave out the index [%d]", kindName(n), s.index)
	case s.key == "" && (s.index < 0 || s.index >= len(n.Content)):
		return nil, nil, refuse(at, n.Line, "has no item [%d]: there are %d, counted from 0", s.index, len(n.Content))
	case s.key == "":
		return n.Content[s.index], nil, nil
	case n.Kind != yaml.MappingNode && at == "":
		return nil, nil, refuse("", n.Line, "the file holds %s, no mapping of keys to values: correct it", kindName(n))
	case n.Kind == yaml.SequenceNode:
		return nil, nil, refuse(at, n.Line, "is a list: say which item, as in %s[0]", at)
	case n.Kind != yaml.MappingNode:
		return nil, nil, refuse(at, n.Line, "is %s, so there is no %s in it: correct the path", kindName(n), s.below(at))
	}
	i, err := own(n, s.key, s.below(at))
	if err != nil || i < 0 {
		return nil, nil, err
	}
	return n.Content[i+1], n.Content[i], nil
}

// inherit looks for a missing key in what is merged into the mapping.
func (p place) inherit(n *yaml.Node, at string) (place, error) {
	p = p.spell(at)
	var err error
	p.merged, err = inherited(n, p.missing[0].key, p.path, map[*yaml.Node]bool{})
	return p, err
}

// inherited passes each mapping once, as merge keys can lead round in circles.
func inherited(n *yaml.Node, key, path string, seen map[*yaml.Node]bool) (*yaml.Node, error) {
	if seen[n] {
		return nil, nil //nolint:nilnil // not found is an ordinary answer
	}
	seen[n] = true
	for _, source := range merged(n) {
		i, err := own(source, key, path)
		if err != nil {
			return nil, err
		}
		if i >= 0 {
			return source.Content[i+1], nil
		}
		if v, err := inherited(source, key, path, seen); v != nil || err != nil {
			return v, err
		}
	}
	return nil, nil //nolint:nilnil // not found is an ordinary answer
}

// merged are the mappings that merge keys bring into one, those that win first.
func merged(n *yaml.Node) []*yaml.Node {
	var sources []*yaml.Node
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() == mergeTag {
			sources = append(sources, mergeSources(n.Content[i+1])...)
		}
	}
	return sources
}

// find chooses the document and the reading of a path: a key at the top that is spelled like the whole path, dots and all, is
// meant as well. Two places that could be meant are refused. If there is none, the place is where it can be created: below the
// deepest parent that exists, of equal ones the first.
func (f *file) find(path string) (place, error) {
	steps, err := parsePath(path)
	if err != nil {
		return place{}, err
	}
	if len(f.docs) == 0 {
		return place{missing: steps}.spell(""), nil
	}
	var found, free []place
	var failed error
	for doc := range f.docs {
		for i, reading := range readings(path, steps) {
			switch p, err := f.locate(doc, reading); {
			case err == nil && p.value != nil:
				found = append(found, p)
			case err == nil && i == 0:
				free = append(free, p)
			case i == 0 && failed == nil:
				failed = err
			}
		}
	}
	switch {
	case len(found) > 1:
		return place{}, refuse(path, found[0].value.Line, "stands a second time in line %d: remove one", found[1].value.Line)
	case len(found) == 1:
		return found[0], nil
	case failed != nil:
		return place{}, failed
	}
	return slices.MinFunc(free, func(a, b place) int { return len(a.missing) - len(b.missing) }), nil
}

// readings are the path as keys and indices, and as one literal key.
func readings(path string, steps []step) [][]step {
	if len(steps) == 1 && steps[0].key == path {
		return [][]step{steps}
	}
	return [][]step{steps, {{key: path}}}
}
