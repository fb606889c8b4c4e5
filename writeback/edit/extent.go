package edit

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// afterProperties skips the anchor and the tag before a node's own text. It returns the tag as written.
func (f *file) afterProperties(n *yaml.Node) (at int, tag string) {
	at = f.offset(n)
	empty := n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&quoted == 0 // what stands below is another node
	for f.isProperty(at) {
		end := f.wordEnd(at, f.flow[n])
		if f.src[at] == '!' {
			tag = string(f.src[at:end])
		}
		at = end
		switch next := f.skipBlank(at); {
		case !empty:
			at = f.skipComments(at)
		case f.isProperty(next):
			at = next
		}
	}
	return at, tag
}

func (f *file) isProperty(at int) bool {
	return at < len(f.src) && (f.src[at] == '&' || f.src[at] == '!')
}

// wordEnd is where the text without spaces ends that an anchor or a tag is.
func (f *file) wordEnd(at int, flow bool) int {
	for at < len(f.src) && !isSpace(f.src[at]) && (!flow || strings.IndexByte(",[]{}", f.src[at]) < 0) {
		at++
	}
	return at
}

const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// skipBlank passes spaces and tabs.
func (f *file) skipBlank(at int) int {
	for at < len(f.src) && (f.src[at] == ' ' || f.src[at] == '\t') {
		at++
	}
	return at
}

// skipComments passes white space, line breaks and comments.
func (f *file) skipComments(at int) int {
	for at < len(f.src) {
		n := breakLen(f.src[at:])
		switch {
		case n > 0:
			at += n
		case f.src[at] == ' ' || f.src[at] == '\t':
			at++
		case f.src[at] == '#' && (at == 0 || isSpace(f.src[at-1])):
			at = f.lineEnd(at)
		default:
			return at
		}
	}
	return at
}

// end is the offset behind the last byte of a node. For block collections that is the end of the last item.
func (f *file) end(n *yaml.Node) (int, error) {
	at, _ := f.afterProperties(n)
	switch {
	case n.Kind == yaml.AliasNode:
		return f.expect(n, at, "*"+n.Value)
	case n.Kind == yaml.ScalarNode:
		return f.scalarEnd(n, at)
	case f.flow[n]:
		return f.flowEnd(n, at)
	case len(n.Content) == 0:
		return at, nil
	}
	return f.end(n.Content[len(n.Content)-1])
}

// expect guards every position that came from the library.
func (f *file) expect(n *yaml.Node, at int, text string) (int, error) {
	if !bytes.HasPrefix(f.src[at:], []byte(text)) {
		return 0, f.lost(n)
	}
	return at + len(text), nil
}

func (f *file) lost(n *yaml.Node) error {
	return refuse("", n.Line, "the YAML there is written in a way that cannot be edited in place: put it on a line of its own")
}

func (f *file) scalarEnd(n *yaml.Node, at int) (int, error) {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return f.quotedEnd(n, at, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return f.quotedEnd(n, at, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		b, err := f.block(n, at)
		return b.end, err
	}
	return f.plainEnd(n, at)
}

func (f *file) quotedEnd(n *yaml.Node, at int, quote byte) (int, error) {
	if at >= len(f.src) || f.src[at] != quote {
		return 0, f.lost(n)
	}
	for i := at + 1; i < len(f.src); i++ {
		switch {
		case f.src[i] == '\\' && quote == '"':
			i++
		case f.src[i] == quote && quote == '\'' && i+1 < len(f.src) && f.src[i+1] == quote:
			i++
		case f.src[i] == quote:
			return i + 1, nil
		}
	}
	return 0, f.lost(n)
}

// plainEnd walks over the text and what the library made of it: they differ in line breaks only, which were folded.
func (f *file) plainEnd(n *yaml.Node, at int) (int, error) {
	for value := n.Value; value != ""; {
		r, size := utf8.DecodeRuneInString(value)
		if !unicode.IsSpace(r) {
			if !bytes.HasPrefix(f.src[at:], []byte(value[:size])) {
				return 0, f.lost(n)
			}
			value, at = value[size:], at+size
			continue
		}
		value = strings.TrimLeftFunc(value, unicode.IsSpace)
		for at < len(f.src) {
			r, size := utf8.DecodeRune(f.src[at:])
			if !unicode.IsSpace(r) {
				break
			}
			at += size
		}
	}
	return at, nil
}

// flowEnd finds the bracket behind the last item.
func (f *file) flowEnd(n *yaml.Node, at int) (int, error) {
	closing := byte('}')
	if n.Kind == yaml.SequenceNode {
		closing = ']'
	}
	if at >= len(f.src) || f.src[at] != closing-2 { // '{' and '}', '[' and ']' stand two apart in ASCII
		return 0, f.lost(n) // a single pair in a list, without braces
	}
	at++
	if len(n.Content) > 0 {
		var err error
		if at, err = f.end(n.Content[len(n.Content)-1]); err != nil {
			return 0, err
		}
	}
	for at = f.skipComments(at); at < len(f.src) && strings.IndexByte(",:?", f.src[at]) >= 0; at = f.skipComments(at) {
		at++
	}
	if at >= len(f.src) || f.src[at] != closing {
		return 0, f.lost(n)
	}
	return at + 1, nil
}

// A block is a literal (|) or folded (>) scalar.
type block struct {
	header, headerEnd int // the indicators: |2-
	// lines are the offsets of the text of each line that is not blank, without its indentation.
	lines []int
	end   int
}

// block finds the header and the lines of a literal or folded scalar.
func (f *file) block(n *yaml.Node, at int) (block, error) {
	if at >= len(f.src) || f.src[at] != '|' && f.src[at] != '>' {
		return block{}, f.lost(n)
	}
	b := block{header: at, headerEnd: f.wordEnd(at, false), end: f.lineEnd(at)}
	header := string(f.src[b.header:b.headerEnd])
	if strings.ContainsAny(header, "123456789") {
		return b, refuse("", n.Line, "the text there has an indentation indicator (%s), which cannot be edited in place: remove the digit",
			header)
	}
	f.blockLines(&b, strings.Contains(header, "+"), strings.Trim(n.Value, "\n") == "")
	return b, nil
}

// blockLines finds the lines that belong to a block: those indented at least as far as its first that is not blank. Blank lines
// at its end belong to it only if they are kept (|+).
func (f *file) blockLines(b *block, keep, empty bool) {
	indent := 1
	for start := f.nextLine(b.header); start < len(f.src); start = f.nextLine(start) {
		text := start
		for text < len(f.src) && f.src[text] == ' ' {
			text++
		}
		if breakLen(f.src[text:]) > 0 || text == len(f.src) {
			if keep {
				b.end = text
			}
			continue
		}
		if empty || text-start < indent {
			return
		}
		if b.lines == nil {
			indent = text - start
		}
		b.lines, b.end = append(b.lines, start+indent), f.lineEnd(text)
	}
}

// nextLine is the start of the line below that of at, or the end of the file.
func (f *file) nextLine(at int) int {
	end := f.lineEnd(at)
	return end + breakLen(f.src[end:])
}
