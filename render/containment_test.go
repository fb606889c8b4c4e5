package render_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

const canary = "canary-7f3a"

// outside makes a repository beside a directory with a secret, and returns the repository.
func outside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "outside/secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: "+canary+"}\n")
	write(t, dir, "outside/kustomization.yaml", "resources: [secret.yaml]\n")
	write(t, dir, "repo/Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\n")
	write(t, dir, "repo/templates/a.yaml", "apiVersion: v1\nkind: A\ndata: {{ toYaml .Values | quote }}\nfiles: [{{ range $n, $f := .Files }}{{ $f | toString | quote }}, {{ end }}]\n")
	write(t, dir, "repo/k/kustomization.yaml", "resources: [a.yaml]\n")
	write(t, dir, "repo/k/a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\n")
	return filepath.Join(dir, "repo")
}

func link(t *testing.T, target, root, name string) {
	t.Helper()
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.Symlink(target, file); err != nil {
		t.Fatal(err)
	}
}

// Nothing outside of the repository is read, whatever leads there.
func TestNothingOutsideIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		path      string
		helm      image.Helm
		kustomize image.Kustomize
		arrange   func(t *testing.T, root string)
		want      string // in the error
	}{
		"chart file by symlink": {
			arrange: func(t *testing.T, root string) { link(t, "../outside/secret.yaml", root, "secret.yaml") },
			want:    "the symlink secret.yaml leads out of the repository",
		},
		"chart directory by symlink": {
			arrange: func(t *testing.T, root string) { link(t, "../../outside", root, "templates/more") },
			want:    "leads out of the repository",
		},
		"chart file by absolute symlink": {
			arrange: func(t *testing.T, root string) { link(t, filepath.Dir(root)+"/outside/secret.yaml", root, "x") },
			want:    "leads out of the repository",
		},
		"application path by symlink": {
			path:    "away",
			arrange: func(t *testing.T, root string) { link(t, "../outside", root, "away") },
			want:    "is no directory of the repository",
		},
		"value file by symlink": {
			helm: image.Helm{ValueFiles: []string{"v/secret.yaml"}},
			arrange: func(t *testing.T, root string) {
				write(t, root, ".helmignore", "v/\n")
				link(t, "../../outside/secret.yaml", root, "v/secret.yaml")
			},
			want: `helm.valueFiles: "v/secret.yaml" leads out of the repository`,
		},
		"value file by path":     {helm: image.Helm{ValueFiles: []string{"../outside/secret.yaml"}}, want: "leads out of the repository"},
		"value file by absolute": {helm: image.Helm{ValueFiles: []string{"/../outside/secret.yaml"}}, want: "leads out of the repository"},
		"file parameter": {
			helm: image.Helm{FileParameters: map[string]string{"x": "../outside/secret.yaml"}}, want: "leads out of the repository",
		},
		"base by path": {
			path: "k", want: "leads out of the repository",
			arrange: func(t *testing.T, root string) {
				write(t, root, "k/kustomization.yaml", "resources: [../../outside]\n")
			},
		},
		"base by symlink": {
			path: "k", want: "leads out of the repository",
			arrange: func(t *testing.T, root string) {
				write(t, root, "k/kustomization.yaml", "resources: [away]\n")
				link(t, "../../outside", root, "k/away")
			},
		},
		"resource by symlink": {
			path: "k", want: "leads out of the repository",
			arrange: func(t *testing.T, root string) { link(t, "../../outside/secret.yaml", root, "k/a.yaml") },
		},
		"kustomization by symlink": {
			path: "k", want: "nothing to render",
			arrange: func(t *testing.T, root string) {
				link(t, "../../outside/kustomization.yaml", root, "k/kustomization.yaml")
			},
		},
		"component option": {
			path: "k", kustomize: image.Kustomize{Components: []string{"../../outside"}}, want: "leads out of the repository",
		},
		"chart home by path": {
			path: "k", want: "--enable-helm",
			arrange: func(t *testing.T, root string) {
				write(t, root, "k/kustomization.yaml", "helmCharts: [{name: outside, releaseName: a}]\nhelmGlobals: {chartHome: ../..}\n")
			},
		},
		"chart home by absolute path": {
			path: "k", want: "--enable-helm",
			arrange: func(t *testing.T, root string) {
				write(t, root, "k/kustomization.yaml", "helmCharts: [{name: outside, releaseName: a}]\nhelmGlobals: {chartHome: "+filepath.Dir(root)+"}\n")
			},
		},
		"values of a chart": {
			path: "k", want: "--enable-helm",
			arrange: func(t *testing.T, root string) {
				write(t, root, "k/charts/c/Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n")
				write(t, root, "k/charts/c/templates/a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\ndata: {{ toYaml .Values | quote }}\n")
				write(t, root, "k/kustomization.yaml", "helmCharts: [{name: c, releaseName: a, valuesFile: ../../outside/secret.yaml}]\n")
			},
		},
		"values of a chart by symlink": {
			path: "k", want: "--enable-helm",
			arrange: func(t *testing.T, root string) {
				write(t, root, "k/charts/c/Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n")
				write(t, root, "k/charts/c/.helmignore", "values.yaml\n")
				link(t, "../../../../outside/secret.yaml", root, "k/charts/c/values.yaml")
				write(t, root, "k/charts/c/templates/a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\ndata: {{ toYaml .Values | quote }}\n")
				write(t, root, "k/kustomization.yaml", "helmCharts: [{name: c, releaseName: a}]\n")
			},
		},
		"file dependency by path": {
			want: "leads out of the repository",
			arrange: func(t *testing.T, root string) {
				write(t, root, "Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\ndependencies: [{name: d, version: 0.x, repository: 'file://../outside'}]\n")
			},
		},
		"file dependency by symlink": {
			want: "leads out of the repository",
			arrange: func(t *testing.T, root string) {
				write(t, root, ".helmignore", "d/\n")
				link(t, "../outside", root, "d")
				write(t, root, "Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\ndependencies: [{name: d, version: 0.x, repository: 'file://d'}]\n")
			},
		},
		"patch option": {
			path: "k", kustomize: image.Kustomize{Patches: "- path: ../../outside/secret.yaml\n"}, want: "does not exist",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := outside(t)
			if c.arrange != nil {
				c.arrange(t, root)
			}
			for _, options := range []string{"", "--load-restrictor LoadRestrictionsNone --enable-helm"} {
				got, err := render.Render(t.Context(), render.Request{
					Root: root, Path: c.path, App: render.App{Name: "app"}, Helm: c.helm, Kustomize: c.kustomize, BuildOptions: options,
				})
				if err == nil || options == "" && !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				if strings.Contains(string(got.Manifests)+errText(err), canary) {
					t.Errorf("the secret is out: %s %v", got.Manifests, err)
				}
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Symlinks within the repository work, as they do natively.
func TestSymlinksInside(t *testing.T) {
	root := outside(t)
	write(t, root, "shared/values.yaml", "inside: yes-it-is\n")
	link(t, "../shared/values.yaml", root, "templates/../values.yaml")
	link(t, "shared/values.yaml", root, "values.yaml")
	got := mustRender(t, render.Request{Root: root, App: render.App{Name: "app"}})
	if !strings.Contains(string(got.Manifests), "yes-it-is") {
		t.Errorf("the linked values are not used:\n%s", got.Manifests)
	}
	write(t, root, "k/real.yaml", "resources: [a.yaml]\nnamePrefix: linked-\n")
	link(t, "real.yaml", root, "k/kustomization.yaml")
	for _, opts := range []image.Kustomize{{}, {NameSuffix: "-x"}} {
		got = mustRender(t, render.Request{Root: root, Path: "k", App: render.App{Name: "app"}, Kustomize: opts})
		if !strings.Contains(string(got.Manifests), "name: linked-a"+opts.NameSuffix+"\n") {
			t.Errorf("the linked kustomization is not used:\n%s", got.Manifests)
		}
	}
}

// A walk through links that lead back up ends.
func TestSymlinkLoop(t *testing.T) {
	root := outside(t)
	for _, name := range []string{"a", "b"} {
		link(t, ".", root, name)
	}
	if _, err := render.Render(t.Context(), render.Request{Root: root, App: render.App{Name: "app"}}); err == nil {
		t.Error("a chart with links to itself rendered")
	}
	link(t, "kustomization.yaml", root, "k/kustomization.yaml")
	if _, err := render.Render(t.Context(), render.Request{Root: root, Path: "k"}); err == nil {
		t.Error("a link to itself rendered")
	}
}

// Kustomize fetches what is remote by itself. Each of these must be refused before, in each place where a path can stand.
func TestNothingRemoteIsFetched(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	url := server.URL + "/x.yaml"
	git := filepath.Join(t.TempDir(), "git")
	write(t, filepath.Dir(git), "git", "#!/bin/sh\n: > \"$0.ran\"\nexit 1\n")
	if err := os.Chmod(git, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(git))

	entries := []string{
		url, strings.Replace(url, "http", "HTTP", 1), "git::" + url, "GIT::" + url, "https://127.0.0.1:1/org/repo?ref=v1",
		"github.com/org/repo", "GitHub.com/org/repo//dir?ref=v1", "github.com:org/repo", "git@127.0.0.1:org/repo.git",
		"user@127.0.0.1:org/repo", "ssh://git@127.0.0.1/org/repo", "SSH://127.0.0.1/org/repo", "file:///tmp/repo", "File:///tmp//x",
		"git::github.com/org/repo", "git::git@127.0.0.1:org/repo.git", "http:127.0.0.1/x",
	}
	var kustomizations []string
	for _, e := range entries {
		q := "'" + e + "'"
		kustomizations = append(kustomizations, "resources: ["+q+"]", "components: ["+q+"]", "bases: ["+q+"]", "Resources: ["+q+"]",
			"generators: ["+q+"]", "transformers: ["+q+"]", "validators: ["+q+"]")
	}
	q := "'" + url + "'"
	kustomizations = append(kustomizations,
		"crds: ["+q+"]", "configurations: ["+q+"]", "openapi: {path: "+q+"}",
		"resources: [a.yaml]\npatches: [{path: "+q+"}]", "patchesStrategicMerge: ["+q+"]",
		"patchesJson6902: [{path: "+q+", target: {kind: A, version: v1, name: a}}]",
		"replacements: [{path: "+q+"}]",
		"configMapGenerator: [{name: x, files: ["+q+"]}]", "configMapGenerator: [{name: x, files: ['k="+url+"']}]",
		"configMapGenerator: [{name: x, envs: ["+q+"]}]", "configMapGenerator: [{name: x, env: "+q+"}]",
		"secretGenerator: [{name: x, files: ["+q+"]}]",
		"resources: &u ["+q+"]\ncomponents: *u",
	)
	plugin := "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\n"
	binary := "!!binary " + base64.StdEncoding.EncodeToString([]byte(url))
	for _, p := range []string{
		plugin + "path: " + binary, plugin + "!!binary cGF0aA== : " + q, "resources: [" + binary + "]",
		plugin + "path: " + q, plugin + "Path: " + q, "x: &u " + q + "\n" + plugin + "path: *u", "&k path: no\n---\n" + plugin + "*k : " + q,
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: builtin, kind: PatchTransformer, metadata: {name: x}, path: " + q + "}",
		"apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: x}\nfiles: ['k=" + url + "']",
		"apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: x}\nnot: &u ['" + url + "']\nenvs: *u",
		"apiVersion: builtin\nkind: ReplacementTransformer\nmetadata: {name: x}\nreplacements: [{path: " + q + "}]",
		"apiVersion: builtin\nkind: ValueAddTransformer\nmetadata: {name: x}\ntargetFilePath: " + q,
		"apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: x}\nname: c\nrepo: " + server.URL,
	} {
		inline := "|-\n    " + strings.ReplaceAll(p, "\n", "\n    ")
		for _, field := range []string{"generators", "transformers", "validators"} {
			kustomizations = append(kustomizations,
				field+": [plugin.yaml]\n# "+strings.ReplaceAll(p, "\n", "\n# "), // the comment becomes plugin.yaml below
				"resources: [a.yaml]\n"+field+":\n  - "+inline)
		}
	}
	for _, content := range kustomizations {
		root := t.TempDir()
		write(t, root, "k/a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\n")
		write(t, root, "k/real.yaml", content)
		link(t, "real.yaml", root, "k/kustomization.yaml") // under another name when it is read
		if _, comment, ok := strings.Cut(content, "\n# "); ok {
			write(t, root, "k/plugin.yaml", strings.ReplaceAll(comment, "\n# ", "\n"))
		}
		write(t, root, "over/kustomization.yaml", "resources: [../k]\n")
		for _, options := range []string{"", "--load-restrictor LoadRestrictionsNone", "--enable-helm"} {
			for _, path := range []string{"k", "over"} {
				got, err := render.Render(t.Context(), render.Request{Root: root, Path: path, BuildOptions: options})
				if err == nil {
					t.Errorf("%s rendered with %q:\n%s", content, options, got.Manifests)
				}
			}
		}
		if asked.Swap(0) != 0 {
			t.Errorf("fetched by HTTP: %s", content)
		}
		if _, err := os.Stat(git + ".ran"); err == nil {
			t.Fatalf("git ran: %s", content)
		}
	}
}

// A file whose path is a plugin's configuration does not hide that the entry itself is one.
func TestPluginConfigurationAsFileName(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	config := "{apiVersion: builtin, kind: PatchTransformer, metadata: {name: x}, path: '" + server.URL + "/x'}"
	root := t.TempDir()
	write(t, root, "a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\n")
	write(t, root, "kustomization.yaml", "resources: [a.yaml]\ntransformers:\n- \""+config+"\"\n")
	write(t, root, filepath.Clean(config), "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: x}\n")
	if _, err := render.Render(t.Context(), render.Request{Root: root}); err == nil || asked.Load() != 0 {
		t.Errorf("error %v, %d requests", err, asked.Load())
	}
}

func TestSchemaIsNotFetched(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Write([]byte(`{}`))
	}))
	defer server.Close()
	for _, schema := range []string{
		`{"$ref": "` + server.URL + `/s.json"}`,
		`{"$schema": "` + server.URL + `/meta.json"}`,
		`{"$id": "` + server.URL + `/id.json", "properties": {"a": {"$ref": "other.json"}}}`,
		`{"properties": {"a": {"$dynamicRef": "` + server.URL + `/s.json"}}}`,
		`{"$ref": "file:///etc/hostname"}`,
	} {
		root := chartWith(t, "a: 1\n")
		write(t, root, "values.schema.json", schema)
		if _, err := render.Render(t.Context(), render.Request{Root: root, App: render.App{Name: "app"}}); err == nil {
			t.Errorf("%s: no error", schema)
		}
		if asked.Swap(0) != 0 {
			t.Errorf("%s: fetched", schema)
		}
		write(t, root, "Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\n")
		r := render.Request{Root: root, App: render.App{Name: "app"}, Helm: image.Helm{SkipSchemaValidation: true}}
		if _, err := render.Render(t.Context(), r); err != nil {
			t.Errorf("%s: not skipped: %v", schema, err)
		}
	}
}

// Neither templates nor kustomizations nor substitution see this process's environment.
func TestEnvironmentIsNotSeen(t *testing.T) {
	t.Setenv("TAGPIN_CANARY", canary)
	root := t.TempDir()
	write(t, root, "k/kustomization.yaml", "configMapGenerator: [{name: x, envs: [e], literals: [a=$TAGPIN_CANARY]}]\n")
	write(t, root, "k/e", "TAGPIN_CANARY\n")
	write(t, root, "h/Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\n")
	write(t, root, "h/templates/a.yaml", "kind: A\nhost: {{ getHostByName \"localhost\" | quote }}\nsecret: {{ lookup \"v1\" \"Secret\" \"\" \"\" | toYaml }}\nv: {{ .Values | toYaml | quote }}\n")
	for _, r := range []render.Request{
		{Path: "k", Kustomize: image.Kustomize{CommonLabels: map[string]string{"a": "x$TAGPIN_CANARY"}}},
		{Path: "h", Helm: image.Helm{Parameters: map[string]string{"a": "$TAGPIN_CANARY"}}},
	} {
		r.Root, r.App.Name = root, "app"
		if got := mustRender(t, r); strings.Contains(string(got.Manifests), canary) || strings.Contains(string(got.Manifests), "127.0.0.1") {
			t.Errorf("the environment shows:\n%s", got.Manifests)
		}
	}
}
