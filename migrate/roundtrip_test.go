package migrate_test

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/migrate"
)

func load(t *testing.T, name string) migrate.Input {
	t.Helper()
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	in, _ := input(a)
	return in
}

// after is the input that the result of a migration makes: its manifest, and the directories as they are in the end.
func after(in migrate.Input, out migrate.Output) migrate.Input {
	next := migrate.Input{Manifest: out.Manifest, Name: in.Name, SourceType: in.SourceType}
	for _, d := range in.Directories {
		files := map[string][]byte{}
		for name, data := range d.Files {
			files[name] = data
		}
		for _, f := range out.Files {
			if path.Dir(f.Path) != d.Path {
				continue
			}
			delete(files, path.Base(f.Path))
			if f.After != nil {
				files[path.Base(f.Path)] = f.After
			}
		}
		next.Directories = append(next.Directories, migrate.Directory{Path: d.Path, Files: files})
	}
	return next
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return v
}

// There, back and there again is the same as there: nothing is lost on the way back.
func TestThereAndBackAndThere(t *testing.T) {
	for _, name := range []string{"alibaba", "kustomize", "helmvalues", "applicationset"} {
		t.Run(name, func(t *testing.T) {
			in := load(t, filepath.Join("testdata", name+".txtar"))
			there, err := migrate.Forward(in)
			if err != nil {
				t.Fatal(err)
			}
			mid := after(in, there)
			back, err := migrate.Back(mid)
			if err != nil {
				t.Fatal(err)
			}
			end := after(mid, back)
			again, err := migrate.Forward(end)
			if err != nil {
				t.Fatalf("%v\n%s", err, back.Manifest)
			}
			if diff := cmp.Diff(decoded(t, there.Manifest), decoded(t, again.Manifest)); diff != "" {
				t.Errorf("(-there +again)\n%s", diff)
			}
			if diff := cmp.Diff(mid.Directories, after(end, again).Directories); diff != "" {
				t.Errorf("(-there +again)\n%s", diff)
			}
		})
	}
}

// An application that leaves nothing implied comes back as it was, file and all.
func TestBackIsWhatItWas(t *testing.T) {
	in := load(t, "testdata/alibaba.txtar")
	there, err := migrate.Forward(in)
	if err != nil {
		t.Fatal(err)
	}
	mid := after(in, there)
	back, err := migrate.Back(mid)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decoded(t, in.Manifest), decoded(t, back.Manifest)); diff != "" {
		t.Errorf("(-was +is)\n%s", diff)
	}
	const name = ".argocd-source-gitops-demo.yaml"
	if diff := cmp.Diff(decoded(t, in.Directories[0].Files[name]), decoded(t, after(mid, back).Directories[0].Files[name])); diff != "" {
		t.Errorf("(-was +is)\n%s", diff)
	}
	for _, comment := range []string{"# The echo server", "# stays", "# what is watched", "# releases", "# ours", "# the files"} {
		if !strings.Contains(string(back.Manifest), comment) {
			t.Errorf("the comment %q is lost:\n%s", comment, back.Manifest)
		}
	}
}

// At no point of either way does a file that Argo CD reads name a tag other than the one that runs.
func TestEveryStageNamesWhatRuns(t *testing.T) {
	in := load(t, "testdata/alibaba.txtar")
	there, err := migrate.Forward(in)
	if err != nil {
		t.Fatal(err)
	}
	back, err := migrate.Back(after(in, there))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(there.Files, back.Files...) {
		for _, stage := range [][]byte{f.Before, f.After} {
			if !strings.Contains(string(stage), "v2.0") {
				t.Errorf("%s:\n%s", f.Path, stage)
			}
		}
		var before map[string]any
		if err := yaml.Unmarshal(f.Before, &before); err != nil || before["pins"] == nil || before["helm"] == nil {
			t.Errorf("both sections must stand beside each other before the switch: %v\n%s", err, f.Before)
		}
	}
}

// Credentials that someone put where they don't belong are not repeated.
func TestCanarySecrets(t *testing.T) {
	const canary = "canary-password"
	manifest := `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: web
  annotations:
    argocd-image-updater.argoproj.io/image-list: web=registry.example.com/web
    argocd-image-updater.argoproj.io/write-back-method: git
    argocd-image-updater.argoproj.io/KEY: VALUE
spec: {source: {repoURL: https://git.example.com/x.git, path: x, helm: {valueFiles: ["https://user:` + canary + `@example.com/v.yaml?token=` + canary + `"]}}}
`
	for key, value := range map[string]string{
		"web.pull-secret": "user:" + canary, "web.allow-tags": "any", "git-repository": "https://user:" + canary + "@git.example.com/x.git",
	} {
		out, err := migrate.Forward(migrate.Input{Manifest: []byte(strings.NewReplacer("KEY", key, "VALUE", value).Replace(manifest))})
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", key, err)
		}
		for _, n := range out.Notes {
			if strings.Contains(n.String(), canary) {
				t.Errorf("%s: %v", key, n)
			}
		}
	}
}

// seeds are the manifests and files of all cases.
func seeds(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		in, _ := input(a)
		override := []byte("pins: []")
		for _, d := range in.Directories {
			for name, data := range d.Files {
				if migrate.IsOverride(name) {
					override = data
				}
			}
		}
		f.Add(in.Manifest, in.Updater, override)
	}
}

func FuzzForward(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, manifest, updater, override []byte) {
		try(t, migrate.Forward, manifest, updater, override)
	})
}

func FuzzBack(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, manifest, updater, override []byte) {
		try(t, migrate.Back, manifest, updater, override)
	})
}

// try makes sure that nothing panics and that what comes out can be read.
func try(t *testing.T, turn func(migrate.Input) (migrate.Output, error), manifest, updater, override []byte) {
	files := map[string][]byte{"Chart.yaml": nil}
	for _, name := range []string{".argocd-source-web.yaml", ".argocd-source-gitops-demo.yaml", ".argocd-source.yaml"} {
		files[name] = override
	}
	out, err := turn(migrate.Input{Manifest: manifest, Updater: updater, SourceType: "helm",
		Directories: []migrate.Directory{{Path: "x", Files: files}}})
	if err != nil {
		return
	}
	var v yaml.Node
	if err := yaml.Unmarshal(out.Manifest, &v); err != nil {
		t.Errorf("%v\n%s", err, out.Manifest)
	}
}
