// Package engine executes the templates of charts as Helm's package of that name does, with two differences: what it parsed
// is kept, and it knows whether the output could be another one next time. Make a Templates per chart and call Render.
//
// Helm's engine parses every template again for each render, copies all of them for each call of tpl, and hides its functions,
// so that nobody can tell a chart that calls now or genCA from one that does not. The tests compare the two.
package engine

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// An Output is what the templates of a chart gave.
type Output struct {
	// Files are the outputs by the templates' full names; partials have none.
	Files map[string]string
	// Fresh is set when the same input can give another output: a template asked for the time, for something random, a new key
	// or an address in memory.
	Fresh bool
}

// Render executes the templates of c with the values top, both of which it may change. The same text of a template is parsed
// once for all renders.
func (t *Templates) Render(c *chart.Chart, top chartutil.Values) (out Output, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = Output{}, fmt.Errorf("rendering template failed: %v", p)
		}
	}()
	all := map[string]renderable{}
	collect(c, all, top)
	names := inOrder(all)
	r, err := t.start(all, names)
	if err != nil {
		return Output{}, err
	}
	out.Files = make(map[string]string, len(names))
	for _, name := range names {
		if isPartial(name) {
			continue
		}
		vals := all[name].vals
		vals["Template"] = chartutil.Values{"Name": name, "BasePath": all[name].basePath}
		var b strings.Builder
		if err := r.set.ExecuteTemplate(&b, name, vals); err != nil {
			return Output{}, executionError(name, err)
		}
		text := b.String()
		r.fresh = r.fresh || address.MatchString(text)
		out.Files[name] = withoutNoValue(text)
	}
	out.Fresh = r.fresh
	t.keep(r)
	return out, nil
}

// withoutNoValue is Helm's way around text/template, which prints <no value> for what is missing.
func withoutNoValue(s string) string { return strings.ReplaceAll(s, "<no value>", "") }

// isPartial reports whether a template is only there for others to include.
func isPartial(name string) bool { return strings.HasPrefix(path.Base(name), "_") }

// A renderable is one template of a chart or subchart, and what it sees.
type renderable struct {
	file     *chart.File
	vals     map[string]any
	basePath string
}

// collect gathers the templates of c and its subcharts. Each chart sees its own part of the values.
func collect(c *chart.Chart, all map[string]renderable, vals chartutil.Values) map[string]any {
	subcharts := map[string]any{}
	own := map[string]any{
		"Chart": struct {
			chart.Metadata
			IsRoot bool
		}{*c.Metadata, c.IsRoot()},
		"Files":        newFiles(c.Files),
		"Release":      vals["Release"],
		"Capabilities": vals["Capabilities"],
		"Values":       make(chartutil.Values),
		"Subcharts":    subcharts,
	}
	if c.IsRoot() {
		own["Values"] = vals["Values"]
	} else if v, err := vals.Table("Values." + c.Name()); err == nil {
		own["Values"] = v
	}
	for _, sub := range c.Dependencies() {
		subcharts[sub.Name()] = collect(sub, all, own)
	}
	root := c.ChartFullPath()
	library := strings.EqualFold(c.Metadata.Type, "library")
	for _, f := range c.Templates {
		if f != nil && (!library || isPartial(f.Name)) {
			all[path.Join(root, f.Name)] = renderable{f, own, path.Join(root, "templates")}
		}
	}
	return own
}

// inOrder sorts names the way in which Helm parses and executes templates: deep ones first, so that what a parent chart
// defines wins, and backwards where they are equally deep.
func inOrder(all map[string]renderable) []string {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if da, db := strings.Count(a, "/"), strings.Count(b, "/"); da != db {
			return db - da
		}
		return strings.Compare(b, a)
	})
	return names
}

// parseError is Helm's text for an error of text/template's parser, "template: file:line: message".
func parseError(name string, err error) error {
	parts := strings.Split(err.Error(), ": ")
	if len(parts) == 1 {
		return fmt.Errorf("parse error in (%s): %w", name, err)
	}
	return fmt.Errorf("parse error at (%s): %s", parts[1], parts[len(parts)-1])
}

// executionError is Helm's text for an error while a template was executed: of required and fail, their message alone.
func executionError(name string, err error) error {
	if _, ok := err.(template.ExecError); !ok { //nolint:errorlint // Helm looks at the outermost error only
		return err
	}
	parts := strings.SplitN(err.Error(), ": ", 3)
	if len(parts) != 3 {
		return fmt.Errorf("execution error in (%s): %w", name, err)
	}
	if m := said.FindStringSubmatch(parts[2]); m != nil {
		return fmt.Errorf("execution error at (%s): %s", parts[1], m[1])
	}
	return err
}

// What required and fail say travels through text/template's errors between these two marks.
const (
	saidStart = "HELM_ERR_START"
	saidEnd   = "HELM_ERR_END"
)

var said = regexp.MustCompile(saidStart + `((?s).*)` + saidEnd)

func saying(message string) error { return fmt.Errorf("%s%s%s", saidStart, message, saidEnd) }
