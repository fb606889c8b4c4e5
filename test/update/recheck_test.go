package update

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/writeback"
)

// Where no render tells that the branch moved, a person's commit is seen after a while: a deleted pin file is written again.
func TestUnrenderedApplicationsAreLookedAtAgain(t *testing.T) {
	w := newWorld(t)
	w.reg.Push(echo, "v1.0", acr.Image{})
	w.git.Create("demo", map[string]string{"helm/values.yaml": "a: 1\n"})
	u := w.updater(time.Minute)
	now := time.Now()
	settings, err := config.Parse("tagpin.yaml", fmt.Appendf(nil, "bindings:\n- {credential: secret:argocd/git-creds, kind: git, url: %q}\n",
		strings.TrimSuffix(w.git.URL("x"), "/x.git")))
	if err != nil {
		t.Fatal(err)
	}
	writer, err := writeback.New(writeback.Options{CacheDir: t.TempDir(), Settings: settings, Secrets: config.OpenSecrets(w.secrets)})
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(w.log)
	u.Loop = reconcile.New(reconcile.Options{
		Store: reconcile.NewMemory(), Resolver: resolver{u.registries}, Writer: writer, Log: log, Now: func() time.Time { return now },
	})
	hint := w.hint("demo", "gitops-demo", "helm")
	hint.App.Revision = ""
	u.check(t, hint)
	first := w.git.Tip("demo", "main")
	w.git.Import("demo", []byte("commit refs/heads/main\ncommitter A Person <person@example.com> 1 +0000\ndata 0\nfrom refs/heads/main^0\n"+
		"D helm/.argocd-source-gitops-demo.yaml\n\n"))
	deleted := w.git.Tip("demo", "main")
	if deleted == first {
		t.Fatal("the file was not deleted")
	}
	now = now.Add(5 * time.Minute)
	w.git.Reset()
	u.check(t)
	if n := w.git.Counts().Requests; n != 0 {
		t.Errorf("a check in which no choice changed made %d Git requests", n)
	}
	now = now.Add(6 * time.Minute)
	u.check(t)
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
	if tip := w.git.Tip("demo", "main"); tip == deleted {
		t.Error("the deleted pin file was not written again")
	}
}

// A commit that leaves the pins alone is no reason to ask Git, whoever made it and however often; one that doesn't is.
func TestCommitsThatLeaveThePinsAlone(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	u := w.updater(ttl)
	rendered := func(change map[string]string) int {
		t.Helper()
		w.git.CommitAs("demo", "main", ada, "work", change)
		hint := w.hint("demo", "gitops-demo", "helm")
		hint.Files = w.git.File("demo", "main", pinFile)
		w.git.Reset()
		u.check(t, hint)
		return w.git.Counts().Requests
	}
	if rendered(map[string]string{"README.md": "1"}) == 0 {
		t.Error("the first check asked nobody")
	}
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
	rendered(map[string]string{"README.md": "2"}) // sees the pin that was made
	for _, note := range []string{"3", "4"} {
		if n := rendered(map[string]string{"README.md": note}); n != 0 {
			t.Errorf("a commit that left the pins alone cost %d Git requests: %v", n, w.git.Counts().Log)
		}
	}
	wantState(t, u.status(t, "gitops-demo"), image.UpToDate, "")
	if rendered(map[string]string{pinFile: pins("v1.0")}) == 0 {
		t.Error("a person's pin was not looked at")
	}
	wantState(t, u.status(t, "gitops-demo"), image.Held, "a person replaced v2.0 with v1.0")
	if n := rendered(map[string]string{"README.md": "5"}); n != 0 {
		t.Errorf("%d Git requests", n)
	}
	wantState(t, u.status(t, "gitops-demo"), image.Held, "a person replaced v2.0 with v1.0")
	rendered(map[string]string{pinFile: pins("v2.0")})
	wantState(t, u.status(t, "gitops-demo"), image.UpToDate, "")
}
