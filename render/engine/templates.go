package engine

import (
	"fmt"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"helm.sh/helm/v3/pkg/chart"
)

// Templates keeps the parsed templates of one chart. Its zero value is ready. It is safe for concurrent use: parsed templates
// never change.
type Templates struct {
	mu     sync.Mutex
	parsed map[source]trees
	texts  map[string]trees // what tpl was given in the last render
}

// A source is the text of a template under a name. The same file has the same first byte, always: files are kept as long as
// their Templates.
type source struct {
	name string
	file *chart.File
}

// trees are a parsed text and what it defines, by name.
type trees map[string]*parse.Tree

// rootName is the name of the template that everything is associated with, and of every text that tpl is given.
const rootName = "gotpl"

func parseText(name, text string) (trees, error) {
	return parse.Parse(name, text, "", "", functionNames())
}

// A run is one render.
type run struct {
	set      *template.Template
	included map[string]int
	texts    map[string]trees // parsed before
	used     map[string]trees // parsed or used by this run
	fresh    bool
}

// start parses what is not known yet, and puts a set of all templates together.
func (t *Templates) start(all map[string]renderable, names []string) (*run, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &run{included: map[string]int{}, texts: t.texts, used: map[string]trees{}}
	set, err := pure().Clone()
	if err != nil {
		return nil, err
	}
	r.set = set.Option(missingKey)
	r.set.Funcs(r.functions())
	parsed := make(map[source]trees, len(names))
	for _, name := range names {
		key := source{name, all[name].file}
		tree, known := t.parsed[key]
		if !known {
			if tree, err = parseText(name, string(key.file.Data)); err != nil {
				return nil, parseError(name, err)
			}
		}
		parsed[key] = tree
		if err := add(r.set.New(name), tree); err != nil {
			return nil, parseError(name, err)
		}
	}
	t.parsed = parsed
	return r, nil
}

// keep holds on to the texts that this render gave to tpl, for the next one.
func (t *Templates) keep(r *run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.texts = r.used
}

func add(t *template.Template, parsed trees) error {
	for name, tree := range parsed {
		if _, err := t.AddParseTree(name, tree); err != nil {
			return err
		}
	}
	return nil
}

// missingKey is Helm's option for what a map lacks. Clone loses it (golang/go#43022).
const missingKey = "missingkey=zero"

// A scope is a set of templates in which include and tpl look: the whole chart's, or within a text that defines some of its
// own, those as well.
type scope struct {
	*run
	set *template.Template
}

// maxNested is how deep one name may be included in itself.
const maxNested = 1000

func (s scope) include(name string, data any) (string, error) {
	if s.included[name] > maxNested {
		return "", fmt.Errorf("rendering template has a nested reference name: %s: unable to execute template", name)
	}
	s.included[name]++
	var b strings.Builder
	err := s.set.ExecuteTemplate(&b, name, data)
	s.included[name]--
	return b.String(), err
}

func (s scope) tpl(text string, data any) (string, error) {
	if !strings.Contains(text, "{{") {
		return withoutNoValue(text), nil
	}
	t, err := s.template(text)
	if err != nil {
		return "", fmt.Errorf("cannot parse template %q: %w", text, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", fmt.Errorf("error during tpl function execution for %q: %w", text, err)
	}
	return withoutNoValue(b.String()), nil
}

// template makes a template of a text. One that defines others, or may mean itself, gets a set of its own, as each has in
// Helm; it is costly.
func (s scope) template(text string) (*template.Template, error) {
	parsed, err := s.parse(text)
	if err != nil {
		return nil, err
	}
	if len(parsed) == 1 && !strings.Contains(text, rootName) {
		t := s.set.New(rootName)
		t.Tree = parsed[rootName]
		return t, nil
	}
	set, err := s.set.Clone()
	if err != nil {
		return nil, err
	}
	inner := scope{s.run, set}
	set.Option(missingKey).Funcs(template.FuncMap{"include": inner.include, "tpl": inner.tpl})
	t := set.New(rootName)
	return t, add(t, parsed)
}

func (s scope) parse(text string) (trees, error) {
	parsed, known := s.used[text]
	if !known {
		parsed, known = s.texts[text]
	}
	if !known {
		var err error
		if parsed, err = parseText(rootName, text); err != nil {
			return nil, err
		}
	}
	s.used[text] = parsed
	return parsed, nil
}
