package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/test/acr"
)

// What an Application can be, and what can go wrong with one: each on a repository of its own.
func TestApplications(t *testing.T) {
	w := newWorld(t, v2)
	w.mountOperatorFiles(bindYou + `- credential: secret:argocd/git-creds
  kind: git
  url: https://github.com/strict
  applications: [taken]
  paths: [helm]
`)
	w.startTagpin(fast...)
	w.registry.Push(echoRepo, "v1.0", acr.Image{})
	w.registry.Push(echoRepo, "v2.0", acr.Image{})
	for _, c := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"of another namespace", otherNamespace},
		{"of several sources", severalSources},
		{"set over two overlays", setOverOverlays},
		{"several in one path", severalInOnePath},
		{"protected branch", protectedBranch},
		{"made again, and without its pin file", madeAgain},
		{"sidecar killed in a render", killedInRender},
		{"created against the project's rules", forbiddenCreate},
		{"created under a name that is taken", nameClash},
		// The last two push a tag that all others would follow.
		{"two on one values file", twoOnOneFile},
		{"two replicas", twoReplicas},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, w.on(t)) })
	}
}

// An Application outside of Argo CD's namespace has its own in its pin file's name.
func otherNamespace(t *testing.T, w *world) {
	w.kubectl("create", "namespace", "teams")
	w.kubectl("-n", "argocd", "patch", "appproject", "default", "--type", "merge", "-p", `{"spec":{"sourceNamespaces":["teams"]}}`)
	w.createRepository("you/teams", nil)
	web := app{name: "web", namespace: "teams", repo: "you/teams"}
	w.create(web)
	eventually(t, "web is deployed", func() error { return w.deployed(web, "v2.0") })
	w.wantState("teams_web", "up-to-date", "")
	if pins := w.git.File("you/teams", "main", "helm/.argocd-source-teams_web.yaml"); !strings.Contains(pins, "tag: v2.0") {
		t.Errorf("the pin file:\n%s", pins)
	}
	if n := w.commits("you/teams"); n != 2 {
		t.Errorf("%d commits, want the first and the pin's", n)
	}
}

// Of an Application with several sources, the one that calls tagpin is pinned. Automated sync of such an Application needs
// selfHeal: without it Argo CD 2.14 never deploys a commit that comes during a sync, whoever made it, until there is another one.
func severalSources(t *testing.T, w *world) {
	w.createRepository("you/several", map[string]string{"plain/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"})
	several := app{name: "several", repo: "you/several"}
	spec := several.spec()
	delete(spec, "source")
	spec["syncPolicy"].(map[string]any)["automated"] = map[string]any{"selfHeal": true}
	spec["sources"] = []any{map[string]any{"repoURL": gitURL("you/several"), "targetRevision": "main", "path": "plain"}, several.source()}
	w.kubectl("apply", "-f", "-", manifest("several", "argocd", spec))
	eventually(t, "several is deployed", func() error { return w.deployed(several, "v2.0") })
	w.kubectl("-n", "several", "get", "configmap", "settings")
	if n := w.commits("you/several"); n != 2 {
		t.Errorf("%d commits, want the first and the pin's", n)
	}
}

// applicationSet makes Applications of a generator. name and path are its templates.
func (w *world) applicationSet(set string, generator map[string]any, name, path string, template app) {
	w.t.Helper()
	template.name, template.path = name, path
	b, err := yaml.Marshal(map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": map[string]any{"name": set, "namespace": "argocd"},
		"spec": map[string]any{
			"goTemplate": true, "generators": []any{generator},
			"template": map[string]any{"metadata": map[string]any{"name": name}, "spec": template.spec()},
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.kubectl("apply", "-f", "-", string(b))
}

// An ApplicationSet makes an Application of each overlay; each gets a commit of its own, in its own kustomization.
func setOverOverlays(t *testing.T, w *world) {
	w.createRepository("you/overlays", nil)
	generator := map[string]any{"git": map[string]any{
		"repoURL": gitURL("you/overlays"), "revision": "main", "directories": []any{map[string]any{"path": "kustomize/overlays/*"}},
	}}
	w.applicationSet("overlays", generator, "{{.path.basename}}", "{{.path.path}}", app{
		repo:   "you/overlays",
		params: append([]string{"write-back-target=kustomization"}, guideApp.params...),
	})
	for _, overlay := range []string{"dev", "prod"} {
		a := app{name: overlay}
		eventually(t, overlay+" is deployed", func() error { return w.deployedAs(a, "gitops-demo-"+overlay, "v2.0") })
		path := "kustomize/overlays/" + overlay
		if log := w.git.Git("you/overlays", "log", "--format=%s", "main~2..main", "--", path); strings.Count(log, "\n") != 1 {
			t.Errorf("commits of %s: %q, want one", path, log)
		}
	}
}

// Applications of one path have a pin file each, and a revert of one's commit is none of the others' business.
func severalInOnePath(t *testing.T, w *world) {
	w.createRepository("you/regions", nil)
	regions := []string{"asia", "eu", "us"}
	elements := []any{}
	for _, r := range regions {
		elements = append(elements, map[string]any{"name": r})
	}
	w.applicationSet("regions", map[string]any{"list": map[string]any{"elements": elements}}, "{{.name}}", "helm", app{repo: "you/regions"})
	for _, r := range regions {
		eventually(t, r+" is deployed", func() error { return w.deployed(app{name: r}, "v2.0") })
	}
	if n := w.commits("you/regions"); n != 1+len(regions) {
		t.Errorf("%d commits, want the first and one for each", n)
	}

	pins := "helm/.argocd-source-eu.yaml"
	edited := strings.Replace(w.git.File("you/regions", "main", pins), "v2.0", "v1.0", 1)
	w.git.CommitAs("you/regions", "main", "A Person <person@example.com>", "eu stays behind", map[string]string{pins: edited})
	w.argocd("app", "get", "eu", "--refresh")
	eventually(t, "eu goes back", func() error { return w.deployed(app{name: "eu"}, "v1.0") })
	w.wantState("eu", "held", "a person")
	w.wantState("us", "up-to-date", "")
	w.quiet("you/regions")
}

// Two Applications that name one values file share its pin, and one commit; with policies that differ neither is written.
func twoOnOneFile(t *testing.T, w *world) {
	w.createRepository("you/shared", nil)
	target := append([]string{"write-back-target=helmvalues:values.yaml"}, guideApp.params...)
	blue, green := app{name: "blue", repo: "you/shared", params: target}, app{name: "green", repo: "you/shared", params: target}
	w.create(blue)
	w.create(green)
	for _, a := range []app{blue, green} {
		eventually(t, a.name+" is deployed", func() error { return w.deployed(a, "v2.0") })
	}
	if values := w.git.File("you/shared", "main", "helm/values.yaml"); !strings.Contains(values, `tag: "v2.0"`) {
		t.Errorf("the values:\n%s", values)
	}
	if n := w.commits("you/shared"); n != 2 {
		t.Errorf("%d commits, want the first and one for both", n)
	}

	green.params = append([]string{}, target...)
	green.params[1] += ":<2.0" // the image-list's constraint
	w.create(green)
	w.wantState("green", "held", "blue")
	w.registry.Push(echoRepo, "v3.0", acr.Image{})
	w.wantState("blue", "held", "green")
	w.quiet("you/shared")
}

// Where Git refuses the pin, the application runs on as it is, and the status says what to change.
func protectedBranch(t *testing.T, w *world) {
	w.createRepository("you/protected", nil)
	w.git.Protect("you/protected", "main")
	a := app{name: "protected", repo: "you/protected"}
	w.create(a)
	w.wantState("protected", "blocked", "protected")
	eventually(t, "the application runs", func() error { return w.deployed(a, "v1.0") })
	if n := w.commits("you/protected"); n != 1 {
		t.Errorf("%d commits in a branch that is protected", n)
	}
}

// A pin outlives its application. Who deletes the pin file begins again.
func madeAgain(t *testing.T, w *world) {
	w.createRepository("you/again", nil)
	a := app{name: "again", repo: "you/again"}
	w.create(a)
	eventually(t, "again is deployed", func() error { return w.deployed(a, "v2.0") })
	w.argocd("app", "delete", "again", "--yes", "--cascade=false")
	eventually(t, "the application is gone", func() error {
		if _, err := w.state(a); !errors.Is(err, errNotFound) {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
	w.kubectl("-n", "again", "delete", "deployment", "again-gitops-demo")
	w.create(a)
	eventually(t, "it is deployed again", func() error { return w.deployed(a, "v2.0") })
	if n := w.commits("you/again"); n != 2 {
		t.Errorf("%d commits, want the first and the pin's", n)
	}

	stream := "commit refs/heads/main\ncommitter A Person <person@example.com> %d +0000\ndata 6\nbegin\n\nfrom refs/heads/main^0\nD helm/.argocd-source-again.yaml\n\n"
	w.git.Import("you/again", fmt.Appendf(nil, stream, time.Now().Unix()))
	w.argocd("app", "get", "again", "--refresh")
	eventually(t, "the pin is written anew", func() error {
		if n := w.commits("you/again"); n != 4 {
			return fmt.Errorf("%d commits", n)
		}
		return w.deployed(a, "v2.0")
	})
	w.wantState("again", "up-to-date", "")
}

// slow is a template that keeps a render busy for seconds.
const slow = `{{- range $i := until 1000 }}{{ range $j := until 1000 }}{{ $_ := printf "%d %d" $i $j }}{{ end }}{{ end }}`

// A sidecar that ends in the middle of a render costs that render: the next one is as ever, and no application changes.
func killedInRender(t *testing.T, w *world) {
	w.createRepository("you/slow", map[string]string{"helm/templates/slow.yaml": slow})
	a := app{name: "slow", repo: "you/slow"}
	w.create(a)
	eventually(t, "slow is deployed", func() error { return w.deployed(a, "v2.0") })

	// A commit with other files: what was rendered once is not rendered again.
	w.git.CommitAs("you/slow", "main", "A Person <person@example.com>", "as slow as before", map[string]string{"helm/templates/slow.yaml": slow + "\n"})
	refreshed := make(chan string, 1)
	go func() {
		out, _ := w.try("argocd", "app", "get", "slow", "--hard-refresh")
		refreshed <- out
	}()
	eventually(t, "a render is on its way", func() error {
		if out, err := w.try("find", w.replicaDir(1, "work"), "-name", "slow.yaml"); err != nil || out == "" {
			return fmt.Errorf("no archive: %w", err)
		}
		return nil
	})
	w.sidecar.Load().kill()
	w.startTagpin(fast...)
	if out := <-refreshed; !strings.Contains(out, "plugin sidecar failed") {
		t.Errorf("argocd app get doesn't tell of the render that was killed:\n%s", out)
	}
	w.argocd("app", "get", "slow", "--hard-refresh")
	if err := w.deployed(a, "v2.0"); err != nil {
		t.Errorf("after one more render: %v", err)
	}
}

// createByAPI asks Argo CD's API server, which renders before it looks at what the project allows. It is expected to refuse.
func (w *world) createByAPI(a app, refusal string) {
	w.t.Helper()
	file := w.write(a.name+".yaml", manifest(a.name, "argocd", a.spec()))
	out, err := w.try("argocd", "app", "create", "-f", file)
	if err == nil || !strings.Contains(out, refusal) {
		w.t.Fatalf("creating %s: %v; want a refusal with %q", a.name, err, refusal)
	}
}

// Argo CD calls the plugin for a create that it then refuses. A binding that lists applications keeps that without effect.
func forbiddenCreate(t *testing.T, w *world) {
	w.createRepository("strict/forbidden", nil)
	w.kubectl("apply", "-f", "-", "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: strict, namespace: argocd}\n"+
		"spec: {sourceRepos: ['https://github.com/else/*'], destinations: [{server: '*', namespace: '*'}]}\n")
	w.createByAPI(app{name: "forbidden", project: "strict", repo: "strict/forbidden"}, "not permitted in project")
	w.wantState("forbidden", "refused", "may not use secret:argocd/git-creds")
	w.quiet("strict/forbidden")
	if n := w.commits("strict/forbidden"); n != 1 {
		t.Errorf("%d commits for an application that may not be", n)
	}
}

// Nor does a create under the name of another application, for another path than the binding's, write anything.
func nameClash(t *testing.T, w *world) {
	w.createRepository("strict/taken", nil)
	a := app{name: "taken", repo: "strict/taken"}
	w.create(a)
	eventually(t, "taken is deployed", func() error { return w.deployed(a, "v2.0") })
	a.path = "kustomize/overlays/dev"
	w.createByAPI(a, "existing application spec is different")
	w.quiet("strict/taken")
	if n := w.commits("strict/taken"); n != 2 {
		t.Errorf("%d commits, want the first and the pin's", n)
	}
	out := w.run(w.tagpin, "status", "taken")
	if !strings.Contains(out, "refused") || !strings.Contains(out, "up-to-date") {
		t.Errorf("the status tells of the one and the other:\n%s", out)
	}
}

// Two replicas of the repo-server with a sidecar each write one commit, and render the same.
func twoReplicas(t *testing.T, w *world) {
	second := w.startReplica(2, fast...)
	w.startRepoServer(2)
	w.registry.Push(echoRepo, "v3.0", acr.Image{})
	w.createRepository("you/twins", nil)
	twins := app{name: "twins", repo: "you/twins"}
	w.create(twins)
	eventually(t, "twins is deployed", func() error { return w.deployed(twins, "v3.0") })
	w.registry.Push(echoRepo, "v4.0", acr.Image{})
	eventually(t, "v4.0 is deployed", func() error { return w.deployed(twins, "v4.0") })
	w.quiet("you/twins")
	if n := w.commits("you/twins"); n != 3 {
		t.Errorf("%d commits, want the first and one for each version:\n%s", n, w.git.Git("you/twins", "log", "--format=%s", "main"))
	}
	eventually(t, "both replicas render it", func() error {
		w.argocd("app", "get", "twins", "--hard-refresh")
		if err := w.deployed(twins, "v4.0"); err != nil {
			t.Errorf("after a hard refresh: %v", err)
		}
		for _, p := range []*process{w.sidecar.Load(), second} {
			if !strings.Contains(p.text(), "application=twins") {
				return fmt.Errorf("%s has not", p.name)
			}
		}
		return nil
	})
}
