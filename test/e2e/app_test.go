package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// echo is the guide's image, and echoList the image-list that names it.
const (
	echo     = "registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server"
	echoRepo = "haoshuwei24/echo-server"
	echoList = "image-list=echoserver=" + echo
)

// An app is an Application that calls tagpin. What is empty has the default of newApp.
type app struct {
	name, namespace, project string
	repo                     string // below https://github.com/
	path                     string
	branch                   string
	params                   []string // name=value
	manual                   bool     // no automated sync
}

func (a app) or(b app) app {
	for _, f := range []struct{ value, fallback *string }{
		{&a.namespace, &b.namespace}, {&a.project, &b.project}, {&a.repo, &b.repo}, {&a.path, &b.path}, {&a.branch, &b.branch},
	} {
		if *f.value == "" {
			*f.value = *f.fallback
		}
	}
	if a.params == nil {
		a.params = b.params
	}
	return a
}

var guideApp = app{
	namespace: "argocd", project: "default", path: "helm", branch: "main",
	params: []string{echoList, "echoserver.allow-tags=regexp:^v[1-9].*", "write-back-method=git:secret:argocd/git-creds"},
}

// source is the source of the Application, as of an Application of several.
func (a app) source() map[string]any {
	a = a.or(guideApp)
	parameters := []any{}
	for _, p := range a.params {
		name, value, _ := strings.Cut(p, "=")
		parameters = append(parameters, map[string]any{"name": name, "string": value})
	}
	return map[string]any{
		"repoURL": gitURL(a.repo), "targetRevision": a.branch, "path": a.path,
		"plugin": map[string]any{"name": "tagpin", "parameters": parameters},
	}
}

func gitURL(repo string) string { return "https://" + gitHost + "/" + repo + ".git" }

// spec is the Application's. It deploys into a namespace that is called as the application.
func (a app) spec() map[string]any {
	a = a.or(guideApp)
	policy := map[string]any{"syncOptions": []any{"CreateNamespace=true"}}
	if !a.manual {
		policy["automated"] = map[string]any{}
	}
	return map[string]any{
		"project": a.project, "destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": a.name},
		"source": a.source(), "syncPolicy": policy,
	}
}

// manifest is the Application with a spec.
func manifest(name, namespace string, spec map[string]any) string {
	b, err := yaml.Marshal(map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": map[string]any{"name": name, "namespace": namespace}, "spec": spec,
	})
	if err != nil {
		panic(err) // it is made of strings
	}
	return string(b)
}

// create applies the Application, as kubectl apply or a parent application would.
func (w *world) create(a app) {
	w.t.Helper()
	w.kubectl("apply", "-f", "-", manifest(a.name, a.or(guideApp).namespace, a.spec()))
}

// An appState is what Argo CD says of an Application.
type appState struct {
	Status struct {
		Sync struct {
			Status, Revision string
		}
		Health     struct{ Status string }
		Conditions []struct{ Type, Message string }
		History    []struct {
			ID       int64
			Revision string
		}
		OperationState struct {
			Phase, Message string
			SyncResult     struct {
				Revision  string
				Resources []struct{ Kind, Name, HookType, HookPhase string }
			}
		}
	}
}

func (w *world) state(a app) (appState, error) {
	var s appState
	err := w.cluster.get("/apis/argoproj.io/v1alpha1/namespaces/"+a.or(guideApp).namespace+"/applications/"+a.name, &s)
	return s, err
}

// deployed says whether the application runs a tag of the echo server, and Argo CD finds it in sync and healthy.
func (w *world) deployed(a app, tag string) error {
	return w.deployedAs(a, a.name+"-gitops-demo", tag)
}

func (w *world) deployedAs(a app, deployment, tag string) error {
	s, err := w.state(a)
	if err != nil {
		return err
	}
	image, err := w.cluster.deployedImage(a.name, deployment)
	if err != nil {
		return fmt.Errorf("%w; %s", err, s)
	}
	if image != echo+":"+tag || s.Status.Sync.Status != "Synced" || s.Status.Health.Status != "Healthy" {
		return fmt.Errorf("%s runs; %s", image, s)
	}
	return nil
}

func (s appState) String() string {
	text := fmt.Sprintf("%s, %s, %s %s", s.Status.Sync.Status, s.Status.Health.Status, s.Status.OperationState.Phase, s.Status.OperationState.Message)
	for _, c := range s.Status.Conditions {
		text += "; " + c.Type + ": " + c.Message
	}
	return text
}

// A pinState is what tagpin status says of an application.
type pinState struct {
	Name, Path, State, Reason, Commit string
	Images                            []struct{ Tag, Choice string }
}

// pinned finds an application in tagpin status. name is the one for plugins.
func (w *world) pinned(name string) (pinState, error) {
	out, err := w.try(w.tagpin, "status", name, "--output", "json")
	if err != nil {
		return pinState{}, err
	}
	var reply struct{ Applications []pinState }
	if err := json.Unmarshal([]byte(out), &reply); err != nil {
		return pinState{}, err
	}
	if len(reply.Applications) != 1 {
		return pinState{}, errors.New("status names it several times: " + out)
	}
	return reply.Applications[0], nil
}

// wantState waits for the application's state in tagpin status, with a reason that has text in it.
func (w *world) wantState(name, state, text string) {
	w.t.Helper()
	eventually(w.t, name+" is "+state, func() error {
		s, err := w.pinned(name)
		if err == nil && (s.State != state || !strings.Contains(s.Reason, text)) {
			err = fmt.Errorf("it is %s: %s", s.State, s.Reason)
		}
		return err
	})
}

// createRepository makes a repository of the guide's files and more, known to Argo CD, whose pushes Argo CD is told of.
func (w *world) createRepository(repo string, more map[string]string) {
	w.t.Helper()
	files := exampleFiles(w.t)
	for path, content := range more {
		files[path] = content
	}
	w.git.Create(repo, files)
	w.argocd("repo", "add", gitURL(repo), "--username", gitUser, "--password", gitPassword)
	w.tellArgoCD(repo)
}

// exampleFiles are the guide's: a chart below helm, a kustomization below kustomize.
func exampleFiles(t *testing.T) map[string]string {
	t.Helper()
	return filesBelow(t, "../../examples/gitops-demo", ".")
}

// filesBelow are the files of a directory below root, by their paths from root.
func filesBelow(t *testing.T, dir, below string) map[string]string {
	t.Helper()
	root := os.DirFS(dir)
	files := map[string]string{}
	err := fs.WalkDir(root, below, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, path)
		files[filepath.ToSlash(path)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// tellArgoCD is the webhook that one sets up at a Git server.
func (w *world) tellArgoCD(repo string) {
	w.t.Helper()
	w.git.Hook(repo, "post-receive", fmt.Sprintf(`while read -r before after ref; do
curl -sS -o /dev/null -H 'X-GitHub-Event: push' -H 'Content-Type: application/json' https://%s/api/webhook -d "{\"ref\":\"$ref\",\"before\":\"$before\",\"after\":\"$after\",
\"repository\":{\"html_url\":\"https://%s/%s\",\"default_branch\":\"main\"},\"commits\":[]}" >&2
done`, argocdHost, gitHost, repo))
}

// preSync is a hook for the chart: what must run before each new version.
const preSync = `apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "gitops-demo.fullname" . }}-migrate
  annotations:
    argocd.argoproj.io/hook: PreSync
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          args: [migrate]
`
