package update

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/test/acr"
)

// What a person commits is a person's, whatever its message repeats.
func TestRepeatedTrailers(t *testing.T) {
	for name, person := range map[string]func(w *world, first, second string){
		"a revert with the old commit's message": func(w *world, first, _ string) {
			w.git.CommitAs("demo", "main", ada, w.line("demo", "log", "-1", "--format=%B", first), map[string]string{pinFile: pins("v1.0")})
		},
		"a squash merge that reverts": func(w *world, first, second string) {
			message := "Squashed\n\n" + w.line("demo", "log", "-1", "--format=%b", second) + "\n" + w.line("demo", "log", "-1", "--format=%b", first)
			w.git.CommitAs("demo", "main", ada, message, map[string]string{pinFile: pins("v1.0")})
		},
		"a cherry-pick onto a revert": func(w *world, first, _ string) {
			w.git.CommitAs("demo", "main", ada, "Revert", map[string]string{pinFile: pins("v1.0")})
			w.git.CommitAs("demo", "main", ada, w.line("demo", "log", "-1", "--format=%B", first), map[string]string{"README.md": "picked\n"})
		},
		"a trailer that was made up": func(w *world, _, _ string) {
			w.git.CommitAs("demo", "main", ada, "Revert", map[string]string{pinFile: pins("v1.0")})
			w.git.CommitAs("demo", "main", ada, "docs\n\nTagpin-Change: "+`{"application":"gitops-demo","alias":"echoserver","image":"`+echoServer+`","tag":"v1.0"}`,
				map[string]string{"README.md": "forged\n"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.git.Create("demo", chart())
			w.reg.Push(echo, "v1.0", acr.Image{})
			u := w.updater(ttl)
			u.check(t, w.hint("demo", "gitops-demo", "helm"))
			first := w.git.Tip("demo", "main")
			w.reg.Push(echo, "v2.0", acr.Image{})
			u.check(t, w.hint("demo", "gitops-demo", "helm"))
			second := w.git.Tip("demo", "main")
			person(w, first, second)
			before := w.git.File("demo", "main", pinFile)
			for range 2 {
				u.check(t, w.hint("demo", "gitops-demo", "helm"))
				wantState(t, u.status(t, "gitops-demo"), image.Held, "a person replaced v2.0 with v1.0")
				u = w.updater(ttl)
			}
			if got := w.git.File("demo", "main", pinFile); got != before {
				t.Errorf("overwritten: %s", got)
			}
		})
	}
}

// Applications of two Argo CD instances that write the same value: the second one to come sees whose it is.
func TestTwoInstances(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.reg.Push(echo, "v1.9", acr.Image{})
	w.reg.Push(echo, "v2.0", acr.Image{})
	one, two := w.updater(ttl), w.updater(ttl)
	checkOne := func() {
		t.Helper()
		one.check(t, w.hint("demo", "stable", "helm", "write-back-target", "helmvalues", "image-list", "echoserver="+echoServer+":^1"))
	}
	checkTwo := func() {
		t.Helper()
		two.check(t, w.hint("demo", "newest", "helm", "write-back-target", "helmvalues"))
	}
	checkOne()
	wantState(t, one.status(t, "stable"), image.Updated, "")
	written := w.git.Tip("demo", "main")
	for range 2 {
		checkTwo()
		wantState(t, two.status(t, "newest"), image.Held, "the applications newest and stable write the same place (helm/values.yaml#image.tag)")
		checkOne()
		if got := w.git.Tip("demo", "main"); got != written {
			t.Fatalf("commits alternate: %s", w.line("demo", "log", "--format=%s%n%b", written+".."+got))
		}
		two = w.updater(ttl) // also for one that knows nothing of before
	}
	// A person hands the place over: then the first one is held, and told.
	values := chart()["helm/values.yaml"]
	w.git.CommitAs("demo", "main", ada, "the newest it is", map[string]string{"helm/values.yaml": values})
	w.reg.Push(echo, "v2.1", acr.Image{})
	checkTwo()
	wantState(t, two.status(t, "newest"), image.Updated, "")
	w.reg.Push(echo, "v1.10", acr.Image{})
	for range 2 {
		checkOne()
		wantState(t, one.status(t, "stable"), image.Held, "the applications stable and newest write the same place (helm/values.yaml#image.tag)")
		one = w.updater(ttl)
	}
}

// Who comes to a place where another application's pin stands is held; the next check tells the other one, whose own choice
// didn't change, as well.
func TestSharedTargetSecondComer(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.reg.Push(echo, "v1.9", acr.Image{})
	w.reg.Push(echo, "v2.0", acr.Image{})
	u := w.updater(ttl)
	stable := w.hint("demo", "stable", "helm", "write-back-target", "helmvalues", "image-list", "echoserver="+echoServer+":^1")
	u.check(t, stable)
	wantState(t, u.status(t, "stable"), image.Updated, "")
	written := w.git.Tip("demo", "main")
	stable.App.Revision = written // Argo CD renders what was written
	u.check(t, stable)
	wantState(t, u.status(t, "stable"), image.UpToDate, "")

	newest := w.hint("demo", "newest", "helm", "write-back-target", "helmvalues")
	u.check(t, stable, newest)
	wantState(t, u.status(t, "newest"), image.Held, "the applications newest and stable write the same place")
	u.check(t)
	wantState(t, u.status(t, "newest"), image.Held, "the applications newest and stable write the same place")
	wantState(t, u.status(t, "stable"), image.Held, "the applications stable and newest write the same place")
	if got := w.git.Tip("demo", "main"); got != written {
		t.Errorf("commits after the first: %s", w.line("demo", "log", "--format=%s", written+".."+got))
	}
}

// Applications that want the same are no conflict: the first one writes for all.
func TestSharedTargetSamePolicy(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	u := w.updater(ttl)
	for _, tag := range []string{"v1.1", "v1.2", "v1.3"} {
		w.reg.Push(echo, tag, acr.Image{})
		u.check(t, w.hint("demo", "a", "helm", "write-back-target", "helmvalues"), w.hint("demo", "b", "helm", "write-back-target", "helmvalues"))
		wantState(t, u.status(t, "a"), image.Updated, "")
		wantState(t, u.status(t, "b"), image.Updated, "")
	}
	if n := w.line("demo", "rev-list", "--count", "main"); n != "4" {
		t.Errorf("%s commits, want the first and one per tag", n)
	}
}

// Where the commits that are read don't tell who pinned a tag, a person did.
func TestPinOlderThanTheBound(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	var history bytes.Buffer
	for i := range 2010 {
		fmt.Fprintf(&history, "commit refs/heads/main\ncommitter %s %d +0000\ndata 4\nwork\n", ada, 1_700_000_000+i)
		if i == 0 {
			history.WriteString("from refs/heads/main^0\n")
		}
		fmt.Fprintf(&history, "M 100644 inline notes\ndata %d\n%d\n\n", len(fmt.Sprint(i)), i)
	}
	w.git.Import("demo", history.Bytes())
	tip := w.git.Tip("demo", "main")
	u := w.updater(ttl)
	for range 2 {
		u.check(t, w.hint("demo", "gitops-demo", "helm"))
		wantState(t, u.status(t, "gitops-demo"), image.Held, "the commits that were read don't tell who pinned v1.0, so it counts as a person's: delete the pin")
	}
	if w.git.Tip("demo", "main") != tip {
		t.Error("a pin of nobody knows whom was overwritten")
	}
	w.git.Import("demo", []byte("commit refs/heads/main\ncommitter "+ada+" 1760000000 +0000\ndata 6\ndelete\nfrom refs/heads/main^0\nD "+pinFile+"\n\n"))
	u.check(t, w.hint("demo", "gitops-demo", "helm"))
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
}

// A render of an older commit tells the parameters of that time, and they count for nothing, however late they come.
func TestParametersOfAnOlderCommit(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.reg.Push(echo, "v1.9", acr.Image{})
	w.reg.Push(echo, "v2.0", acr.Image{})
	old := w.hint("demo", "gitops-demo", "helm", "image-list", "echoserver="+echoServer+":^1")
	w.git.CommitAs("demo", "main", ada, "work", map[string]string{"README.md": "newer\n"})
	now := w.hint("demo", "gitops-demo", "helm", "image-list", "echoserver="+echoServer+":^2")
	old.Seen = now.Seen.Add(time.Minute)
	u := w.updater(ttl)
	for _, order := range [][]reconcile.Hint{{now, old}, {old, now}, {old}} {
		u.check(t, order...)
		if got := w.git.File("demo", "main", pinFile); got != pins("v2.0") {
			t.Fatalf("pinned by the parameters of an older commit: %s", got)
		}
	}
	if n := w.line("demo", "rev-list", "--count", "main"); n != "3" {
		t.Errorf("%s commits, want those of the person and the pin", n)
	}
}
