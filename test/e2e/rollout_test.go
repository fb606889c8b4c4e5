package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/acr"
)

// fast are the flags of a tagpin that looks every second.
var fast = []string{"--interval", "2s", "--cache-ttl", "1s", "--push-distance", "1s"}

// mountOperatorFiles puts the operator's files where the sidecar has them mounted.
func (w *world) mountOperatorFiles(settings string) {
	w.t.Helper()
	w.write("config/tagpin.yaml", settings)
	plugin := w.run("cat", filepath.Join(moduleRoot(w.t), "plugin.yaml"))
	w.write("config/plugin.yaml", plugin)
	w.write("secrets/argocd/acr/acr", acr.User+":"+acr.Password)
	w.write("secrets/argocd/git-creds/username", gitUser)
	w.write("secrets/argocd/git-creds/password", gitPassword)
}

const bindYou = `bindings:
- credential: secret:argocd/git-creds
  kind: git
  url: https://github.com/you
`

// What the whole is for: a pushed tag is deployed with nobody's hand on Argo CD, as a rollout like any other.
func TestRollout(t *testing.T) {
	for _, l := range []line{v2, v3} {
		t.Run(l.name, func(t *testing.T) { testRollout(t, newWorld(t, l)) })
	}
}

func testRollout(t *testing.T, w *world) {
	w.mountOperatorFiles(bindYou)
	w.startTagpin(fast...)
	w.registry.Push(echoRepo, "v1.0", acr.Image{})
	w.createRepository("you/gitops-demo", map[string]string{
		"helm/templates/migrate.yaml": preSync,
		// Not what the first pin says, or there would be nothing to roll out for it.
		"helm/values.yaml": strings.Replace(exampleFiles(t)["helm/values.yaml"], "v1.0", "v0.9", 1),
	})
	w.git.Git("you/gitops-demo", "branch", "other")
	demo := app{name: "demo", repo: "you/gitops-demo"}
	w.create(demo)
	eventually(t, "the first pin is deployed", func() error {
		if n := w.commits("you/gitops-demo"); n != 2 {
			return fmt.Errorf("%d commits; %s", n, w.sidecar.Load().tail())
		}
		return w.deployed(demo, "v1.0")
	})
	first := w.git.Tip("you/gitops-demo", "main")

	w.registry.Push(echoRepo, "v2.0", acr.Image{})
	eventually(t, "v2.0 is deployed", func() error { return w.deployed(demo, "v2.0") })
	second := w.git.Tip("you/gitops-demo", "main")

	t.Run("history has the pin commit", func(t *testing.T) {
		w := w.on(t)
		s, err := w.state(demo)
		if err != nil {
			t.Fatal(err)
		}
		var revisions []string
		for _, h := range s.Status.History {
			revisions = append(revisions, h.Revision)
		}
		if len(revisions) < 2 || !slices.Equal(revisions[len(revisions)-2:], []string{first, second}) {
			t.Fatalf("the history's revisions are %v, want %s and %s at the end", revisions, first, second)
		}
		if message := w.git.Git("you/gitops-demo", "log", "-1", "--format=%B", second); !strings.Contains(message, `"tag":"v2.0"`) {
			t.Errorf("%s is not the commit of the pin:\n%s", second, message)
		}
	})
	t.Run("PreSync hooks ran for it", func(t *testing.T) {
		w := w.on(t)
		s, err := w.state(demo)
		if err != nil {
			t.Fatal(err)
		}
		result := s.Status.OperationState.SyncResult
		hooks := 0
		for _, r := range result.Resources {
			if r.Kind == "Job" && r.HookType == "PreSync" && r.HookPhase == "Succeeded" {
				hooks++
			}
		}
		if result.Revision != second || hooks != 1 {
			t.Errorf("the sync to %s ran %d PreSync hooks, want the one of %s: %+v", result.Revision, hooks, second, result.Resources)
		}
		if image := w.kubectl("-n", "demo", "get", "job", "demo-gitops-demo-migrate", "-o", "jsonpath={.spec.template.spec.containers[0].image}"); image != echo+":v2.0" {
			t.Errorf("the hook ran %s", image)
		}
	})
	t.Run("manifests of an old revision", func(t *testing.T) {
		w := w.on(t)
		if out := w.argocd("app", "manifests", "demo", "--source", "git", "--revision", first); !strings.Contains(out, echo+":v1.0") || strings.Contains(out, "v2.0") {
			t.Errorf("the manifests of %s:\n%s", first, out)
		}
	})
	t.Run("looking causes no commit", func(t *testing.T) {
		w := w.on(t)
		for revision, tag := range map[string]string{first: "v1.0", "other": "v0.9", "HEAD": "v2.0"} {
			if out := w.argocd("app", "manifests", "demo", "--source", "git", "--revision", revision); !strings.Contains(out, echo+":"+tag) {
				t.Errorf("app manifests --revision %s doesn't have %s:\n%s", revision, tag, out)
			}
			out, _ := w.try("argocd", "app", "diff", "demo", "--revision", revision) // its exit status says whether there is a difference
			if strings.Contains(out, echo+":"+tag) != (revision != "HEAD") {
				t.Errorf("app diff --revision %s doesn't show %s:\n%s", revision, tag, out)
			}
		}
		w.quiet("you/gitops-demo")
	})
	t.Run("rollback", func(t *testing.T) { w.on(t).rollback(demo, first) })
}

// rollback is Argo CD's own: it gives what the old commit said, and nobody undoes it.
func (w *world) rollback(a app, to string) {
	t := w.t
	if out, err := w.try("argocd", "app", "rollback", a.name); err == nil {
		t.Fatalf("Argo CD rolls back an application with automated sync: is the documentation still right?\n%s", out)
	}
	w.argocd("app", "set", a.name, "--sync-policy", "none")
	s, err := w.state(a)
	if err != nil {
		t.Fatal(err)
	}
	id := int64(-1)
	for _, h := range s.Status.History {
		if h.Revision == to {
			id = h.ID
		}
	}
	w.argocd("app", "rollback", a.name, fmt.Sprint(id), "--timeout", "120")
	want := func() error {
		image, err := w.cluster.deployedImage(a.name, a.name+"-gitops-demo")
		if err == nil && image != echo+":v1.0" {
			err = fmt.Errorf("%s runs", image)
		}
		return err
	}
	eventually(t, "the rollback", want)
	w.quiet(a.repo)
	w.argocd("app", "get", a.name, "--refresh")
	if err := want(); err != nil {
		t.Errorf("the rollback does not stay: %v", err)
	}
}

// commits counts those of main.
func (w *world) commits(repo string) int {
	var n int
	_, _ = fmt.Sscan(w.git.Git(repo, "rev-list", "--count", "main"), &n)
	return n
}

// quiet looks on for some checks of tagpin's, and fails when a branch of the repository moves.
func (w *world) quiet(repo string) {
	t := w.t
	t.Helper()
	before := w.git.Git(repo, "for-each-ref")
	checks := strings.Count(w.sidecar.Load().text(), "Processing results")
	eventually(t, "three more checks", func() error {
		if n := strings.Count(w.sidecar.Load().text(), "Processing results") - checks; n < 3 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	time.Sleep(time.Second)
	if after := w.git.Git(repo, "for-each-ref"); after != before {
		t.Errorf("a branch of %s moved:\n%s\nwas\n%s", repo, after, before)
	}
}
