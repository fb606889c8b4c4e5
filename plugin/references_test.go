package plugin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tagpin/tagpin/render"
)

// filesSeen renders an application and gives the files that were there, and how often the work was done.
func filesSeen(t *testing.T, files map[string]string, path string, fails bool, env ...string) (seen [][]string) {
	t.Helper()
	var mu sync.Mutex
	s := start(t, options(t, shortDir(t)), func(_ context.Context, r render.Request) (render.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		var names []string
		err := filepath.WalkDir(r.Root, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				name, _ := filepath.Rel(r.Root, p)
				names = append(names, name)
			}
			return err
		})
		slices.Sort(names)
		if seen = append(seen, names); fails && err == nil {
			err = errors.New("something is missing")
		}
		return render.Result{Manifests: []byte(configMap)}, err
	})
	root := writeTree(t, files)
	if err := os.Symlink("../shared/linked", filepath.Join(root, "apps/a/link")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.generateAt(t.Context(), root, path, env...); (err != nil) != fails {
		t.Fatal(err)
	}
	return seen
}

// What an application refers to is unpacked, and what it refers to in turn; the rest of the repository isn't.
func TestOnlyWhatIsReferredToIsUnpacked(t *testing.T) {
	files := map[string]string{
		"apps/a/kustomization.yaml":       "resources: [../../base, deployment.yaml]\ncomponents:\n- \"../../components/tls\"\n",
		"apps/a/deployment.yaml":          "x",
		"apps/b/kustomization.yaml":       "resources: [../../other]",
		"base/kustomization.yaml":         "resources:\n- ../deeper\n",
		"base/x.yaml":                     "x",
		"deeper/kustomization.yaml":       "resources: [x.yaml]",
		"components/tls/x.yaml":           "x",
		"components/none/x.yaml":          "x",
		"charts/common/Chart.yaml":        "name: common",
		"apps/a/sub/Chart.yaml":           "dependencies:\n- {name: common, repository: \"file://../../../charts/common\"}\n",
		"apps/shared/linked/x.yaml":       "y: ../../../linked-from",
		"linked-from/x.yaml":              "x",
		"envs/prod/values.yaml":           "x",
		"envs/prod/more.yaml":             "x",
		"envs/test/values.yaml":           "x",
		"my values/values.yaml":           "x",
		"from-env/values.yaml":            "x",
		"other/x.yaml":                    "x",
		"README.md":                       "see ../other",
		"apps/a/.argocd-source-echo.yaml": "pins: []",
	}
	env := []string{
		`ARGOCD_APP_PARAMETERS=[{"name":"helm.valueFiles","array":["/envs/prod/$ARGOCD_APP_NAME.yaml","../../my values/values.yaml"]},` +
			`{"name":"image-list","string":"x=reg.example.com/x"},{"name":"write-back-method","string":"none"}]`,
		"ARGOCD_ENV_WHERE=../../from-env/values.yaml",
	}
	want := []string{
		"apps/a/.argocd-source-echo.yaml", "apps/a/deployment.yaml", "apps/a/kustomization.yaml", "apps/a/link", "apps/a/sub/Chart.yaml",
		"apps/shared/linked/x.yaml", "base/kustomization.yaml", "base/x.yaml", "charts/common/Chart.yaml", "components/tls/x.yaml",
		"deeper/kustomization.yaml", "envs/prod/more.yaml", "envs/prod/values.yaml", "from-env/values.yaml", "linked-from/x.yaml", "my values/values.yaml",
	}
	seen := filesSeen(t, files, "apps/a", false, env...)
	if len(seen) != 1 || !slices.Equal(seen[0], want) {
		t.Errorf("there are\n%s\nwant\n%s", strings.Join(seen[0], "\n"), strings.Join(want, "\n"))
	}
}

// A render that fails while files are missing is tried again with all of them: an error is that of the whole repository.
func TestErrorsAreThoseOfTheWholeRepository(t *testing.T) {
	files := map[string]string{"apps/a/x.yaml": "x", "other/x.yaml": "x", "apps/shared/linked/x": "x"}
	seen := filesSeen(t, files, "apps/a", true)
	if len(seen) != 2 || slices.Contains(seen[0], "other/x.yaml") || !slices.Contains(seen[1], "other/x.yaml") {
		t.Errorf("the work saw %v", seen)
	}
	if seen = filesSeen(t, files, ".", true); len(seen) != 1 {
		t.Errorf("with nothing left over the work was done %d times", len(seen))
	}
}

func FuzzNamedInFile(f *testing.F) {
	f.Add([]byte("resources: [../a, \"../b c\"]\nfiles: [x=../y]\nrepository: file://../z\n...\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, name := range namedInFile(text) {
			if !strings.Contains(name, "..") || strings.ContainsAny(name, ends) {
				t.Errorf("%q is no reference", name)
			}
		}
		_ = namedBySetting(string(text), "apps/a")
	})
}
