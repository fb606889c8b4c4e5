package edit

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// add creates what is missing of a path, below the deepest parent that exists.
func (f *file) add(p place, value string) (*splice, error) {
	for _, s := range p.missing {
		if s.key == "" {
			return nil, refuse(p.path, 0, "does not exist, and no list is made up for it: add the list")
		}
	}
	if p.merged != nil && len(p.missing) > 1 {
		return nil, refuse(p.path, p.merged.Line, "comes by a merge key (<<), so only a copy of what is merged could hold it: "+
			"write %s out", below("", p.missing[0].key))
	}
	style := f.styleAt(p)
	return f.insert(p, flowChain(p.missing, style(value), f.style(p.parent)), f.chain(p.missing, style(value)))
}

// insert puts a new key into a mapping, as one text or as lines that are not indented yet.
func (f *file) insert(p place, inline string, lines []string) (*splice, error) {
	m := p.parent
	switch {
	case m == nil, f.isNothing(m):
		return f.atEnd(lines), nil
	case isNull(m):
		return f.insertIntoNull(p, inline, lines)
	case f.flow[m]:
		return f.insertFlow(m, inline)
	}
	last, err := f.end(m)
	if err != nil {
		return nil, err
	}
	column := m.Content[0].Column - 1
	if !f.firstOnLine(m.Content[0]) {
		return nil, refuse(p.path, m.Line, "belongs into a mapping with a complex key (?), which cannot be edited in place: add it by hand")
	}
	return f.linesAfter(last, indented(lines, column)), nil
}

// firstOnLine says whether only white space, dashes of list items and a byte order mark stand before a key.
func (f *file) firstOnLine(key *yaml.Node) bool {
	at := f.offset(key)
	return strings.Trim(strings.TrimPrefix(string(f.src[f.lineStart(at):at]), bom), " -") == ""
}

// isNothing says whether the file has markers and comments only.
func (f *file) isNothing(root *yaml.Node) bool {
	if len(f.docs) != 1 || f.docs[0].Content[0] != root || !isNull(root) || root.Value != "" {
		return false
	}
	at, _ := f.afterProperties(root)
	return at == f.offset(root)
}

// insertIntoNull gives a key without a value a mapping.
func (f *file) insertIntoNull(p place, inline string, lines []string) (*splice, error) {
	n := p.parent
	if n.Kind == yaml.AliasNode {
		return nil, refuse(p.path, n.Line, "would need a mapping in place of an alias: write it out")
	}
	at, tag := f.afterProperties(n)
	if tag != "" {
		return nil, refuse(p.path, n.Line, "would need a mapping in place of a value with the explicit type %s: remove it", tag)
	}
	if n.Value == "" && p.key != nil && !f.flow[n] && n.Anchor == "" {
		return f.linesAfter(at, indented(lines, p.key.Column-1+f.indent())), nil
	}
	if n.Value == "" {
		return f.fill(place{path: p.path, value: n}, at, "{"+inline+"}")
	}
	end, err := f.scalarEnd(n, at)
	return &splice{at, end, "{" + inline + "}"}, err
}

// insertFlow adds a text behind the last item of [] or {}.
func (f *file) insertFlow(n *yaml.Node, text string) (*splice, error) {
	if len(n.Content) == 0 {
		at, _ := f.afterProperties(n)
		if at >= len(f.src) || f.src[at] != '{' && f.src[at] != '[' {
			return nil, f.lost(n)
		}
		return &splice{at + 1, at + 1, text}, nil
	}
	if _, err := f.end(n); err != nil { // finds that there are brackets
		return nil, err
	}
	at, err := f.end(n.Content[len(n.Content)-1])
	return &splice{at, at, ", " + text}, err
}

func flowChain(steps []step, text string, style func(string) string) string {
	for i := len(steps) - 1; i >= 0; i-- {
		text = style(steps[i].key) + ": " + text
		if i > 0 {
			text = "{" + text + "}"
		}
	}
	return text
}

func (f *file) chain(steps []step, text string) []string {
	var lines []string
	indent := f.indent()
	for i, s := range steps {
		lines = append(lines, strings.Repeat(" ", i*indent)+plainOrQuoted(s.key)+":")
	}
	lines[len(lines)-1] += " " + text
	return lines
}

func indented(lines []string, by int) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.Repeat(" ", by) + l
	}
	return out
}

// indent is by how much the file indents a mapping in a mapping.
func (f *file) indent() int { return f.measure(yaml.MappingNode, 1, 2) }

// listIndent is by how much the file indents a list in a mapping.
func (f *file) listIndent() int { return f.measure(yaml.SequenceNode, 0, 0) }

// measure finds the first block collection of a kind that is indented at least so far below its key.
func (f *file) measure(kind yaml.Kind, least, otherwise int) int {
	for _, d := range f.docs {
		if by, ok := f.measureBelow(d, kind, least); ok {
			return by
		}
	}
	return otherwise
}

func (f *file) measureBelow(n *yaml.Node, kind yaml.Kind, least int) (int, bool) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && c.Kind == kind && !f.flow[c] && c.Line > n.Content[i-1].Line && c.Content != nil {
			if by := c.Content[0].Column - n.Content[i-1].Column; kind == yaml.MappingNode && by >= least {
				return by, true
			}
			if by := c.Column - n.Content[i-1].Column; kind == yaml.SequenceNode && by >= least {
				return by, true
			}
		}
		if by, ok := f.measureBelow(c, kind, least); ok {
			return by, true
		}
	}
	return 0, false
}
