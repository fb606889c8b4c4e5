package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/reposerver/repository"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/image"
)

// writeTree makes a directory with files; the names are slash-separated.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const application = `
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: echo, namespace: team}
spec:
  project: shop
  destination: {namespace: demo}
  source:
    repoURL: https://git.example.com/demo.git
    path: apps/echo
    targetRevision: main
    plugin:
      name: tagpin
      env:
      - {name: IMAGE_LIST, value: "web=$ARGOCD_APP_NAMESPACE/$$web:$KUBE_VERSION$HOME"}
      parameters:
      - {name: hold, string: "false"}
      - {name: helm.valueFiles, array: [a.yaml]}
`

func TestLoadApplication(t *testing.T) {
	root := writeTree(t, map[string]string{
		"apps/echo/Chart.yaml":                    "name: echo",
		"apps/echo/.argocd-source.yaml":           "path: elsewhere\nplugin: {parameters: [{name: hold, string: 'true'}]}",
		"apps/echo/.argocd-source-team_echo.yaml": "pins: []",
		"apps/echo/.argocd-source-echo.yaml":      "not: [merged",
	})
	dir, got, err := LoadApplication([]byte(application), root, ApplicationOptions{
		Revision: "0123456789", KubeVersion: "1.31.2+k3s1", APIVersions: []string{"v1", "apps/v1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if dir != (Dir{root, "apps/echo"}) {
		t.Errorf("directory %+v", dir)
	}
	list := "web=demo/$web:1.31.2k3s1"
	want := Request{
		App: image.Application{Name: "team_echo", Project: "shop", RepoURL: "https://git.example.com/demo.git", Path: "apps/echo",
			TargetRevision: "main", Revision: "0123456789"},
		Namespace:   "demo",
		KubeVersion: "1.31.2k3s1",
		APIVersions: []string{"v1", "apps/v1"},
		Parameters:  []image.Parameter{{Name: "hold", String: ptr("true")}},
		Env:         map[string]string{"IMAGE_LIST": list},
		Substitution: map[string]string{
			"ARGOCD_APP_NAME": "team_echo", "ARGOCD_APP_NAMESPACE": "demo", "ARGOCD_APP_PROJECT_NAME": "shop",
			"ARGOCD_APP_REVISION": "0123456789", "ARGOCD_APP_REVISION_SHORT": "0123456", "ARGOCD_APP_REVISION_SHORT_8": "01234567",
			"ARGOCD_APP_SOURCE_REPO_URL": "https://git.example.com/demo.git", "ARGOCD_APP_SOURCE_PATH": "apps/echo",
			"ARGOCD_APP_SOURCE_TARGET_REVISION": "main", "ARGOCD_ENV_IMAGE_LIST": list,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadApplicationErrors(t *testing.T) {
	app := func(spec string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: echo}\nspec: " + spec
	}
	two := `{name: a, path: a, plugin: {name: tagpin}}, {name: b, path: b, plugin: {name: tagpin}}, {path: c, helm: {}}`
	for name, c := range map[string]struct {
		manifest, source, override, want string
	}{
		"no Application":   {manifest: "kind: Secret", want: "found 0 objects of kind Application (argoproj.io) where one is expected"},
		"two Applications": {manifest: app("{}") + "\n---\n" + app("{}"), want: "found 2 objects of kind Application (argoproj.io) where one is expected"},
		"other plugin": {manifest: app("{source: {path: a, plugin: {name: other}}}"),
			want: `application echo: its source does not call the plugin "tagpin": set spec.source.plugin.name`},
		"no plugin": {manifest: app("{source: {path: a}}"),
			want: `application echo: its source does not call the plugin "tagpin": set spec.source.plugin.name`},
		"plugin from the file": {manifest: app("{source: {path: a}}"), override: "plugin: {name: tagpin}"},
		"helm beside the plugin": {manifest: app("{source: {path: a, plugin: {name: tagpin}}}"), override: "helm: {releaseName: x}",
			want: "application echo: multiple application sources defined: Helm,Plugin: a source that names a plugin can't have helm, " +
				"kustomize or directory, not in an .argocd-source file either: write plugin.parameters instead"},
		"several sources": {manifest: app("{sources: [" + two + "]}"),
			want: `application echo: 2 of its sources call the plugin "tagpin": give the sources names and choose one with --source`},
		"one of several": {manifest: app("{sources: [" + two + "]}"), source: "b"},
		"absent source":  {manifest: app("{sources: [" + two + "]}"), source: "c", want: `application echo: no source named "c" calls the plugin "tagpin"`},
		"none of several": {manifest: app("{sources: [{path: a}, {path: b}]}"),
			want: `application echo: none of its sources calls the plugin "tagpin": set plugin.name in one`},
		"path outside": {manifest: app("{source: {path: ../a, plugin: {name: tagpin}}}"),
			want: `application echo: the source path "../a" leaves the repository: correct spec.source.path`},
		"broken file": {manifest: app("{source: {path: a, plugin: {name: tagpin}}}"), override: "plugin: [",
			want: "application echo: a/.argocd-source.yaml: yaml: line 1: did not find expected node content"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"a/x": "", "b/x": ""}
			if c.override != "" {
				files["a/.argocd-source.yaml"] = c.override
			}
			_, _, err := LoadApplication([]byte(c.manifest), writeTree(t, files), ApplicationOptions{Source: c.source})
			wantError(t, err, c.want)
		})
	}
}

// Argo CD's own merge is the oracle, with its peculiarities.
func TestMergeOverridesLikeArgoCD(t *testing.T) {
	const source = `
repoURL: https://git.example.com/demo.git
path: echo
targetRevision: main
plugin:
  name: tagpin
  env: [{name: A, value: a}, {name: B, value: b}]
  parameters: [{name: images, map: {old: "1"}}, {name: x, string: y}]
`
	for name, files := range map[string]map[string]string{
		"none":              {},
		"pins only":         {".argocd-source-echo.yaml": "pins: [{image: a}]"},
		"both files":        {".argocd-source.yaml": "plugin: {env: [{name: C, value: c}]}", ".argocd-source-echo.yaml": "plugin: {env: []}"},
		"items bleed":       {".argocd-source.yaml": "plugin: {parameters: [{name: pins, string: x}], env: [{value: z}]}"},
		"null":              {".argocd-source.yaml": "plugin: null"},
		"restored fields":   {".argocd-source.yaml": "{repoURL: x, path: y, targetRevision: z, chart: c}"},
		"other case":        {".argocd-source.yaml": "Plugin: {Parameters: [{Name: write-back-method, string: git}]}"},
		"an empty file":     {".argocd-source.yaml": ""},
		"not a mapping":     {".argocd-source.yaml": "[a]"},
		"helm":              {".argocd-source.yaml": "helm: {releaseName: x}"},
		"broken":            {".argocd-source-echo.yaml": "a: ["},
		"is a directory":    {".argocd-source.yaml/x": ""},
		"of another":        {".argocd-source-other.yaml": "helm: {}"},
		"wrong type":        {".argocd-source.yaml": "plugin: x"},
		"several at a time": {".argocd-source.yaml": "plugin: {parameters: [{name: a, array: [b]}]}", ".argocd-source-echo.yaml": "plugin: {name: z}"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := map[string]string{"echo/x": ""}
			for n, text := range files {
				tree["echo/"+n] = text
			}
			root := writeTree(t, tree)
			var ours, theirs v1alpha1.ApplicationSource
			if err := yaml.Unmarshal([]byte(source), &ours); err != nil {
				t.Fatal(err)
			}
			ours.DeepCopyInto(&theirs)
			ourErr := mergeOverrides(&ours, Dir{root, "echo"}, "echo")
			if ourErr == nil {
				_, ourErr = ours.ExplicitType()
			}
			_, theirErr := repository.GetAppSourceType(t.Context(), &theirs, filepath.Join(root, "echo"), root, "echo", map[string]bool{}, nil, nil)
			if (ourErr == nil) != (theirErr == nil) {
				t.Fatalf("our error %v, Argo CD's %v", ourErr, theirErr)
			}
			if diff := cmp.Diff(theirs, ours); ourErr == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefuseOverrides(t *testing.T) {
	const file = "echo/.argocd-source.yaml: "
	for text, want := range map[string]string{
		"": "",
		"plugin: {parameters: [{name: hold, string: 'true'}], env: [{name: GIT_SYNC_ALLOW_TAGS, value: x}]}": "",
		"plugin: {parameters: [{name: git-sync.allow-tags, string: any}]}":                                   "",
		"pins: [{image: a, name: git-branch}]":                                                               "",
		"plugin: {parameters: [{name: write-back-method, string: none}]}":                                    "plugin.parameters sets write-back-method, which a file in the repository may not: set it in the Application",
		"plugin: {parameters: [{name: argocd-image-updater.argoproj.io/git-branch}]}":                        "plugin.parameters sets argocd-image-updater.argoproj.io/git-branch, which a file in the repository may not: set it in the Application",
		"plugin: {parameters: [{name: a}, {name: web.pull-secret}]}":                                         "plugin.parameters sets web.pull-secret, which a file in the repository may not: set it in the Application",
		"PLUGIN: {Parameterſ: [{NAME: git-repository}]}":                                                     "plugin.parameters sets git-repository, which a file in the repository may not: set it in the Application",
		"plugin: {env: [{name: WEB_PULL_SECRET}]}":                                                           "plugin.env sets WEB_PULL_SECRET, which a file in the repository may not: set it in the Application",
		"plugin: {env: [{value: 'git:secret:x/y'}]}":                                                         "plugin.env[0] has no name: give it one",
		"plugin: {parameters: [null]}":                                                                       "plugin.parameters[0] has no name: give it one",
		"plugin: {parameters: [{name: 7}]}":                                                                  "plugin.parameters sets 7, which a file in the repository may not: set it in the Application",
		"a: &a [x,x]\n" + strings.Repeat("#", maxOverride):                                                   "echo/.argocd-source.yaml is larger than 1024 KiB: it holds a source's settings only",
	} {
		t.Run(text[:min(40, len(text))], func(t *testing.T) {
			root := writeTree(t, map[string]string{"echo/.argocd-source.yaml": text, "echo/.argocd-source-b.yaml": "plugin: {env: [{}]}"})
			if want != "" && !strings.HasPrefix(want, "echo/") {
				want = file + want
			}
			wantError(t, refuseOverrides(Dir{root, "echo"}, "a"), want)
		})
	}
}

// Whatever the vocabulary calls a write-back, git or credential parameter is protected under each of its names.
func TestProtectedNamesFollowTheVocabulary(t *testing.T) {
	for _, d := range image.Definitions() {
		sensitive := strings.HasPrefix(d.Name, "write-back-") || strings.HasPrefix(d.Name, "git-") || strings.Contains(d.Name, "secret") ||
			strings.Contains(d.Name, "credential")
		names := []string{d.Name, image.Prefix + d.Name}
		if d.PerImage {
			names = append(names, "web."+d.Name, "team/web."+d.Name)
		}
		for _, n := range names {
			if got := protectedParameter(n); got != sensitive {
				t.Errorf("parameter %s: protected %v", n, got)
			}
			bare := strings.TrimPrefix(n, image.Prefix)
			if got := protectedEnv(image.EnvName(bare)); got != sensitive {
				t.Errorf("plugin.env %s: protected %v", image.EnvName(bare), got)
			}
		}
	}
}
