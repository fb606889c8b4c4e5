package parity

import (
	"cmp"
	"encoding/json"
	"os"
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/test/argocd"
)

// A testCase is an entry of testdata/*.yaml.
type testCase struct {
	Name       string
	Path       string
	App        string
	Helm       *v1alpha1.ApplicationSourceHelm
	Kustomize  *v1alpha1.ApplicationSourceKustomize
	Parameters []parameter
	Moved      string // the application's name at tagpin, where it differs
	Build      string // flags of kustomize build
	Fails      bool   // neither renders
	Differs    string // why tagpin renders something else, or renders what native does not
	Differs35  string // the same, for Argo CD 3.5 alone
	Equal35    bool   // what differs does not in Argo CD 3.5
}

func (c testCase) sources(t *testing.T) (native, tagpin source) {
	t.Helper()
	native = source{Path: c.Path, Helm: c.Helm, Kustomize: c.Kustomize}
	tagpin, err := viaTagpin(native)
	if err != nil {
		t.Fatal(err)
	}
	if c.Build != "" {
		tagpin.Plugin.Parameters = append(tagpin.Plugin.Parameters, parameter{Name: "kustomize.buildOptions", String_: &c.Build})
	}
	if c.Parameters != nil {
		tagpin.Plugin.Parameters = c.Parameters
	}
	return native, tagpin
}

func readCases(t *testing.T, file string) []testCase {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// Each field of the native sources, by itself and with others, gives the same manifests as the parameter of its name.
func TestCases(t *testing.T) {
	b := start(t)
	dir := t.TempDir()
	unpack(t, dir)
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "charts")
	for _, file := range []string{"helm", "kustomize"} {
		for _, c := range readCases(t, "testdata/"+file+".yaml") {
			t.Run(file+"/"+c.Name, func(t *testing.T) { b.compare(t, "file://"+dir, c) })
		}
	}
}

func (b bench) compare(t *testing.T, repo string, c testCase) {
	switch {
	case *other == "":
	case c.Equal35:
		c.Differs = ""
	case c.Differs35 != "":
		c.Differs = c.Differs35
	}
	native, tagpin := c.sources(t)
	parameters, err := json.Marshal(tagpin.Plugin.Parameters)
	if err != nil {
		t.Fatal(err)
	}
	want, wantErr := b.server.Generate(t.Context(), argocd.Request{App: c.App, RepoURL: repo, Source: native, NoCache: true,
		Repos: b.repos, BuildOptions: c.Build})
	app := cmp.Or(c.Moved, c.App)
	got, gotErr := b.server.Generate(t.Context(), argocd.Request{App: app, RepoURL: repo, Source: tagpin, NoCache: true})
	diff, err := difference(want, got)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case c.Fails && (wantErr == nil || gotErr == nil), !c.Fails && gotErr != nil, !c.Fails && c.Differs == "" && wantErr != nil:
		t.Errorf("parameters %s\nnative: %v\ntagpin: %v", parameters, wantErr, gotErr)
	case diff != "" && c.Differs == "":
		t.Errorf("parameters %s\n%s", parameters, diff)
	case diff == "" && c.Differs != "":
		t.Errorf("equal, but expected to differ: %s", c.Differs)
	}
}
