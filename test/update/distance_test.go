package update

import (
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

// The distance between pushes holds back what has something to push, and is no error. An application that merely runs at the
// new commit has nothing to wait for.
func TestDistanceBetweenPushes(t *testing.T) {
	w := newWorld(t)
	w.reg.Push(echo, "v1.0", acr.Image{})
	w.git.Create("demo", map[string]string{"a/values.yaml": "a: 1\n", "b/values.yaml": "a: 1\n", "c/values.yaml": "a: 1\n"})
	u := w.updater(time.Minute)
	now := time.Now()
	settings, err := config.Parse("tagpin.yaml", []byte("bindings:\n- {credential: secret:argocd/git-creds, kind: git, url: \""+
		strings.TrimSuffix(w.git.URL("x"), "/x.git")+"\"}\n"))
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
	u.check(t, w.hint("demo", "a", "a"), w.hint("demo", "b", "b"))
	pushed := w.git.Tip("demo", "main")

	now = now.Add(time.Second)
	sum := u.check(t, w.hint("demo", "a", "a"), w.hint("demo", "b", "b"), w.hint("demo", "c", "c"))
	wantState(t, u.status(t, "a"), image.UpToDate, "")
	wantState(t, u.status(t, "b"), image.UpToDate, "")
	wantState(t, u.status(t, "c"), image.Waiting, "the branch was pushed to a moment ago: the next push comes after ")
	if sum.Errors != 0 || w.git.Tip("demo", "main") != pushed {
		t.Errorf("%d errors and the tip %s, want none and %s", sum.Errors, w.git.Tip("demo", "main"), pushed)
	}
	if strings.Contains(w.log.String(), "level=warning") {
		t.Error("waiting is logged as a warning")
	}

	// What a person did meanwhile is seen, although something waits.
	w.git.CommitAs("demo", "main", "A Person <person@example.com>", "hold", map[string]string{
		"b/.argocd-source-b.yaml": "pins:\n- {alias: echoserver, image: " + echoServer + ", tag: v1.0, hold: true}\n"})
	u.check(t, w.hint("demo", "b", "b"), w.hint("demo", "c", "c"))
	wantState(t, u.status(t, "b"), image.Held, "hold: true")

	now = now.Add(time.Minute)
	u.check(t)
	wantState(t, u.status(t, "c"), image.Updated, "")
}
