package argocd

import (
	stdcmp "cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/test/program"
)

// The states of an application on either way.
const (
	native2 = "native"  // the repo-server renders by itself, with what runs
	plugin2 = "plugin"  // tagpin renders, with what runs
	refused = "refused" // Argo CD has an error to show
)

// A migration is an application that runs v2.0 where its chart or kustomization says v1.0.
type migration struct {
	kind, name, path string
	// namespace is that of an Application outside of Argo CD's own.
	namespace string
	// updater are more annotations of argocd-image-updater; section is that of the source.
	updater, section string
	files            map[string]string
	// method and methodBack are given to the program with --write-back-method.
	method, methodBack string
	there, back        []string
}

const (
	choiceHelm = "helm:\n  parameters:\n  - {name: image.repository, value: " + echoServer + ", forcestring: true}\n" +
		"  - {name: image.tag, value: v2.0, forcestring: true}\n"
	choiceKustomize = "kustomize:\n  images:\n  - " + echoServer + ":v2.0\n"
	helmTargets     = "argocd-image-updater.argoproj.io/echoserver.helm.image-name: image.repository\n" +
		"argocd-image-updater.argoproj.io/echoserver.helm.image-tag: image.tag\n"
	renamedDeployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: gitops-demo}\nspec:\n  selector: {matchLabels: {a: b}}\n" +
		"  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: echo, image: 'echo:v1.0'}]}\n"
	kindSet = "ApplicationSet"
)

var migrations = map[string]migration{
	"helm": {
		path: "helm", updater: helmTargets, section: "helm: {valuesObject: {replicaCount: 2}, releaseName: blue}",
		files: map[string]string{"helm/.argocd-source-gitops-demo.yaml": choiceHelm},
		there: []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"kustomize": {
		path: "kustomize/overlays/prod", section: "kustomize: {namePrefix: blue-}",
		files: map[string]string{"kustomize/overlays/prod/.argocd-source-gitops-demo.yaml": choiceKustomize},
		there: []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"helmvalues": {
		path: "helm", updater: helmTargets + "argocd-image-updater.argoproj.io/write-back-target: helmvalues:env.yaml\n",
		section: "helm: {valueFiles: [env.yaml]}",
		files:   map[string]string{"helm/env.yaml": "replicaCount: 2\nimage:\n  repository: " + echoServer + "\n  tag: v2.0\n"},
		there:   []string{native2, plugin2, plugin2}, back: []string{plugin2, native2, native2},
	},
	"kustomization": {
		path: "kustomize/overlays/prod", updater: "argocd-image-updater.argoproj.io/write-back-target: kustomization\n",
		files: map[string]string{"kustomize/overlays/prod/kustomization.yaml": "resources: [../../base]\nimages:\n- name: " + echoServer +
			"\n  newTag: v2.0\n"},
		there: []string{native2, plugin2, plugin2}, back: []string{plugin2, native2, native2},
	},
	"argocd": {
		path: "helm", updater: helmTargets + "argocd-image-updater.argoproj.io/write-back-method: argocd\n",
		section: "helm: {parameters: [{name: replicaCount, value: '3'}, {name: image.tag, value: v2.0, forceString: true}, " +
			"{name: image.repository, value: " + echoServer + ", forceString: true}]}",
		method: viaGitCreds, methodBack: "argocd",
		there: []string{native2, native2, plugin2, plugin2}, back: []string{plugin2, native2, native2, native2},
	},
	"parameters that the file replaces": {
		path: "helm", updater: helmTargets,
		section: "helm: {parameters: [{name: image.tag, value: v1.5}, {name: replicaCount, value: '3'}]}",
		files:   map[string]string{"helm/.argocd-source-gitops-demo.yaml": choiceHelm},
		there:   []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"a file with more than choices": {
		path: "helm", updater: helmTargets, section: "helm: {parameters: [{name: image.tag, value: v1.5}]}",
		files: map[string]string{"helm/.argocd-source-gitops-demo.yaml": choiceHelm + "  - {name: service.port, value: '81'}\n" +
			"  values: |\n    replicaCount: 4\n"},
		there: []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"a renamed image": {
		path:    "kustomize/overlays/dev",
		updater: "argocd-image-updater.argoproj.io/echoserver.kustomize.image-name: echo\n", section: "kustomize: {nameSuffix: -x}",
		files: map[string]string{
			"kustomize/overlays/dev/.argocd-source-gitops-demo.yaml": "kustomize: {images: ['echo=" + echoServer + ":v2.0', other:v1]}\n",
			"kustomize/base/deployment.yaml":                         renamedDeployment, "kustomize/overlays/dev/kustomization.yaml": "resources: [../../base]\n",
		},
		there: []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"a file for all": {
		path: "helm", updater: helmTargets, section: "helm: {releaseName: blue}",
		files: map[string]string{
			"helm/.argocd-source-gitops-demo.yaml": choiceHelm,
			"helm/.argocd-source.yaml":             "helm: {releaseName: green}\n",
		},
		there: []string{native2, native2, refused, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"helm.image-spec": {
		path: "helm", updater: "argocd-image-updater.argoproj.io/echoserver.helm.image-spec: full\n",
		section: "helm: {releaseName: blue}",
		files: map[string]string{
			"helm/.argocd-source-gitops-demo.yaml": "helm: {parameters: [{name: full, value: '" + echoServer + ":v2.0', forcestring: true}]}\n",
			"helm/values.yaml":                     "full: " + echoServer + ":v1.0\n",
			"helm/templates/service.yaml":          "",
			"helm/templates/deployment.yaml":       strings.ReplaceAll(renamedDeployment, "'echo:v1.0'", "{{ .Values.full }}"),
		},
		there: []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"another namespace": {
		namespace: "apps", path: "helm", updater: helmTargets, section: "helm: {valuesObject: {replicaCount: 2}}",
		files: map[string]string{"helm/.argocd-source-apps_gitops-demo.yaml": choiceHelm},
		there: []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"several sources": {
		kind: "sources", path: "helm", updater: helmTargets, section: "helm: {releaseName: blue}",
		files: map[string]string{"helm/.argocd-source-gitops-demo.yaml": choiceHelm},
		there: []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
	"applicationset": {
		kind: kindSet, name: "demo-{{env}}", path: "helm", updater: helmTargets, section: "helm: {releaseName: blue}",
		files: map[string]string{"helm/.argocd-source-demo-prod.yaml": choiceHelm},
		there: []string{native2, native2, refused, plugin2, plugin2}, back: []string{plugin2, refused, native2, native2, native2},
	},
}

// Whoever follows the steps that the program prints has at no moment an application that renders something else than what
// runs, object by object: there is an error in between, at most, and the commit after it renders at once.
func TestMigrationNeverRendersOlder(t *testing.T) {
	program.Native(t)
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{}) // what a render without a pin would choose
	side := startUpdatingSidecar(t, reg, gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}))
	server := Start(t, side.sockets)
	for name, m := range migrations {
		t.Run(name, func(t *testing.T) {
			w := newWalk(t, server, m)
			name, source := w.source()
			first, err := w.render(name, source)
			wantImage(t, first, err, echoServer+":v2.0")
			w.first = first
			w.follow(m.there, "--write-back-method", m.method)
			w.follow(m.back, "--write-back-method", m.methodBack, "--back")
		})
	}
}

// A walk is somebody who does what the program says, in a checkout whose origin is what the repo-server reads.
type walk struct {
	t        *testing.T
	server   *RepoServer
	m        migration
	git      checkout
	origin   string
	manifest string
	first    []string // what Argo CD rendered before the first step
}

func newWalk(t *testing.T, server *RepoServer, m migration) *walk {
	t.Helper()
	git := newCheckout(t, "../../examples/gitops-demo")
	for path, text := range m.files {
		git.write(path, text)
	}
	git.commit("the updater chose v2.0")
	w := &walk{t: t, server: server, m: m, git: git, origin: filepath.Join(t.TempDir(), "origin.git")}
	git.git("clone", "-q", "--bare", git.dir, w.origin)
	git.git("remote", "add", "origin", "file://"+w.origin)
	git.git("config", "push.default", "current")
	w.manifest = m.manifest("file://" + w.origin)
	return w
}

func (m migration) manifest(url string) string {
	name := stdcmp.Or(m.name, "gitops-demo")
	source := map[string]any{"repoURL": url, "targetRevision": "main", "path": m.path}
	annotations := map[string]any{
		"argocd-image-updater.argoproj.io/image-list":        "echoserver=" + echoServer,
		"argocd-image-updater.argoproj.io/write-back-method": viaGitCreds,
	}
	for text, into := range map[string]map[string]any{m.section: source, m.updater: annotations} {
		if err := yaml.Unmarshal([]byte(text), &into); err != nil {
			panic(err)
		}
	}
	spec := map[string]any{"project": "default", "destination": map[string]any{"name": "in-cluster", "namespace": "demo"}}
	if spec["source"] = source; m.kind == "sources" {
		delete(spec, "source")
		spec["sources"] = []any{source, map[string]any{"repoURL": url, "targetRevision": "main", "path": "kustomize/overlays/dev"}}
	}
	app := map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": spec,
		"metadata": map[string]any{"name": name, "annotations": annotations, "namespace": stdcmp.Or(m.namespace, "argocd")},
	}
	if m.kind == kindSet {
		elements := []any{map[string]any{"env": "prod"}}
		app["kind"], app["metadata"] = kindSet, map[string]any{"name": "demo", "namespace": "argocd"}
		app["spec"] = map[string]any{
			"generators": []any{map[string]any{"list": map[string]any{"elements": elements}}},
			"template":   map[string]any{"metadata": map[string]any{"name": name, "annotations": annotations}, "spec": spec},
		}
	}
	text, err := yaml.Marshal(app)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// application is what the controller has: of an ApplicationSet, what it generates.
func (w *walk) application(manifest string) v1alpha1.Application {
	w.t.Helper()
	var app v1alpha1.Application
	var err error
	if w.m.kind == kindSet {
		var set struct {
			Spec struct{ Template v1alpha1.Application }
		}
		err = yaml.Unmarshal([]byte(strings.ReplaceAll(manifest, "{{env}}", "prod")), &set)
		app = set.Spec.Template
	} else {
		err = yaml.Unmarshal([]byte(manifest), &app)
	}
	if err != nil {
		w.t.Fatalf("%v\n%s", err, manifest)
	}
	return app
}

func (w *walk) source() (app string, source v1alpha1.ApplicationSource) {
	a := w.application(w.manifest)
	return a.InstanceName("argocd"), a.Spec.GetSources()[0]
}

func (w *walk) render(app string, source v1alpha1.ApplicationSource) ([]string, error) {
	got, err := w.server.Generate(w.t.Context(), Request{App: app, RepoURL: "file://" + w.origin, Source: source})
	slices.Sort(got)
	return got, err
}

var stepStart = regexp.MustCompile(`(?m)^\d+\. `)

// follow does each step and looks at what Argo CD makes of it.
func (w *walk) follow(states []string, args ...string) {
	w.t.Helper()
	next, steps := w.program(args...)
	if len(steps) != len(states) {
		w.t.Fatalf("%d steps, want %d: %q", len(steps), len(states), steps)
	}
	for i, step := range steps {
		w.do(step)
		if strings.Contains(step, "replace -f -") {
			w.manifest = next
		}
		name, source := w.source()
		if strings.Contains(step, "--plugin-env HOLD=true") {
			source.Plugin.Env = append(source.Plugin.Env, &v1alpha1.EnvEntry{Name: "HOLD", Value: "true"})
		}
		w.check(states[i], step, func() ([]string, error) { return w.render(name, source) }, source)
	}
}

func (w *walk) check(state, step string, render func() ([]string, error), source v1alpha1.ApplicationSource) {
	w.t.Helper()
	if state == refused {
		var err error
		for range 5 { // more often than the repo-server tries before it pauses
			if _, err = render(); err == nil || !strings.Contains(err.Error(), "multiple application sources defined") {
				w.t.Fatalf("the error is %v after the step\n%s", err, step)
			}
		}
		if !strings.Contains(err.Error(), "cached") {
			w.t.Errorf("the repo-server did not pause: %v", err)
		}
		return
	}
	got, err := render()
	if err != nil {
		w.t.Fatalf("%v, after the step\n%s", err, step)
	}
	if diff := cmp.Diff(w.first, got); diff != "" {
		w.t.Fatalf("another result (-first +now) after the step\n%s\n%s\n%s", step, diff, w.manifest)
	}
	if (source.Plugin != nil) != (state == plugin2) {
		w.t.Errorf("the source is %v, want %s after the step\n%s", source, state, step)
	}
}

// program runs `tagpin migrate`, and gives the manifest and the steps.
func (w *walk) program(args ...string) (manifest string, steps []string) {
	w.t.Helper()
	return w.run(filepath.Join(w.git.dir, w.m.path), args...)
}

func (w *walk) run(sourceDir string, args ...string) (manifest string, steps []string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "application.yaml")
	if err := os.WriteFile(file, []byte(w.manifest), 0o600); err != nil {
		w.t.Fatal(err)
	}
	var told strings.Builder
	if args = append([]string{"migrate", file}, args...); sourceDir != "" {
		args = append(args, "--source-dir", sourceDir)
	}
	cmd := exec.Command(program.Tagpin(w.t), args...)
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("tagpin migrate: %v: %s", err, told.String())
	}
	return string(out), stepStart.Split(told.String(), -1)[1:]
}

// do writes the files that a step shows, and runs its git commands.
func (w *walk) do(step string) {
	w.t.Helper()
	const indent = "       "
	if strings.Contains(step, "Remove the sections helm and kustomize from "+w.git.dir) { // without a command
		w.git.write(filepath.Join(w.m.path, ".argocd-source.yaml"), "{}\n")
		w.git.commit("remove the file for all")
		w.git.git("push", "-q")
	}
	file, shown := "", map[string]string{}
	for line := range strings.Lines(step) {
		text, ok := strings.CutPrefix(line, indent)
		switch path, header := strings.CutPrefix(strings.TrimSpace(text), "# "+w.git.dir); {
		case !ok:
			file = ""
		case strings.HasPrefix(text, "git "):
			for path, content := range shown {
				w.git.write(path, content)
			}
			if out, err := exec.Command("sh", "-c", text).CombinedOutput(); err != nil {
				w.t.Fatalf("%s: %v: %s", text, err, out)
			}
		case header:
			file = path
		case file != "":
			shown[file] += text
		}
	}
}

// Where the program is not told what runs, as for the applications of an ApplicationSet, there is an error and no older tag.
func TestMigrationWithoutCheckout(t *testing.T) {
	program.Native(t)
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	side := startUpdatingSidecar(t, reg, gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}))
	server := Start(t, side.sockets)
	for _, name := range []string{"helm", "kustomize", "applicationset"} {
		t.Run(name, func(t *testing.T) {
			w := newWalk(t, server, migrations[name])
			next, _ := w.run("")
			w.manifest = next
			app, source := w.source()
			if got, err := w.render(app, source); err == nil {
				t.Errorf("the updater's file is there, and this is rendered: %v", got)
			}
			for path := range w.m.files {
				w.git.git("rm", "-q", path)
			}
			w.git.commit("no choices")
			w.git.git("push", "-q")
			got, err := w.render(app, source)
			if err == nil || !strings.Contains(err.Error(), "pin") {
				t.Errorf("without pins: %v, %v", got, err)
			}
		})
	}
}
