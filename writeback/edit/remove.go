package edit

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// remove takes one key out of a mapping that has others too. A comment behind it stays.
func (f *file) remove(m *yaml.Node, i int) (*splice, error) {
	if len(m.Content) == 2 {
		return nil, refuse(m.Content[i].Value, m.Content[i].Line, "is the only key there: remove it by hand")
	}
	start := f.offset(m.Content[i])
	end, err := f.end(m.Content[i+1])
	if err != nil {
		return nil, err
	}
	rest := string(f.src[end:f.lineEnd(end)])
	switch {
	case f.flow[m]:
		return f.removeFlow(m, i, start, end)
	case strings.TrimSpace(string(f.src[f.lineStart(start):start])) == "" && strings.TrimSpace(rest) != "":
		return &splice{start, end + len(rest) - len(strings.TrimLeft(rest, " \t")), ""}, nil
	case strings.TrimSpace(string(f.src[f.lineStart(start):start])) == "":
		return f.removeLines(start, end), nil
	}
	return f.removeBehindDash(m, i, start, end)
}

// removeLines takes out whole lines.
func (f *file) removeLines(start, end int) *splice {
	start, end = f.lineStart(start), f.lineEnd(end)
	if n := breakLen(f.src[end:]); n > 0 {
		return &splice{start, end + n, ""}
	}
	before := strings.TrimSuffix(strings.TrimSuffix(string(f.src[:start]), "\n"), "\r")
	return &splice{len(before), end, ""} // the last line, and it has no break
}

// removeBehindDash takes out the first key of a list item; the next one follows the dash, unless comments stand between.
func (f *file) removeBehindDash(m *yaml.Node, i, start, end int) (*splice, error) {
	if i+2 >= len(m.Content) {
		return nil, f.lost(m)
	}
	next := f.offset(m.Content[i+2])
	if strings.TrimSpace(string(f.src[end:next])) == "" {
		return &splice{start, next, ""}, nil
	}
	return &splice{start, f.skipBlank(end), ""}, nil
}

func (f *file) removeFlow(m *yaml.Node, i, start, end int) (*splice, error) {
	if i+2 < len(m.Content) {
		next := f.offset(m.Content[i+2])
		if strings.Trim(string(f.src[end:next]), " \t\r\n,") == "" {
			return &splice{start, next, ""}, nil
		}
		return nil, f.lost(m)
	}
	before, err := f.end(m.Content[i-1])
	return &splice{before, end, ""}, err
}

// rename gives a key another name.
func (f *file) rename(m *yaml.Node, i int, key string) (*splice, error) {
	at, _ := f.afterProperties(m.Content[i])
	end, err := f.scalarEnd(m.Content[i], at)
	return &splice{at, end, f.style(m)(key)}, err
}

// A field is a key of a list's entry; an empty value means that it is not there.
type field struct {
	key, value string
	bare       bool // no text: never quoted
}

func (w field) text(style func(string) string) string {
	if w.bare {
		return w.value
	}
	return style(w.value)
}

// setField changes, adds or removes one field of an entry, which is named by its path.
func setField(data []byte, entry string, want field) ([]byte, error) {
	return change(data, func(f *file) (*splice, error) {
		path := below(entry, want.key)
		p, err := f.find(path)
		p.bare = want.bare
		switch {
		case err != nil:
			return nil, err
		case p.value == nil && want.value == "":
			return nil, nil //nolint:nilnil // nothing to do
		case p.value == nil:
			return f.add(p, want.value)
		case want.value == "":
			i, err := own(p.parent, want.key, path)
			if err != nil {
				return nil, err
			}
			return f.remove(p.parent, i)
		}
		return f.set(p, want.value)
	})
}

// appendEntry adds an entry to a list at the top of the file, and the list if it is missing.
func (f *file) appendEntry(root *yaml.Node, key string, fields []field) (*splice, error) {
	p, err := f.find(key)
	if err != nil {
		return nil, err
	}
	if p.value == nil || isNull(resolved(p.value)) && resolved(p.value).Value == "" {
		lines := indented(entryLines(fields, 2), f.listIndent())
		inline := "[{" + inlineEntry(fields, f.style(root)) + "}]"
		if p.value != nil && !f.flow[p.value] {
			at, _ := f.afterProperties(p.value)
			return f.linesAfter(at, lines), nil
		}
		if p.value != nil {
			return f.fill(p, f.offset(p.value), inline)
		}
		return f.insert(p, f.style(root)(key)+": "+inline, append([]string{key + ":"}, lines...))
	}
	list := resolved(p.value)
	switch {
	case list.Kind != yaml.SequenceNode:
		return nil, refuse(key, list.Line, "is %s, no list: correct it", kindName(list))
	case f.flow[list] && len(list.Content) == 0 && !f.flow[root]:
		return f.openList(p, list, indented(entryLines(fields, 2), f.listIndent()))
	case f.flow[list]:
		style := f.style(root)
		if len(list.Content) > 0 {
			style = f.style(list.Content[0])
		}
		return f.insertFlow(list, "{"+inlineEntry(fields, style)+"}")
	}
	last, err := f.end(list)
	if err != nil {
		return nil, err
	}
	return f.linesAfter(last, indented(entryLines(fields, entryWidth(list)), list.Column-1)), nil
}

// openList gives an empty list (key: []) lines of its own. A comment behind it stays behind the key.
func (f *file) openList(p place, list *yaml.Node, lines []string) (*splice, error) {
	end, err := f.end(list)
	if err != nil {
		return nil, err
	}
	start := f.offset(list)
	behind := strings.TrimLeft(string(f.src[end:f.lineEnd(end)]), " \t")
	if p.alias || f.src[start] != '[' || f.lineEnd(start) < end || behind != "" && behind[0] != '#' {
		return nil, refuse(p.path, list.Line, "is an empty list that cannot be filled in place: write it as %s: []", p.path)
	}
	if behind == "" {
		start = len(strings.TrimRight(string(f.src[:start]), " \t"))
	}
	s := f.linesAfter(end, lines)
	s.text = behind + string(f.src[f.lineEnd(end):s.start]) + s.text
	s.start = start
	return s, nil
}

// entryWidth is how far the keys of a list's entries stand behind the dash.
func entryWidth(list *yaml.Node) int {
	first := list.Content[0]
	if first.Kind == yaml.MappingNode && first.Line == list.Line && len(first.Content) > 0 && first.Content[0].Line == list.Line {
		return first.Content[0].Column - list.Column
	}
	return 2
}

func entryLines(fields []field, width int) []string {
	var lines []string
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		dash := ""
		if len(lines) == 0 {
			dash = "-"
		}
		lines = append(lines, dash+strings.Repeat(" ", width-len(dash))+f.key+": "+f.text(plainOrQuoted))
	}
	return lines
}

func inlineEntry(fields []field, style func(string) string) string {
	var parts []string
	for _, f := range fields {
		if f.value != "" {
			parts = append(parts, style(f.key)+": "+f.text(style))
		}
	}
	return strings.Join(parts, ", ")
}
