package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

// Patterns in helm.valueFiles are as in Argo CD 3.5 (reposerver/repository/repository.go: getResolvedValueFiles).
func TestValueFilePatterns(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("app/Chart.yaml", "{apiVersion: v2, name: app, version: 0.1.0}\n")
	write("app/templates/x.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, "+
		"data: {last: {{ .Values.last }}, got: {{ keys .Values | sortAlpha | join \"-\" }}}}\n")
	for _, name := range []string{"app/env/a.yaml", "app/env/b.yaml", "app/env/deep/c.yaml", "shared/d.yaml"} {
		letter := strings.TrimSuffix(filepath.Base(name), ".yaml")
		write(name, "last: "+letter+"\nv"+letter+": 1\n")
	}
	if err := os.Mkdir(filepath.Join(root, "links"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "links", "out.yaml")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files  []string
		ignore bool
		want   string // last and got, or a part of the error
	}{
		"one directory":         {files: []string{"env/*.yaml"}, want: "last: b, got: last-va-vb}"},
		"all below":             {files: []string{"env/**/*.yaml"}, want: "got: last-va-vb-vc}"},
		"from the root":         {files: []string{"/shared/*"}, want: "last: d, got: last-vd}"},
		"beside":                {files: []string{"../shared/?.yaml", "env/[a]*"}, want: "last: a, got: last-va-vd}"},
		"variable":              {files: []string{"$ARGOCD_ENV_DIR/*.yaml"}, want: "last: b,"},
		"named one stays":       {files: []string{"env/*.yaml", "env/a.yaml"}, want: "last: a,"},
		"named one stays first": {files: []string{"env/b.yaml", "env/*.yaml"}, want: "last: a,"},
		"first pattern counts":  {files: []string{"env/b*", "env/*.yaml"}, want: "last: a,"},
		"no match":              {files: []string{"none/*.yaml"}, want: `no file matches "none/*.yaml"`},
		"no match ignored":      {files: []string{"env/a.yaml", "none/*.yaml"}, ignore: true, want: "last: a,"},
		"no pattern":            {files: []string{"env/[a"}, want: "is no pattern"},
		"out of the root":       {files: []string{"../../*"}, want: "leads out of the repository"},
		"out by a symlink":      {files: []string{"../links/*.yaml"}, want: "leads out of the repository"},
		"a URL":                 {files: []string{"https://example.com/v.yaml?x=*"}, want: "this is not in the repository, and nothing is fetched here: https://example.com/v.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := render.Render(t.Context(), render.Request{
				Root: root, Path: "app", App: render.App{Name: "app"}, Env: map[string]string{"ARGOCD_ENV_DIR": "env"},
				Helm: image.Helm{ValueFiles: c.files, IgnoreMissingValueFiles: c.ignore},
			})
			text := string(got.Manifests)
			if err != nil {
				text = err.Error()
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}
