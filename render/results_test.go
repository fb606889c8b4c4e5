package render_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

// counted counts how often something is really rendered, as in the shipped configuration: Results before, Charts behind.
type counted struct {
	*render.Results
	renders int
}

func count(limit int) *counted {
	c := &counted{}
	charts := render.NewCharts(render.DefaultCharts)
	c.Results = render.NewResults(limit, func(ctx context.Context, r render.Request) (render.Result, error) {
		c.renders++
		return charts.Render(ctx, r)
	})
	return c
}

// repository has a chart and an overlay.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"chart/Chart.yaml":               "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		"chart/values.yaml":              "a: 1\n",
		"chart/templates/a.yaml":         "kind: A\na: {{ .Values.a }}\nname: {{ .Release.Name }}\nfile: {{ .Files.Get \"f.txt\" }}\n",
		"chart/charts/s/Chart.yaml":      "apiVersion: v2\nname: s\nversion: 1.0.0\n",
		"chart/charts/s/templates/b.yml": "kind: B\n",
		"environments/prod.yaml":         "b: 1\n",
		"base/kustomization.yaml":        "resources: [a.yaml]\nconfigMapGenerator: [{name: g, files: [text.txt]}]\n",
		"base/a.yaml":                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
		"base/text.txt":                  "text",
		"overlay/kustomization.yaml":     "resources: [../link]\nnamePrefix: p-\n",
		"other.txt":                      "not read",
	} {
		overwrite(t, filepath.Join(root, name), text)
	}
	if err := os.Symlink("base", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	return root
}

func overwrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a render looked at, and nothing else, makes it be done again; the output is always that of a render without Results.
func TestResultsFollowWhatWasRead(t *testing.T) {
	helm := render.Request{Path: "chart", App: render.App{Name: "shop"}, Env: map[string]string{"ARGOCD_APP_NAME": "shop", "ARGOCD_APP_REVISION": "1"},
		Helm: image.Helm{ValueFiles: []string{"/environments/*.yaml", "/$ARGOCD_APP_NAME.yaml"}, IgnoreMissingValueFiles: true}}
	overlay := render.Request{Path: "overlay", App: render.App{Name: "shop"}}
	write := func(name, text string) func(*testing.T, string, *render.Request) {
		return func(t *testing.T, root string, _ *render.Request) { overwrite(t, filepath.Join(root, name), text) }
	}
	remove := func(name string) func(*testing.T, string, *render.Request) {
		return func(t *testing.T, root string, _ *render.Request) {
			if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		request render.Request
		change  func(*testing.T, string, *render.Request)
		again   bool
	}{
		"nothing":      {helm, func(*testing.T, string, *render.Request) {}, false},
		"another file": {helm, write("other.txt", "changed"), false},
		"another revision": {helm, func(_ *testing.T, _ string, r *render.Request) {
			r.Env = map[string]string{"ARGOCD_APP_NAME": "shop", "ARGOCD_APP_REVISION": "2"}
		}, false},
		"a variable":              {helm, func(_ *testing.T, _ string, r *render.Request) { r.Env = map[string]string{"ARGOCD_APP_NAME": "x"} }, true},
		"a variable is gone":      {helm, func(_ *testing.T, _ string, r *render.Request) { r.Env = nil }, true},
		"a parameter":             {helm, func(_ *testing.T, _ string, r *render.Request) { r.Helm.Parameters = map[string]string{"a": "2"} }, true},
		"an application":          {helm, func(_ *testing.T, _ string, r *render.Request) { r.App.Name = "other" }, true},
		"a template":              {helm, write("chart/templates/a.yaml", "kind: C\n"), true},
		"a new template":          {helm, write("chart/templates/sub/c.yaml", "kind: C\n"), true},
		"a removed template":      {helm, remove("chart/charts/s/templates/b.yml"), true},
		"a removed subchart":      {helm, remove("chart/charts"), true},
		"the values":              {helm, write("chart/values.yaml", "a: 2\n"), true},
		"a file":                  {helm, write("chart/f.txt", "text"), true},
		".helmignore":             {helm, write("chart/.helmignore", "values.yaml\n"), true},
		"a value file":            {helm, write("environments/prod.yaml", "a: 3\n"), true},
		"a file of a pattern":     {helm, write("environments/staging.yaml", "a: 3\n"), true},
		"a file that was missing": {helm, write("shop.yaml", "a: 4\n"), true},
		"an overlay's nothing":    {overlay, write("chart/values.yaml", "a: 2\n"), false},
		"a kustomization":         {overlay, write("overlay/kustomization.yaml", "resources: [../base]\n"), true},
		"a base":                  {overlay, write("base/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"), true},
		"a generator's file":      {overlay, write("base/text.txt", "changed"), true},
		"a second kustomization":  {overlay, write("overlay/kustomization.yml", "resources: []\n"), true},
		"a symlink": {overlay, func(t *testing.T, root string, r *render.Request) {
			remove("link")(t, root, r)
			overwrite(t, filepath.Join(root, "link/kustomization.yaml"), "resources: [../base]\nnameSuffix: -s\n")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			results := count(render.DefaultResults)
			first, second := repository(t), repository(t)
			c.request.Root = first
			if _, err := results.Render(t.Context(), c.request); err != nil {
				t.Fatal(err)
			}
			c.request.Root = second // another directory each time, as the archive is unpacked anew
			c.change(t, second, &c.request)
			want, wantErr := render.Render(t.Context(), c.request)
			for range 2 {
				got, err := results.Render(t.Context(), c.request)
				if diff := cmp.Diff(string(want.Manifests), string(got.Manifests)); diff != "" || (err == nil) != (wantErr == nil) {
					t.Errorf("%v, %v\n%s", wantErr, err, diff)
				}
			}
			renders := 1
			if c.again {
				renders = 2
			}
			if wantErr != nil {
				renders = 3 // errors are not kept
			}
			if results.renders != renders {
				t.Errorf("%d renders", results.renders)
			}
		})
	}
}

// Branches of one application take turns without a render, and what is too much is dropped.
func TestResultsAreBounded(t *testing.T) {
	results := count(8000)
	render1 := func(a string) {
		t.Helper()
		root := repository(t)
		overwrite(t, filepath.Join(root, "chart/values.yaml"), "a: "+a+"\n")
		got, err := results.Render(t.Context(), render.Request{Root: root, Path: "chart", App: render.App{Name: "shop"}})
		if err != nil || !strings.Contains(string(got.Manifests), "a: "+a) {
			t.Errorf("%s, %v", got.Manifests, err)
		}
	}
	render1("1")
	render1("1")
	if results.renders != 1 {
		t.Errorf("%d renders of the same", results.renders)
	}
	for range 3 {
		render1("1")
		render1(strings.Repeat("x", 9000)) // too large to keep
	}
	if results.renders != 4 {
		t.Errorf("%d renders with some too large to keep", results.renders)
	}
	results = count(1 << 20)
	for range 3 {
		for _, a := range []string{"1", "2", "3"} {
			render1(a)
		}
	}
	if results.renders != 3 {
		t.Errorf("%d renders of three branches", results.renders)
	}
	results = count(0)
	render1("1")
	render1("1")
	if results.renders != 2 {
		t.Errorf("%d renders without room", results.renders)
	}
}

// A chart that makes something anew is rendered each time.
func TestResultsDoNotKeepFreshValues(t *testing.T) {
	results := count(render.DefaultResults)
	root := repository(t)
	overwrite(t, filepath.Join(root, "chart/templates/a.yaml"), "kind: A\na: {{ randAlphaNum 20 }}\n")
	seen := map[string]bool{}
	for range 3 {
		got, err := results.Render(t.Context(), render.Request{Root: root, Path: "chart", App: render.App{Name: "shop"}})
		if err != nil {
			t.Fatal(err)
		}
		seen[string(got.Manifests)] = true
	}
	if len(seen) != 3 || results.renders != 3 {
		t.Errorf("%d outputs of %d renders", len(seen), results.renders)
	}
}
