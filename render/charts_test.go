package render_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

// What is kept of a chart shows in no render: one after the other, and several at a time, they give what a first one gives.
func TestKeptChartsRenderTheSame(t *testing.T) {
	requests := []render.Request{
		{Root: testdata, Path: "webshop"},
		{Root: testdata, Path: "webshop", Helm: image.Helm{ValueFiles: []string{"environments/prod.yaml"}}},
		{Root: testdata, Path: "webshop", Helm: image.Helm{Parameters: map[string]string{"cache.enabled": "false"}, SkipCrds: true}},
		{Root: testdata, Path: "webshop", App: render.App{Name: "other", APIVersions: []string{"monitoring.coreos.com/v1"}}},
		{Root: demo, Path: "helm", Images: []render.Image{echo("v2.0")}},
		{Root: demo, Path: "helm", Images: []render.Image{echo("v3.0")}},
	}
	for i := range requests {
		if requests[i].App.Name == "" {
			requests[i].App.Name = "shop"
		}
	}
	for _, limit := range []int{0, 64 << 20} {
		charts := render.NewCharts(limit)
		var wg sync.WaitGroup
		for i := range 6 * len(requests) {
			wg.Go(func() {
				want, err := render.Render(t.Context(), requests[i%len(requests)])
				if err != nil {
					t.Error(err)
				}
				got, err := charts.Render(t.Context(), requests[i%len(requests)])
				if diff := cmp.Diff(string(want.Manifests), string(got.Manifests)); err != nil || diff != "" {
					t.Errorf("limit %d, request %d: %v\n%s", limit, i%len(requests), err, diff)
				}
			})
		}
		wg.Wait()
	}
}

// A chart is known by its files: what changes in any of them shows, and so does what comes and goes.
func TestChangedChartsAreParsedAgain(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")
	write("values.yaml", "v: 0\n")
	write("templates/a.yaml", "a: {{ include \"h\" . }} {{ .Values.v }} {{ .Files.Get \"f\" }} {{ len .Subcharts }}\n")
	write("templates/_h.tpl", "{{ define \"h\" }}0{{ end }}")
	charts := render.NewCharts(render.DefaultCharts)
	check := func(want string) {
		t.Helper()
		for range 2 {
			got, err := charts.Render(t.Context(), render.Request{Root: root, Path: ".", App: render.App{Name: "c"}})
			if want = "---\n# Source: c/templates/a.yaml\n" + want; err != nil || string(got.Manifests) != want+"\n" {
				t.Errorf("%s, %v; want %s", got.Manifests, err, want)
			}
			want = want[len("---\n# Source: c/templates/a.yaml\n"):]
		}
	}
	check("a: 0 0  0")
	write("templates/_h.tpl", "{{ define \"h\" }}1{{ end }}")
	check("a: 1 0  0")
	write("values.yaml", "v: 1\n")
	check("a: 1 1  0")
	write("f", "file")
	check("a: 1 1 file 0")
	write("charts/s/Chart.yaml", "apiVersion: v2\nname: s\nversion: 1.0.0\n")
	check("a: 1 1 file 1")
	write(".helmignore", "f\n")
	check("a: 1 1  1")
	write("templates/a.yaml", "b: {{ .Values.v }}\n")
	check("b: 1")
}

// What a template makes anew each time is made anew, however well the chart is known.
func TestFreshValuesStayFresh(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"Chart.yaml":       "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		"templates/a.yaml": "a: {{ randAlphaNum 20 }} {{ now.UnixNano }} {{ uuidv4 }} {{ tpl \"{{ randAlphaNum 20 }}\" . }} {{ (genCA \"c\" 1).Cert | sha256sum }}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	charts := render.NewCharts(render.DefaultCharts)
	seen := map[string]bool{}
	const renders = 3
	for range renders {
		got, err := charts.Render(t.Context(), render.Request{Root: root, Path: ".", App: render.App{Name: "c"}})
		if err != nil {
			t.Fatal(err)
		}
		var a, b, c, d, e string
		if _, err := fmt.Sscanf(string(got.Manifests), "---\n# Source: c/templates/a.yaml\na: %s %s %s %s %s", &a, &b, &c, &d, &e); err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{a, b, c, d, e} {
			seen[value] = true
		}
	}
	if len(seen) != 5*renders {
		t.Errorf("%d different values in %d renders of 5", len(seen), renders)
	}
}
