package update

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/writeback"
)

const (
	pinFile = "helm/.argocd-source-gitops-demo.yaml"
	ttl     = time.Millisecond // each check asks the registry
)

func chart() map[string]string {
	return map[string]string{
		"helm/Chart.yaml":  "apiVersion: v2\nname: demo\nversion: 0.1.0\n",
		"helm/values.yaml": "image:\n  repository: " + echoServer + " # ours\n  tag: \"v1.0\"\n",
		"README.md":        "demo\n",
	}
}

func pins(tag string) string {
	return "pins:\n- alias: echoserver\n  image: " + echoServer + "\n  tag: " + tag + "\n"
}

// The main job: the first pin, nothing, a new tag, nothing.
func TestPushedTagBecomesCommit(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.reg.Push(echo, "v1.0", acr.Image{})
	u := w.updater(ttl)

	u.check(t, w.hint("demo", "gitops-demo", "helm"))
	if got := w.git.File("demo", "main", pinFile); got != pins("v1.0") {
		t.Fatalf("the first pin is %q", got)
	}
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")

	w.git.Reset()
	u.check(t, w.hint("demo", "gitops-demo", "helm")) // rendered at the commit that the loop made
	if n := w.git.Counts().Requests; n != 0 {
		t.Errorf("a check in which no choice changed made %d Git requests: %v", n, w.git.Counts().Log)
	}

	w.reg.Push(echo, "v2.0", acr.Image{})
	sum := u.check(t)
	if got := w.git.File("demo", "main", pinFile); got != pins("v2.0") {
		t.Fatalf("the pin is %q", got)
	}
	if sum.Updated != 1 || sum.Applications != 1 || sum.Errors != 0 {
		t.Errorf("summary %+v", sum)
	}
	if n := w.git.Counts().Requests; n > 2 {
		t.Errorf("an update of a branch that nobody moved made %d Git requests, want 2: %v", n, w.git.Counts().Log)
	}
	message := w.line("demo", "log", "-1", "--format=%B")
	for _, part := range []string{"gitops-demo", echo, "'v1.0' to 'v2.0'", "semver", `"previousTag":"v1.0"`} {
		if !strings.Contains(message, part) {
			t.Errorf("the commit message lacks %q:\n%s", part, message)
		}
	}
	if changed := w.line("demo", "diff-tree", "-r", "--name-only", "--no-commit-id", "main"); changed != pinFile {
		t.Errorf("the commit changes %s", changed)
	}
	if !strings.Contains(w.log.String(), "Processing results: applications=1 images_considered=1 images_skipped=0 images_updated=1 errors=0") {
		t.Error("no summary in the log")
	}
}

func TestTargets(t *testing.T) {
	w := newWorld(t)
	files := chart()
	files["overlay/kustomization.yaml"] = "resources: [x.yaml]\nimages:\n- name: " + echoServer + " # theirs\n  newTag: v1.0 # now\n"
	w.git.Create("demo", files)
	w.reg.Push(echo, "v2.0", acr.Image{})
	u := w.updater(ttl)
	u.check(t, w.hint("demo", "values", "helm", "write-back-target", "helmvalues"),
		w.hint("demo", "overlay", "overlay", "write-back-target", "kustomization"))
	if got, want := w.git.File("demo", "main", "helm/values.yaml"), strings.Replace(chart()["helm/values.yaml"], "v1.0", "v2.0", 1); got != want {
		t.Errorf("values.yaml is %q, want %q", got, want)
	}
	if got, want := w.git.File("demo", "main", "overlay/kustomization.yaml"), strings.Replace(files["overlay/kustomization.yaml"], "v1.0", "v2.0", 1); got != want {
		t.Errorf("kustomization.yaml is %q, want %q", got, want)
	}
	if n := w.line("demo", "rev-list", "--count", "main"); n != "3" {
		t.Errorf("%s commits, want the first and one per application", n)
	}
}

// Outside of its path an application writes only what the operator lists, whatever it renders.
func TestTargetsOutside(t *testing.T) {
	w := newWorld(t)
	files := chart()
	files["env/prod.yaml"] = "image: {repository: " + echoServer + ", tag: v1.0}\n"
	files["base/kustomization.yaml"] = "images: [{name: " + echoServer + ", newTag: v1.0}]\n"
	w.git.Create("demo", files)
	w.reg.Push(echo, "v2.0", acr.Image{})
	hints := []reconcile.Hint{
		w.hint("demo", "values", "helm", "write-back-target", "helmvalues:../env/prod.yaml"),
		w.hint("demo", "base", "overlay", "write-back-target", "kustomization:/base"),
	}
	hints[0].Parameters = append(hints[0].Parameters, image.Parameter{Name: "helm.valueFiles", Array: []string{"../env/prod.yaml"}})
	u := w.updater(ttl)
	u.check(t, hints...)
	wantState(t, u.status(t, "values"), image.Refused, "targets:")
	wantState(t, u.status(t, "values"), image.Refused, "env/prod.yaml")
	wantState(t, u.status(t, "base"), image.Refused, "but for another target; an operator can allow it")
	u = w.updaterWith("- {credential: secret:argocd/git-creds, kind: git, url: \""+strings.TrimSuffix(w.git.URL("x"), "/x.git")+"\", targets: [env/*.yaml, base]}\n",
		writeback.Options{})
	u.check(t, hints...)
	for _, app := range []string{"values", "base"} {
		wantState(t, u.status(t, app), image.Updated, "manifest-generate-paths") // the risk is named
	}
	for file, before := range map[string]string{"env/prod.yaml": files["env/prod.yaml"], "base/kustomization.yaml": files["base/kustomization.yaml"]} {
		if got := w.git.File("demo", "main", file); got != strings.Replace(before, "v1.0", "v2.0", 1) {
			t.Errorf("%s is %q", file, got)
		}
	}
}

// A revert by a person holds until a tag appears that is newer than the one that was taken away.
func TestRevertHolds(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.reg.Push(echo, "v1.0", acr.Image{})
	u := w.updater(ttl)
	u.check(t, w.hint("demo", "gitops-demo", "helm"))
	w.reg.Push(echo, "v2.0", acr.Image{})
	u.check(t)
	w.git.CommitAs("demo", "main", "Ada <ada@example.com>", "Revert to v1.0", map[string]string{pinFile: pins("v1.0")})

	for range 3 { // also for an updater that knows nothing of before
		u.check(t, w.hint("demo", "gitops-demo", "helm"))
		wantState(t, u.status(t, "gitops-demo"), image.Held, "a person replaced v2.0 with v1.0")
		if got := w.git.File("demo", "main", pinFile); got != pins("v1.0") {
			t.Fatalf("the revert was overwritten: %s", got)
		}
		u = w.updater(ttl)
	}
	w.reg.Push(echo, "v2.1", acr.Image{})
	u.check(t, w.hint("demo", "gitops-demo", "helm"))
	if got := w.git.File("demo", "main", pinFile); got != pins("v2.1") {
		t.Errorf("v2.1 is newer than the tag that was taken away, but the pin is %s", got)
	}
}

func TestPersonsPins(t *testing.T) {
	w := newWorld(t)
	files := chart()
	files["held/.argocd-source-held.yaml"] = "pins:\n- alias: echoserver\n  image: " + echoServer + "\n  tag: v1.0\n  hold: true # until Monday\n"
	files["newer/.argocd-source-newer.yaml"] = pins("v3.0")
	files["older/.argocd-source-older.yaml"] = pins("v1.0")
	w.git.Create("demo", files)
	w.reg.Push(echo, "v2.0", acr.Image{})
	u := w.updater(ttl)
	u.check(t, w.hint("demo", "held", "held"), w.hint("demo", "newer", "newer"), w.hint("demo", "older", "older"),
		w.hint("demo", "parameter", "parameter", "hold", "true"))
	wantState(t, u.status(t, "held"), image.Held, "hold: true")
	wantState(t, u.status(t, "newer"), image.Held, "v3.0 is newer than v2.0")
	wantState(t, u.status(t, "older"), image.Updated, "") // tagpin never wrote here: a person's v1.0 rejects nothing
	wantState(t, u.status(t, "parameter"), image.Held, "parameter hold")
	if n := w.line("demo", "rev-list", "--count", "main"); n != "2" {
		t.Errorf("%s commits", n)
	}
	// Deleting the pin file is the wish to begin again.
	w.git.Import("demo", []byte("commit refs/heads/main\ncommitter Ada <ada@example.com> 1760000000 +0000\ndata 6\ndelete\nfrom refs/heads/main^0\nD newer/.argocd-source-newer.yaml\n\n"))
	u.check(t, w.hint("demo", "newer", "newer"))
	if got := w.git.File("demo", "main", "newer/.argocd-source-newer.yaml"); got != pins("v2.0") {
		t.Errorf("after the pin file was deleted: %s", got)
	}
}

// What must cause no commit, and what the status says instead.
func TestNoCommit(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.git.Git("demo", "branch", "preview", "main")
	w.git.Create("other", chart())
	w.reg.Push(echo, "v2.0", acr.Image{})
	u := w.updater(ttl)
	preview := w.hint("demo", "preview", "helm")
	preview.App.TargetRevision = "preview"
	commit := w.hint("demo", "commit", "helm")
	commit.App.TargetRevision = w.git.Tip("demo", "main")
	u.check(t, preview, commit,
		w.hint("demo", "unbound", "helm", "write-back-method", "git:secret:other/creds"),
		w.hint("demo", "elsewhere", "helm", "git-repository", "https://git.example.com/other.git"),
		w.hint("demo", "outside", "helm", "write-back-target", "helmvalues:../../etc/values.yaml"),
		w.hint("demo", "unrendered", "helm", "write-back-target", "helmvalues:/other.yaml"),
		w.hint("demo", "ci", "helm", "write-back-target", "kustomization:/.github"),
		w.hint("demo", "nothing", "helm", "echoserver.allow-tags", "regexp:^v9"),
		w.hint("demo", "absent", "helm", "image-list", "echoserver="+acrHost+"/team/absent"),
		w.hint("demo", "wrong", "helm", "update-strategie", "semver"),
	)
	for app, want := range map[string]struct {
		state  image.State
		reason string
	}{
		"preview":    {image.NotFollowed, "set git-branch: preview"},
		"commit":     {image.NotFollowed, "no branch"},
		"unbound":    {image.Refused, "bindings:"},
		"elsewhere":  {image.Refused, "bindings:"},
		"outside":    {image.Refused, "leads out of the repository"},
		"unrendered": {image.Refused, "does not render"},
		"ci":         {image.Refused, ".github"},
		"nothing":    {image.NoChoice, "no tag qualifies"},
		"absent":     {image.NoChoice, "no such repository"},
		"wrong":      {image.Refused, "update-strategy"},
	} {
		wantState(t, u.status(t, app), want.state, want.reason)
	}
	if n := w.line("demo", "rev-list", "--count", "--all"); n != "1" {
		t.Errorf("%s commits, want 1", n)
	}
}

func TestGitFailures(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.git.Protect("demo", "main")
	w.reg.Push(echo, "v2.0", acr.Image{})
	u := w.updater(ttl)
	u.check(t, w.hint("demo", "gitops-demo", "helm"))
	wantState(t, u.status(t, "gitops-demo"), image.Blocked, "protected")
	if n := w.line("demo", "rev-list", "--count", "--all"); n != "1" {
		t.Errorf("%s commits, want 1", n)
	}
}

// Two applications that want the same value to be different are both held, and both told.
func TestSharedTarget(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	w.reg.Push(echo, "v1.9", acr.Image{})
	w.reg.Push(echo, "v2.0", acr.Image{})
	u := w.updater(ttl)
	stable := w.hint("demo", "stable", "helm", "write-back-target", "helmvalues", "image-list", "echoserver="+echoServer+":^1")
	newest := w.hint("demo", "newest", "helm", "write-back-target", "helmvalues")
	for range 3 {
		u.check(t, stable, newest)
		wantState(t, u.status(t, "stable"), image.Held, "newest")
		wantState(t, u.status(t, "newest"), image.Held, "stable")
	}
	if n := w.line("demo", "rev-list", "--count", "main"); n != "1" {
		t.Errorf("%s commits, want 1", n)
	}
}

// Forty applications, three updaters, and a person who pushes all the time.
func TestManyWriters(t *testing.T) {
	w := newWorld(t)
	files := map[string]string{}
	const apps, updaters, persons = 40, 3, 25
	for i := range apps {
		files[fmt.Sprintf("apps/app-%02d/Chart.yaml", i)] = "name: x\n"
	}
	w.git.Create("mono", files)
	w.reg.Push(echo, "v1.0", acr.Image{})
	done := make(chan int, updaters)
	for range updaters {
		u := w.updater(ttl)
		for i := range apps {
			u.Observe(w.hint("mono", fmt.Sprintf("app-%02d", i), fmt.Sprintf("apps/app-%02d", i)))
		}
		go func() {
			pushes := 0
			for range 4 {
				u.Take(t.Context())
				if u.Check(t.Context()).Updated > 0 {
					pushes++
				}
			}
			done <- pushes
		}()
	}
	for i := range persons {
		w.git.CommitAs("mono", "main", ada, "work", map[string]string{fmt.Sprintf("notes/%d.md", i): "note"})
		time.Sleep(50 * time.Millisecond)
	}
	pushes := 0
	for range updaters {
		pushes += <-done
	}
	for i := range apps {
		if got := w.git.File("mono", "main", fmt.Sprintf("apps/app-%02d/.argocd-source-app-%02d.yaml", i, i)); got != pins("v1.0") {
			t.Errorf("app-%02d: %q", i, got)
		}
	}
	for i := range persons {
		if w.git.File("mono", "main", fmt.Sprintf("notes/%d.md", i)) != "note" {
			t.Errorf("the person's commit %d is lost", i)
		}
	}
	if n := w.line("mono", "rev-list", "--count", "main"); n != fmt.Sprint(1+persons+apps) {
		t.Errorf("%s commits, want %d: one per application, those of the person, the first", n, 1+persons+apps)
	}
	if pushes >= apps {
		t.Errorf("%d checks pushed, want fewer than applications", pushes)
	}

	// A new tag for all of them, and a revert of one: only that one moves, and it stays.
	w.reg.Push(echo, "v2.0", acr.Image{})
	u := w.updater(ttl)
	var hints []reconcile.Hint
	for i := range apps {
		hints = append(hints, w.hint("mono", fmt.Sprintf("app-%02d", i), fmt.Sprintf("apps/app-%02d", i)))
	}
	w.git.Reset()
	if sum := u.check(t, hints...); sum.Updated != apps {
		t.Fatalf("summary %+v", sum)
	}
	if n := w.git.Counts().Requests; n > 12 {
		t.Errorf("the first update of a cold cache made %d Git requests for %d applications", n, apps)
	}
	w.git.CommitAs("mono", "main", "Ada <ada@example.com>", "Revert", map[string]string{"apps/app-07/.argocd-source-app-07.yaml": pins("v1.0")})
	for i := range hints {
		hints[i].App.Revision = w.git.Tip("mono", "main")
	}
	u.check(t, hints...)
	for i := range apps {
		want := "v2.0"
		if i == 7 {
			want = "v1.0"
		}
		if got := w.git.File("mono", "main", fmt.Sprintf("apps/app-%02d/.argocd-source-app-%02d.yaml", i, i)); got != pins(want) {
			t.Errorf("app-%02d after the revert: %q", i, got)
		}
	}
}
