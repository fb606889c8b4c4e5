package edit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	yaml11 "sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/image"
)

// changed returns what stands between the parts that two texts begin and end with alike.
func changed(before, after []byte) (added, removed string) {
	p := 0
	for p < len(before) && p < len(after) && before[p] == after[p] {
		p++
	}
	s := 0
	for s < len(before)-p && s < len(after)-p && before[len(before)-1-s] == after[len(after)-1-s] {
		s++
	}
	return string(after[p : len(after)-s]), string(before[p : len(before)-s])
}

// values are what a tag, a name or a reference can look like, and what no reader may misunderstand.
var values = []string{
	"v2.0", "1e3", "0123", "1.10", "true", "null", "0x1F", "1_000", "2024-01-01", "~", "12345678", "1:30", "190:20:30", "off", "y",
	"089", "0o17", "0b11", ".5", "5.", "1e+10", ".inf", ".NaN", "=", "<<", "1.2.3", "main-1234567", "deadbeef", "1e10ab",
	"nginx:1.27", "registry:5000/a/b@sha256:0123456789abcdef", `a"b\c`, "it's", "a # b", "a: b", "- a", "*a", "&a", "!a", "{a}", "[a],b",
	"@a", "`a", "%a", "?", "-", "ü", "a:", "20240101123456", "+1", "0_1", "Infinity", "1__2", "12e03", "2001-12-14t21:59:43.10-05:00",
}

// styles are files with the value old at the path a.t or a[0].t, in every way of writing it.
var styles = map[string]string{
	"plain":            "x: 1\na:\n  t: old # keep\n  z: 2\n",
	"single":           "a:\n  t: 'old'\nb: 1\n",
	"double":           "a:\n  t: \"old\"   # keep\nb: 1\n",
	"double escaped":   "a:\n  t: \"o\\x6cd\"\nb: '1'\n",
	"literal":          "a:\n  t: |-\n    old\n  z: 1\n",
	"literal clip":     "a:\n  t: |\n    old\n\n  z: 1\n",
	"literal keep":     "a:\n  t: |+\n    old\n\n  z: |+\n    x\n\nb: 1\n",
	"folded":           "a:\n  t: >- # keep\n     old\n\n# keep\nb: 1\n",
	"flow":             "a: {s: 1, t: old, z: [a, b]} # keep\n",
	"flow quoted":      "a: { t: 'old' }\n",
	"flow lines":       "a: {\n  # keep\n  t: old, # keep\n  z: 1,\n}\n",
	"json":             "{\"a\": {\"t\": \"old\", \"z\": [1, 2]}}",
	"json number":      "{\"a\":{\"t\":5,\"z\":[1,2]}}\n",
	"literal key":      "a.t: old\nb: 1\n",
	"quoted key":       "'a':\n  \"t\": old\n",
	"number":           "a:\n  t: 1.20\n",
	"null":             "a:\n  t: # keep\n  z: 1\n",
	"null at end":      "b: 1\na:\n  t:",
	"tilde":            "a:\n  t: ~\n",
	"explicit":         "a:\n  t: !!str 5 # keep\n",
	"unspecific":       "a:\n  t: ! old\n",
	"explicit empty":   "a:\n  t: !!str\n  z: 1\n",
	"anchor":           "a:\n  t: &x old\nb: 1\n",
	"anchor below":     "a:\n  t: &x\n    old\nb: 1\n",
	"alias":            "b: &x old\na:\n  t: *x # keep\n",
	"alias in flow":    "b: &x old\na: {t: *x, z: *x}\n",
	"merge":            "b: &x\n  t: old\n  z: 1\na:\n  <<: *x\n  y: 1\n",
	"merge own":        "b: &x\n  t: old\na:\n  <<: *x\n  t: old\n",
	"list":             "a:\n- t: old\n  z: 1\n- t: old\n",
	"list indented":    "a:\n  -   z: 1\n      t: old\n  - t: old\n",
	"list in flow":     "a: [{t: old}, {t: old}]\n",
	"second document":  "b: 1\n---\na:\n  t: old\n...\n---\nc: 1\n",
	"first document":   "# head\n---\na:\n  t: old\n---\n# empty\n---\nb: old\n",
	"directive":        "%YAML 1.2\n---\na:\n  t: old\n",
	"crlf":             "a:\r\n  t: old # keep\r\n\r\nb: 'x'\r\n",
	"crlf missing":     "a:\r\n  z: old # keep\r\n\r\nb: 'x'\r\n",
	"cr":               "a:\r  t: old\rb: 1\r",
	"bom":              "\uFEFFa:\n  t: old\n",
	"bom at top":       "\uFEFFa.t: old\n",
	"bom crlf missing": "\uFEFFa:\r\n  z: 1",
	"wide characters":  "ü: {ß: [é], a: 1}\na: {'ö': 日本, t: old, z: é}\n",
	"line separators":  "b: \"x\u2028 y\"\na:\n  t: old\n",
	"tabs":             "a:\t# tab\n  t:\told\t# keep\n  z:\t1\n",
	"complex key":      "? [x, y]\n: 1\na:\n  t: old\n",
	"question mark":    "? a\n: t: old\n",
	"missing":          "a:\n  z: 1 # keep\n\n# keep\nb: 1\n",
	"missing wide":     "b:\n    c: 1\na:\n    z:\n        y: 1\n",
	"missing literal":  "a:\n  z: |\n    # no comment\n\n    text\n\n\nb: 1\n",
	"missing keep":     "a:\n  z: |+\n    text\n\n\nb: 1\n",
	"missing plain":    "a:\n  z: some text\n    on two lines\n  # keep\nb: 1\n",
	"missing quoted":   "a:\n  z: \"some text\n\n    on # lines\" # keep\nb: 1\n",
	"missing flow":     "a:\n  z: [1, 'x]',\n    {y: \"}\"}, # ] keep\n  ]\nb: 1\n",
	"missing null":     "a:\nb: 1\n",
	"missing null end": "b:\n    c: 1\na: # keep",
	"missing tilde":    "a: ~\nb: 1\n",
	"missing braces":   "a: {}\nb: 1\n",
	"missing in flow":  "a: { z: 1 }\n",
	"missing in json":  "{\"a\": {\"z\": \"1\"}}\n",
	"missing parent":   "b: 1",
	"missing item key": "a:\n- z: 1\n  y: [1]\n- z: 2\n",
	"comments only":    "# keep\n\n# keep",
	"marker only":      "---\n# keep\n",
	"empty":            "",
	"blank":            "\n\n",
	"root braces":      "{}\n",
	"duplicate":        "b: 1\nb: 2\na:\n  t: old\n",
	"dash":             "a:\n  t: -old\n",
	"trailing alias":   "c: &y [1]\na:\n  z: *y\nb: 1\n",
	"empty literal":    "a:\n  z: |\n  y: 1\nb: 1\n",
	"document end":     "a:\n  z: 1\n...\n",
}

func pathFor(style string) string {
	if strings.HasPrefix(styles[style], "a:\n-") || strings.HasPrefix(style, "list") {
		return "a[0].t"
	}
	return "a.t"
}

// Every value can be written into every style, changes nothing else, and is what both readers see afterwards.
func TestEveryValueInEveryStyle(t *testing.T) {
	for style, src := range styles {
		for i, value := range values {
			if testing.Short() && i%5 > 0 {
				continue
			}
			if err := setHolds([]byte(src), pathFor(style), value); err != nil {
				t.Errorf("%s, %q: %v", style, value, err)
			}
		}
	}
}

// setHolds says what is wrong with an edit. A refusal counts as wrong.
func setHolds(src []byte, path, value string) error {
	got, err := SetValue(src, path, value)
	if err != nil {
		return err
	}
	read, ok, err := GetValue(got, path)
	if err != nil || !ok || read != value {
		return fmt.Errorf("%q reads as %q, %v: %w", got, read, ok, err)
	}
	again, err := SetValue(got, path, value)
	if err != nil || !bytes.Equal(again, got) {
		return fmt.Errorf("a second time makes %q of %q: %w", again, got, err)
	}
	return unlike(src, got, path)
}

// unlike compares the trees, and the bytes around the value.
func unlike(src, got []byte, path string) error {
	before, err := allTrees(src)
	if err != nil {
		return err
	}
	after, err := allTrees(got)
	if err != nil {
		return err
	}
	for i := range after {
		var old tree
		if i < len(before) {
			old = before[i]
		}
		for _, p := range diff("", old, after[i]) {
			if p != path && p != keyEscape.Replace(path) {
				return fmt.Errorf("%q: %s changed", got, p)
			}
		}
	}
	if err := unlikeForHelm(src, got, path); err != nil {
		return err
	}
	added, removed := changed(src, got)
	if n := strings.Count(added, "\n"); n > 4 || strings.Contains(removed, "keep") || strings.Count(removed, "\n") > 1 {
		return fmt.Errorf("%q: changed %q to %q", got, removed, added)
	}
	return nil
}

// unlikeForHelm reads both texts as Helm does, with a library that this package does not edit with.
func unlikeForHelm(src, got []byte, path string) error {
	var before, after map[string]any
	if err := yaml11.Unmarshal(src, &before); err != nil {
		return nil // a directive of YAML 1.2
	}
	if err := yaml11.Unmarshal(got, &after); err != nil {
		return err
	}
	without(before, path)
	without(after, path)
	if !reflect.DeepEqual(before, after) && len(before)+len(after) > 0 {
		return fmt.Errorf("%q: Helm reads %v instead of %v", got, after, before)
	}
	return nil
}

// without takes out the value at a.t, a[0].t or "a.t", and what is empty then.
func without(m map[string]any, path string) {
	delete(m, path)
	switch a := m["a"].(type) {
	case map[string]any:
		delete(a, "t")
		if len(a) == 0 {
			delete(m, "a")
		}
	case []any:
		delete(a[0].(map[string]any), "t")
	case nil:
		delete(m, "a")
	}
}

// Where the new value fits the old style, setting the old one again restores the file.
func TestRevertRestores(t *testing.T) {
	for style, src := range styles {
		path := pathFor(style)
		old, ok, err := GetValue([]byte(src), path)
		if err != nil {
			t.Errorf("%s: %v", style, err)
		}
		if !ok || old != "old" || slices.Contains([]string{"alias", "alias in flow", "merge", "double escaped", "literal clip", "literal keep"}, style) {
			continue
		}
		there, err := SetValue([]byte(src), path, "v2")
		if err != nil {
			t.Fatal(err)
		}
		back, err := SetValue(there, path, old)
		if err != nil || string(back) != src {
			t.Errorf("%s: %q became %q (%v)", style, src, back, err)
		}
	}
}

func FuzzSetValue(f *testing.F) {
	for style, src := range styles {
		f.Add([]byte(src), pathFor(style), "v2")
	}
	for _, v := range values {
		f.Add([]byte("a: {t: old}"), "a.t", v)
	}
	f.Fuzz(func(t *testing.T, src []byte, path, value string) {
		got, err := SetValue(src, path, value)
		if err != nil {
			return
		}
		read, ok, err := GetValue(got, path)
		if err != nil || !ok || read != value {
			t.Fatalf("%q: %s reads as %q, %v, %v", got, path, read, ok, err)
		}
		othersStay(t, src, got, path)
		if again, err := SetValue(got, path, value); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("a second time makes %q of %q (%v)", again, got, err)
		}
	})
}

// othersStay compares what Helm's library reads, where it reads the file at all.
func othersStay(t *testing.T, src, got []byte, path string) {
	t.Helper()
	var before, after any
	if f, err := parse(src); err != nil || slices.ContainsFunc(f.docs, collide) || bytes.ContainsRune(src, '!') {
		return // Helm takes any of two keys such as 1 and "1", and the libraries differ in what "!" alone means
	}
	if yaml11.Unmarshal(src, &before) != nil || before == nil || yaml11.Unmarshal(got, &after) != nil {
		return
	}
	steps, err := parsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range diff("", toTree(before), toTree(after)) {
		if p != (place{missing: steps}).spell("").path && p != keyEscape.Replace(path) {
			t.Fatalf("%q became %q: %s changed, not only %s", src, got, p, path)
		}
	}
}

func collide(n *yaml.Node) bool {
	keys := map[string]bool{}
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		key, err := seen(resolved(n.Content[i]))
		if err != nil || keys[key] {
			return true
		}
		keys[key] = true
	}
	return slices.ContainsFunc(n.Content, collide)
}

func toTree(v any) tree {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]tree{}
		for k, e := range v {
			m[k] = toTree(e)
		}
		return m
	case []any:
		var list []tree
		for _, e := range v {
			list = append(list, toTree(e))
		}
		return list
	case nil:
		return scalar{tag: nullTag}
	}
	return scalar{fmt.Sprintf("%T", v), fmt.Sprint(v)}
}

func FuzzSetPins(f *testing.F) {
	for _, src := range goldenInputs(f, "pins") {
		f.Add(src, "web", "ghcr.io/a/web", "v2", true)
	}
	for _, src := range styles {
		f.Add([]byte(strings.ReplaceAll(src, "a:", "pins:")), "", "nginx", "1.10", false)
	}
	f.Fuzz(func(t *testing.T, src []byte, alias, name, tag string, hold bool) {
		pin := image.Pin{Alias: alias, Image: name, Tag: tag, Hold: hold}
		got, err := SetPins(src, []image.Pin{pin})
		if err != nil {
			return
		}
		file, err := ParsePins("x", got)
		if err != nil || !slices.ContainsFunc(file.Pins, func(p image.Pin) bool { return p.Alias == alias && p.Tag == tag }) {
			t.Fatalf("%q: %+v, %v", got, file, err)
		}
		if again, err := SetPins(got, []image.Pin{pin}); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("a second time makes %q of %q (%v)", again, got, err)
		}
	})
}

func FuzzSetKustomizeImage(f *testing.F) {
	for _, src := range goldenInputs(f, "kustomization") {
		f.Add(src, "nginx", "", "v2", "")
		f.Add(src, "nginx", "ghcr.io/a/web", "", "sha256:0123")
	}
	f.Fuzz(func(t *testing.T, src []byte, name, newName, tag, digest string) {
		c := KustomizeChange{name, newName, tag, digest}
		got, err := SetKustomizeImage(src, c)
		if err != nil {
			return
		}
		if again, err := SetKustomizeImage(got, c); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("a second time makes %q of %q (%v)", again, got, err)
		}
	})
}

func goldenInputs(t testing.TB, group string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../../test/testdata/edit/" + group + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(name), ".yaml")] = data
	}
	return out
}
