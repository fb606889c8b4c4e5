package edit

import (
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
	yaml11 "sigs.k8s.io/yaml"
)

var (
	// plainText is what needs no quotes for its characters, also inside of [] and {}: names, tags, digests, references.
	plainText = regexp.MustCompile(`^[A-Za-z0-9_./](?:[A-Za-z0-9_./:@+-]*[A-Za-z0-9_./@+-])?$`)
	// number11 is what the types int and float of YAML 1.1 (yaml.org/type) admit, with underscores and base 60, and a bit more.
	number11 = regexp.MustCompile(`^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o[0-7_]+|[0-9][0-9_]*(?::[0-9]+)*(?:\.[0-9_.]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9_]+(?:[eE][-+]?[0-9]+)?)$`)
)

// plain says whether a text can stand without quotes, and every reader still takes it for a text. The encoders of both
// libraries are asked, one of YAML 1.1 as Helm and Argo CD have it, one of 1.2; the numbers of 1.1 that neither knows are added.
func plain(s string) bool {
	if !plainText.MatchString(s) || number11.MatchString(s) && !dotted(s) {
		return false
	}
	a, err := yaml.Marshal(s)
	if err != nil || string(a) != s+"\n" {
		return false
	}
	b, err := yaml11.Marshal(s)
	return err == nil && string(b) == s+"\n"
}

// dotted is a version such as 1.2.3, which no type of YAML admits.
func dotted(s string) bool { return strings.Count(s, ".") > 1 && !strings.Contains(s, "_") }

// checkValue admits what can be written on one line in any style.
func checkValue(path, value string) error {
	if value == "" {
		return refuse(path, 0, "would become empty: nothing was written")
	}
	if strings.TrimSpace(value) != value || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return refuse(path, 0, "would get line breaks, outer spaces or unprintable characters, which no name or tag has: nothing was written")
	}
	return nil
}

func doubleQuoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func plainOrQuoted(s string) string {
	if plain(s) {
		return s
	}
	return doubleQuoted(s)
}

// styleAt is how a new value is written.
func (f *file) styleAt(p place) func(string) string {
	if p.bare {
		return asIs
	}
	return f.style(p.parent)
}

// style keeps to the habits around a new value: JSON stays JSON.
func (f *file) style(m *yaml.Node) func(string) string {
	if m != nil && f.flow[m] && m.Kind == yaml.MappingNode && len(m.Content) > 0 &&
		m.Content[0].Style&yaml.DoubleQuotedStyle != 0 {
		return doubleQuoted
	}
	return plainOrQuoted
}

// set makes a scalar hold another value, in the same quotes if it has some. It returns nil when it holds it already.
func (f *file) set(p place, value string) (*splice, error) {
	n := p.value
	style := f.styleAt(p)
	if n.Kind == yaml.AliasNode {
		return f.replaceAlias(n, value, style)
	}
	at, text, err := f.writable(p)
	if err != nil {
		return nil, err
	}
	if n.Value == value && (text || p.bare || isSafe(n)) {
		return nil, nil //nolint:nilnil // nothing to do
	}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return f.setBlock(p, at, value)
	case n.Value == "" && n.Style&quoted == 0:
		return f.fill(p, at, style(value))
	case text && n.Style&quoted == 0 && plainText.MatchString(value):
		style = asIs
	}
	end, err := f.scalarEnd(n, at)
	if err != nil {
		return nil, err
	}
	if f.lineEnd(at) < end {
		return nil, refuse(p.path, n.Line, "is a text of several lines: write it on one")
	}
	return &splice{at, end, inQuotesOf(n, style)(value)}, nil
}

// isSafe says whether every reader takes a scalar for the text that it is.
func isSafe(n *yaml.Node) bool { return n.Style&quoted != 0 || plain(n.Value) }

// replaceAlias puts a text in place of an alias, unless what it stands for is that text by now.
func (f *file) replaceAlias(n *yaml.Node, value string, style func(string) string) (*splice, error) {
	if target := n.Alias; target.Kind == yaml.ScalarNode && target.Value == value && target.ShortTag() == strTag && isSafe(target) {
		return nil, nil //nolint:nilnil // nothing to do
	}
	at := f.offset(n)
	end, err := f.expect(n, at, "*"+n.Value)
	return &splice{at, end, style(value)}, err
}

// writable says where a scalar's own text starts, and whether it is explicitly one of a text.
func (f *file) writable(p place) (at int, text bool, err error) {
	if p.value.Kind != yaml.ScalarNode {
		return 0, false, refuse(p.path, p.value.Line, "is %s, no single value: correct the path", kindName(p.value))
	}
	at, tag := f.afterProperties(p.value)
	if tag != "" && tag != "!" && !isText[tag] {
		return 0, false, refuse(p.path, p.value.Line, "has the explicit type %s: remove it", tag)
	}
	return at, isText[tag], nil
}

// isText holds the spellings of the tag of a text.
var isText = map[string]bool{strTag: true, "!<tag:yaml.org,2002:str>": true}

func asIs(s string) string { return s }

// inQuotesOf keeps the quotes of a node that has some.
func inQuotesOf(n *yaml.Node, style func(string) string) func(string) string {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return doubleQuoted
	case n.Style&yaml.SingleQuotedStyle != 0:
		return func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	}
	return style
}

// fill gives a key without a value its first one.
func (f *file) fill(p place, at int, text string) (*splice, error) {
	before := strings.TrimRight(string(f.src[:at]), " \t\r\n")
	_, tag := f.afterProperties(p.value)
	if tag == "" && p.value.Anchor == "" && !strings.HasSuffix(before, ":") && !strings.HasSuffix(before, "-") {
		return nil, refuse(p.path, p.value.Line, `has no value and no colon: write it as key: ""`)
	}
	if at > 0 && !isSpace(f.src[at-1]) {
		text = " " + text
	}
	return &splice{at, at, text}, nil
}

// setBlock changes the one line of a literal or folded scalar, and makes its end be stripped (|-), as a tag has no line break.
func (f *file) setBlock(p place, at int, value string) (*splice, error) {
	b, err := f.block(p.value, at)
	if err != nil {
		return nil, err
	}
	if len(b.lines) != 1 {
		return nil, refuse(p.path, p.value.Line, "is a text of %d lines: write it on one", len(b.lines))
	}
	header := string(f.src[b.header:b.headerEnd])
	if strings.HasSuffix(p.value.Value, "\n") || !strings.Contains(header, "-") {
		header = header[:1] + "-"
	}
	return &splice{b.header, f.lineEnd(b.lines[0]), header + string(f.src[b.headerEnd:b.lines[0]]) + value}, nil
}
