package image_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/tagpin/tagpin/image"
)

// TestDocs holds docs/parameters.md to the table of definitions: go test ./image -run TestDocs -update writes it anew.
func TestDocs(t *testing.T) {
	const page = "../docs/parameters.md"
	// What is between backquotes is shown as it is; elsewhere HTML and emphasis are escaped.
	outside := strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`)
	cell := func(s string) string {
		parts := strings.Split(s, "`")
		for i := range parts {
			if i%2 == 0 {
				parts[i] = outside.Replace(parts[i])
			} else {
				parts[i] = strings.ReplaceAll(parts[i], "|", `\|`)
			}
		}
		return strings.Join(parts, "`")
	}
	tmpl, err := template.New("parameters.md.tmpl").Funcs(template.FuncMap{"cell": cell}).ParseFiles("testdata/parameters.md.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := tmpl.Execute(&want, pageData()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s differs from the definitions: go test ./image -run TestDocs -update", page)
	}
}

type row struct{ Name, Env, Kind, Default, Tooltip string }

type documented struct{ Entry, Theirs, Ours, Reason string }

func pageData() map[string]any {
	tables := map[string][]row{}
	for _, d := range image.Definitions() {
		r := row{Name: d.Name, Env: "`" + image.EnvName(d.Name) + "`", Kind: string(d.Kind), Default: d.Default, Tooltip: d.Tooltip}
		group := "Application"
		switch {
		case d.AliasOnly:
			group, r.Name, r.Env = "AliasOnly", "<alias>."+d.Name, "`<ALIAS>_"+image.EnvName(d.Name)+"`"
		case d.PerImage:
			group = "PerImage"
		case strings.HasPrefix(d.Name, "helm."):
			group = "Helm"
		case strings.HasPrefix(d.Name, "kustomize."):
			group = "Kustomize"
		}
		switch {
		case d.Boolean:
			r.Kind = "Boolean"
		case d.Commas:
			r.Kind = "array, or commas"
		case d.Kind != image.StringKind:
			r.Env = ""
		}
		tables[group] = append(tables[group], r)
	}
	data := map[string]any{}
	for group, rows := range tables {
		data[group] = rows
	}
	var list []documented
	for _, d := range differences() {
		list = append(list, documented{strings.TrimPrefix(d.Case, "ident-"), d.Theirs, d.Ours, d.Reason})
	}
	data["Differences"] = list
	return data
}
