package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The short names of the YAML tags that matter here.
const (
	strTag   = "!!str"
	nullTag  = "!!null"
	mergeTag = "!!merge"
)

// A file is the text and what the YAML library sees in it.
type file struct {
	src []byte
	// lines holds the offset at which each line starts.
	lines []int
	docs  []*yaml.Node
	// flow holds the nodes that stand inside of [] or {}.
	flow map[*yaml.Node]bool
}

const bom = "\uFEFF"

// parse reads all documents of a file. It fails on what is not YAML in UTF-8.
func parse(src []byte) (*file, error) {
	if !utf8.Valid(src) {
		return nil, refuse("", 0, "the file is not UTF-8: save it as UTF-8")
	}
	f := &file{src: src, lines: lineStarts(src), flow: map[*yaml.Node]bool{}}
	dec := yaml.NewDecoder(bytes.NewReader(readable(src)))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, refuse("", 0, "the file is not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		f.docs = append(f.docs, &doc)
		f.mark(&doc, false)
	}
}

// readable makes the directive of YAML 1.2 one that the library takes: it knows 1.2, but refuses to be told.
func readable(src []byte) []byte {
	for line := range bytes.Lines(src) {
		if line = bytes.TrimPrefix(line, []byte(bom)); bytes.HasPrefix(line, []byte("%YAML 1.2")) {
			return bytes.Replace(src, []byte("%YAML 1.2"), []byte("%YAML 1.1"), 1)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			break
		}
	}
	return src
}

func (f *file) mark(n *yaml.Node, flow bool) {
	flow = flow || n.Style&yaml.FlowStyle != 0
	f.flow[n] = flow
	for _, c := range n.Content {
		f.mark(c, flow)
	}
}

// breakLen is the length of the line break at the start of b, or zero. The library counts these as breaks, those of Unicode too.
func breakLen(b []byte) int {
	for _, br := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
		if bytes.HasPrefix(b, []byte(br)) {
			return len(br)
		}
	}
	return 0
}

func lineStarts(src []byte) []int {
	first := 0
	if bytes.HasPrefix(src, []byte(bom)) {
		first = len(bom)
	}
	starts := []int{first}
	for i := first; i < len(src); {
		if n := breakLen(src[i:]); n > 0 {
			i += n
			starts = append(starts, i)
			continue
		}
		i++
	}
	return starts
}

// offset is where a node starts, with its anchor and tag. The library counts columns in characters.
func (f *file) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(f.lines) {
		return len(f.src)
	}
	at := f.lines[n.Line-1]
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(f.src[at:])
		at += size
	}
	return at
}

// lineEnd is the offset of the break that ends the line of at, or of the end of the file.
func (f *file) lineEnd(at int) int {
	for at < len(f.src) && breakLen(f.src[at:]) == 0 {
		at++
	}
	return at
}

// lineStart is where the line of at begins.
func (f *file) lineStart(at int) int {
	start := 0
	for _, l := range f.lines {
		if l > at {
			break
		}
		start = l
	}
	return start
}

// newline is the break that the file uses at the given offset; a file of one line without any gets "\n".
func (f *file) newline(at int) string {
	if n := breakLen(f.src[at:]); n > 0 {
		return string(f.src[at : at+n])
	}
	if len(f.lines) > 1 {
		end := f.lineEnd(f.lines[0])
		return string(f.src[end : end+breakLen(f.src[end:])])
	}
	return "\n"
}

// linesAfter puts lines below the one that holds at. A file that ends without a break still does so afterwards.
func (f *file) linesAfter(at int, lines []string) *splice {
	end := f.lineEnd(at)
	nl := f.newline(end)
	text := strings.Join(lines, nl)
	if n := breakLen(f.src[end:]); n > 0 {
		return &splice{end + n, end + n, text + nl}
	}
	return &splice{end, end, nl + text}
}

// atEnd puts lines at the end of a file that holds no value.
func (f *file) atEnd(lines []string) *splice {
	end := len(f.src)
	if f.lines[len(f.lines)-1] == end { // after a break, or nothing at all
		nl := f.newline(end)
		return &splice{end, end, strings.Join(lines, nl) + nl}
	}
	return f.linesAfter(end, lines)
}

// root is the only value of the file; nil when there is none. Files of several documents are refused.
func (f *file) root(what string) (*yaml.Node, error) {
	if len(f.docs) > 1 {
		return nil, refuse("", 0, "the file holds %d documents, and %s has one: split it", len(f.docs), what)
	}
	if len(f.docs) == 0 {
		return nil, nil //nolint:nilnil // an empty file is an ordinary case
	}
	n := resolved(f.docs[0].Content[0])
	if isNull(n) {
		return nil, nil //nolint:nilnil // as above
	}
	if n.Kind != yaml.MappingNode {
		return nil, refuse("", n.Line, "the file holds no mapping of keys to values, as %s does", what)
	}
	return n, nil
}

func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == nullTag }

// own finds a key that stands in the mapping itself, not one that a merge brings. It returns -1 when there is none.
func own(m *yaml.Node, key, path string) (int, error) {
	found := -1
	for i := 0; i < len(m.Content); i += 2 {
		k := resolved(m.Content[i])
		if k.Kind != yaml.ScalarNode || k.ShortTag() == mergeTag || keyText(k) != key {
			continue
		}
		if found >= 0 {
			return -1, refuse(path, m.Content[i].Line, "stands twice, first in line %d: remove one", m.Content[found].Line)
		}
		found = i
	}
	return found, nil
}

// keyText is what a key is to Helm: yes without quotes is "true", and 010 is "8".
func keyText(k *yaml.Node) string {
	const longestBool = len("off") // the words of YAML 1.1 that only one of the libraries takes for booleans
	if k.Style&quoted == 0 && (k.ShortTag() != strTag || len(k.Value) <= longestBool) {
		if text, err := seen(k); err == nil {
			return text
		}
	}
	return k.Value
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	default:
		return "a single value"
	}
}

var errBudget = fmt.Errorf("the file grows beyond %d values when its aliases are followed: write them out", maxValues)
