package render_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
	programs "github.com/tagpin/tagpin/test/program"
)

const (
	testdata = "../test/testdata/render"
	demo     = "../examples/gitops-demo"
)

// run runs helm or kustomize in dir and returns what it prints.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	bin, err := programs.Tools()
	if err != nil {
		t.Fatalf("building helm and kustomize: %v", err)
	}
	cmd := exec.Command(filepath.Join(bin, program), args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

func mustRender(t *testing.T, r render.Request) render.Result {
	t.Helper()
	got, err := render.Render(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// copyOf copies a directory, so that programs may write to it.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestSameAsHelmProgram(t *testing.T) {
	template := []string{"template", ".", "--name-template", "shop", "--namespace", "demo", "--kube-version", "1.33.4"}
	const crds = "--include-crds"
	for name, c := range map[string]struct {
		root, path string
		app        render.App
		helm       image.Helm
		env        map[string]string
		args       []string
	}{
		"demo":    {root: demo, path: "helm", args: []string{crds}},
		"webshop": {root: testdata, path: "webshop", args: []string{crds}},
		"value files in order": {
			root: testdata, path: "webshop",
			helm: image.Helm{ValueFiles: []string{"environments/prod.yaml", "/webshop/environments/small.yaml"}},
			args: []string{crds, "--values", "environments/prod.yaml", "--values", "environments/small.yaml"},
		},
		"subchart alias": {
			root: testdata, path: "webshop", helm: image.Helm{ValueFiles: []string{"environments/prod.yaml"}},
			args: []string{crds, "--values", "environments/prod.yaml"},
		},
		"missing value file ignored": {
			root: testdata, path: "webshop", helm: image.Helm{ValueFiles: []string{"no.yaml"}, IgnoreMissingValueFiles: true},
			args: []string{crds},
		},
		"values object over values": {
			root: testdata, path: "webshop",
			helm: image.Helm{Values: "replicaCount: 7\n", ValuesObject: "env: {LOG_LEVEL: debug}\nprobes: null\n"},
			args: []string{crds, "--set", "env.LOG_LEVEL=debug,probes=null"},
		},
		"parameters": {
			root: testdata, path: "webshop",
			env: map[string]string{"ARGOCD_APP_NAME": "argocd_shop"},
			helm: image.Helm{
				Values: "env: {LOG_LEVEL: debug}\n",
				Parameters: map[string]string{
					"env.LOG_LEVEL": "a,b", "env.APP": "$ARGOCD_APP_NAME-${ARGOCD_APP_NAME}-$$x-$NO", "env.NUMBER": "0123",
					"env.TRUE": "true", "networkPolicy.allowFrom": "{one,two}", "extraVolumes[0].name": "extra",
					"podAnnotations.example\\.com/x": "1", "workers[0].name": "only", "workers[0].image": "w:1",
					"workers[0].command": "{run}",
				},
				ForceString: []string{"env.NUMBER", "env.TRUE", "podAnnotations.example\\.com/x"},
			},
			args: []string{
				crds, "--set", "env.LOG_LEVEL=a\\,b", "--set", "env.APP=argocd_shop-argocd_shop-$x-", "--set-string", "env.NUMBER=0123",
				"--set-string", "env.TRUE=true", "--set", "networkPolicy.allowFrom={one,two}", "--set", "extraVolumes[0].name=extra",
				"--set-string", "podAnnotations.example\\.com/x=1", "--set", "workers[0].name=only", "--set", "workers[0].image=w:1",
				"--set", "workers[0].command={run}",
			},
		},
		"file parameters": {
			root: testdata, path: "webshop",
			helm: image.Helm{FileParameters: map[string]string{"config.banner": "files/texts.csv"}},
			args: []string{crds, "--set-file", "config.banner=files/texts.csv"},
		},
		"skipped CRDs and tests": {
			root: testdata, path: "webshop", helm: image.Helm{SkipCrds: true, SkipTests: true}, args: []string{"--skip-tests"},
		},
		"schema not validated": {
			root: testdata, path: "webshop", helm: image.Helm{Values: "service: {port: 0}\n", SkipSchemaValidation: true},
			args: []string{crds, "--set", "service.port=0", "--skip-schema-validation"},
		},
		"cluster": {
			root: testdata, path: "webshop", app: render.App{KubeVersion: "v1.29.3-gke.100", APIVersions: []string{"monitoring.coreos.com/v1"}},
			args: []string{crds, "--kube-version", "1.29.3-gke.100", "--api-versions", "monitoring.coreos.com/v1"},
		},
		"cluster said by the application": {
			root: testdata, path: "webshop", app: render.App{KubeVersion: "1.20", APIVersions: []string{"monitoring.coreos.com/v1"}},
			helm: image.Helm{KubeVersion: "1.30", APIVersions: []string{"x/v1"}, Namespace: "other", ReleaseName: "renamed", Version: "v3"},
			args: []string{crds, "--kube-version", "1.30", "--api-versions", "x/v1", "--namespace", "other", "--name-template", "renamed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := render.Request{Root: c.root, Path: c.path, App: c.app, Helm: c.helm, Env: c.env}
			r.App.Name, r.App.Namespace = "argocd_shop", "demo"
			if r.App.KubeVersion == "" {
				r.App.KubeVersion = "v1.33.4+k3s1"
			}
			want := run(t, filepath.Join(c.root, c.path), "helm", slices.Concat(template, c.args)...)
			got := mustRender(t, r)
			if diff := cmp.Diff(want, string(got.Manifests)); diff != "" {
				t.Errorf("not what helm prints (-helm +tagpin):\n%s", diff)
			}
			if got.Type != render.Helm {
				t.Errorf("type %q", got.Type)
			}
		})
	}
}

func TestSameAsKustomizeProgram(t *testing.T) {
	const dir = "bookshop/overlays/blue"
	for name, c := range map[string]struct {
		root, path string
		kustomize  image.Kustomize
		edits      [][]string // of `kustomize edit`
	}{
		"demo base":        {root: demo, path: "kustomize/base"},
		"demo dev":         {root: demo, path: "kustomize/overlays/dev"},
		"demo prod":        {root: demo, path: "kustomize/overlays/prod"},
		"bookshop":         {root: testdata, path: "bookshop/base"},
		"bookshop in blue": {root: testdata, path: dir},
		"names": {
			root: testdata, path: dir, kustomize: image.Kustomize{NamePrefix: "p-", NameSuffix: "-s", Namespace: "green"},
			edits: [][]string{{"set", "nameprefix", "--", "p-"}, {"set", "namesuffix", "--", "-s"}, {"set", "namespace", "--", "green"}},
		},
		"images": {
			root: testdata, path: dir,
			kustomize: image.Kustomize{Images: []string{
				"tools:2", "bookshop=*:3", "registry.example.com:5000/infra/proxy=proxy@sha256:" + strings.Repeat("a", 64), "new=registry:5000/x",
			}},
			edits: [][]string{{"set", "image", "tools:2", "bookshop=*:3",
				"registry.example.com:5000/infra/proxy=proxy@sha256:" + strings.Repeat("a", 64), "new=registry:5000/x"}},
		},
		"images twice": {
			root: testdata, path: "bookshop/overlays/twice", kustomize: image.Kustomize{Images: []string{"other:2"}},
			edits: [][]string{{"set", "image", "other:2"}},
		},
		"replicas": {
			root: testdata, path: dir, kustomize: image.Kustomize{Replicas: map[string]string{"bookshop": "5"}},
			edits: [][]string{{"set", "replicas", "bookshop=5"}},
		},
		"labels and annotations": {
			root: testdata, path: dir,
			kustomize: image.Kustomize{
				CommonLabels:      map[string]string{"team": "$ARGOCD_APP_NAME"},
				CommonAnnotations: map[string]string{"note": "$ARGOCD_APP_NAME", "quoted": `"q"`}, ForceCommonAnnotations: true,
			},
			edits: [][]string{{"add", "label", "team:shop"}, {"add", "annotation", "--force", "note:$ARGOCD_APP_NAME", `quoted:"q"`}},
		},
		"labels without selectors": {
			root: testdata, path: dir,
			kustomize: image.Kustomize{
				CommonLabels: map[string]string{"team": "books"}, LabelWithoutSelector: true, LabelIncludeTemplates: true,
				CommonAnnotations: map[string]string{"app": "$ARGOCD_APP_NAME"}, CommonAnnotationsEnvsubst: true,
			},
			edits: [][]string{
				{"add", "label", "--without-selector", "--include-templates", "team:books"}, {"add", "annotation", "app:shop"},
			},
		},
		"label that is there": {
			root: testdata, path: dir,
			kustomize: image.Kustomize{
				CommonLabels: map[string]string{"colour": "green"}, LabelWithoutSelector: true, ForceCommonLabels: true,
			},
			edits: [][]string{{"add", "label", "--without-selector", "--force", "colour:green"}},
		},
		"components": {
			root: testdata, path: dir,
			kustomize: image.Kustomize{Components: []string{"../../components/*", "../../none"}, IgnoreMissingComponents: true},
			edits:     [][]string{{"add", "component", "../../components/*"}},
		},
		"patches": {
			root: testdata, path: dir,
			kustomize: image.Kustomize{Patches: "- path: patches/strategy.yaml\n  target: {kind: Deployment}\n"},
			edits:     [][]string{{"add", "patch", "--path", "patches/strategy.yaml", "--kind", "Deployment"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := copyOf(t, c.root)
			for _, args := range c.edits {
				run(t, filepath.Join(root, c.path), "kustomize", append([]string{"edit"}, args...)...)
			}
			want := run(t, root, "kustomize", "build", c.path)
			got := mustRender(t, render.Request{
				Root: c.root, Path: c.path, App: render.App{Name: "shop", Namespace: "demo"}, Kustomize: c.kustomize,
				Env: map[string]string{"ARGOCD_APP_NAME": "shop"},
			})
			if diff := cmp.Diff(want, string(got.Manifests)); diff != "" {
				t.Errorf("not what kustomize prints (-kustomize +tagpin):\n%s", diff)
			}
			if got.Type != render.Kustomize {
				t.Errorf("type %q", got.Type)
			}
		})
	}
}
