package render_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/render"
)

var update = flag.Bool("update", false, "write the errors into the golden files")

// Each file of testdata/render/errors is a repository, a request and the error it must give.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata, "errors", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			root := t.TempDir()
			var r render.Request
			var want *txtar.File
			for i, f := range archive.Files {
				switch f.Name {
				case "request.yaml":
					if err := yaml.UnmarshalStrict(f.Data, &r); err != nil {
						t.Fatal(err)
					}
				case "want":
					want = &archive.Files[i]
				default:
					write(t, root, f.Name, string(f.Data))
				}
			}
			if r.Root = root; r.App.Name == "" {
				r.App.Name = "app"
			}
			_, err = render.Render(t.Context(), r)
			if err == nil {
				t.Fatal("rendered without an error")
			}
			got := err.Error() + "\n"
			if strings.Contains(got, root) || strings.Contains(got, "canary") {
				t.Errorf("the error tells too much: %s", got)
			}
			if *update && want == nil {
				archive.Files = append(archive.Files, txtar.File{Name: "want"})
				want = &archive.Files[len(archive.Files)-1]
			}
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want == nil {
				t.Fatalf("no golden error; got: %s", got)
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func write(t *testing.T, root, name, content string) {
	t.Helper()
	file := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
