package update

import (
	"strings"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/writeback"
)

const ada = "Ada <ada@example.com>"

// updaterWith is updater with more settings, and the operator's other options.
func (w *world) updaterWith(settings string, o writeback.Options) *updater {
	w.t.Helper()
	o.Settings = w.settings(settings)
	return w.updaterOf(ttl, o)
}

// pushes counts what was sent to the server as a push since the last Reset, whether it took it or not.
func (w *world) pushes() int {
	n := 0
	for _, line := range w.git.Counts().Log {
		if strings.HasPrefix(line, "POST") && strings.Contains(line, "git-receive-pack") {
			n++
		}
	}
	return n
}

// branches are all branches of a repository.
func (w *world) branches(repo string) string {
	return strings.Join(strings.Fields(w.line(repo, "for-each-ref", "--format=%(refname:short)", "refs/heads")), " ")
}

// pinned is a chart with a pin that is older than what is pushed.
func (w *world) pinned(repo string) {
	w.t.Helper()
	files := chart()
	files[pinFile] = pins("v1.0")
	w.git.Create(repo, files)
	w.reg.Push(echo, "v2.0", acr.Image{})
}

// A proposal is a branch on top of the base, which is never written; a person merges it.
func TestProposal(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	base := w.git.Tip("demo", "main")
	propose := func(u *updater) reconcile.Summary {
		t.Helper()
		return u.check(t, w.hint("demo", "gitops-demo", "helm", "git-branch", "main:tagpin/demo"))
	}
	u := w.updater(ttl)
	propose(u)
	wantState(t, u.status(t, "gitops-demo"), image.Proposed, "v2.0 is proposed on the branch tagpin/demo")
	if s := u.status(t, "gitops-demo"); s.Images[0].Pinned != "v1.0" || s.Images[0].Choice != "v2.0" || s.Commit != w.git.Tip("demo", "tagpin/demo") {
		t.Errorf("status %+v", s)
	}
	if got := w.git.File("demo", "tagpin/demo", pinFile); got != pins("v2.0") {
		t.Errorf("proposed: %s", got)
	}
	if parent := w.line("demo", "rev-parse", "tagpin/demo^"); parent != base {
		t.Errorf("the proposal begins at %s, not at the base", parent)
	}

	w.git.Reset()
	propose(u)
	if n := w.git.Counts().Requests; n != 0 {
		t.Errorf("a check in which no choice changed made %d Git requests", n)
	}
	wantState(t, u.status(t, "gitops-demo"), image.Proposed, "tagpin/demo")
	u = w.updater(ttl) // knows nothing of before
	propose(u)
	wantState(t, u.status(t, "gitops-demo"), image.Proposed, "tagpin/demo")
	if w.pushes() != 0 || w.line("demo", "rev-list", "--count", base+"..tagpin/demo") != "1" {
		t.Error("what is proposed already was proposed again")
	}

	// A newer tag goes on top of what is there, a person's commit included.
	note := w.git.CommitAs("demo", "tagpin/demo", ada, "a note", map[string]string{"NOTE.md": "look"})
	w.reg.Push(echo, "v2.1", acr.Image{})
	propose(u)
	if got := w.git.File("demo", "tagpin/demo", pinFile); got != pins("v2.1") || w.line("demo", "rev-parse", "tagpin/demo^") != note {
		t.Errorf("proposed: %s", got)
	}
	if message := w.line("demo", "log", "-1", "--format=%B", "tagpin/demo"); !strings.Contains(message, "'v2.0' to 'v2.1'") {
		t.Errorf("the message does not say what the commit changes: %s", message)
	}
	if w.git.Tip("demo", "main") != base || w.branches("demo") != "main tagpin/demo" {
		t.Error("the base was written, or another branch")
	}

	// Merged: up to date. Reverted: not proposed again before a newer tag.
	w.git.Git("demo", "update-ref", "refs/heads/main", w.git.Tip("demo", "tagpin/demo"))
	propose(u)
	wantState(t, u.status(t, "gitops-demo"), image.UpToDate, "")
	w.git.Git("demo", "update-ref", "-d", "refs/heads/tagpin/demo")
	w.git.CommitAs("demo", "main", ada, "Revert", map[string]string{pinFile: pins("v2.0")})
	for range 2 {
		propose(u)
		wantState(t, u.status(t, "gitops-demo"), image.Held, "a person replaced v2.1 with v2.0")
		u = w.updater(ttl)
	}
	if w.branches("demo") != "main" {
		t.Error("what a person took away was proposed again")
	}
	w.reg.Push(echo, "v2.2", acr.Image{})
	propose(u)
	wantState(t, u.status(t, "gitops-demo"), image.Proposed, "v2.2")
}

// Which branches are written, and which never.
func TestProposalBranches(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	files := chart()
	files["a/.argocd-source-a.yaml"], files["b/.argocd-source-b.yaml"] = pins("v1.0"), pins("v1.0")
	w.git.Create("two", files)
	base := w.git.Tip("demo", "main")
	u := w.updater(ttl)
	for rule, want := range map[string]struct {
		state  image.State
		reason string
	}{
		"main:release":                 {image.Refused, `begin with "tagpin/": write git-branch: <base>:tagpin/<name>`},
		":release":                     {image.Refused, "prefix:"},
		"main:{{.AppName}}":            {image.Refused, "tagpin/"},
		`main:{{"tagpin/"}}x`:          {image.Refused, "tagpin/"},
		"main:tagpin/{{.Application}}": {image.Refused, "template of the branch name"},
		"main:tagpin/a b":              {image.Refused, "no branch name"},
		"main:tagpin/../main":          {image.Refused, "no branch name"},
		"main:":                        {image.Refused, "tagpin/"},
		"develop:tagpin/x":             {image.NotFollowed, "main"},
	} {
		u.check(t, w.hint("demo", "gitops-demo", "helm", "git-branch", rule))
		s := u.status(t, "gitops-demo")
		if s.State != want.state || !strings.Contains(s.Reason, want.reason) {
			t.Errorf("git-branch %s: %s (%s), want %s (…%s…)", rule, s.State, s.Reason, want.state, want.reason)
		}
	}
	if w.branches("demo") != "main" || w.git.Tip("demo", "main") != base {
		t.Errorf("written: %s", w.branches("demo"))
	}
	template := "main:tagpin/{{.AppName}}{{range .Images}}-{{.Alias}}-{{.OldTag}}-{{.NewTag}}{{end}}"
	u.check(t, w.hint("demo", "gitops-demo", "helm", "git-branch", template))
	wantState(t, u.status(t, "gitops-demo"), image.Proposed, "tagpin/gitops-demo-echoserver-v1.0-v2.0")
	u.check(t, w.hint("demo", "gitops-demo", "helm", "git-branch", ":tagpin/short"))
	wantState(t, u.status(t, "gitops-demo"), image.Proposed, "tagpin/short")

	// Applications with the same branch share a push; with a template each may have its own.
	w.git.Reset()
	u = w.updater(ttl)
	u.check(t, w.hint("two", "a", "a", "git-branch", "main:tagpin/all"), w.hint("two", "b", "b", "git-branch", "main:tagpin/all"))
	if n := w.pushes(); n != 1 || w.line("two", "rev-list", "--count", "main..tagpin/all") != "2" {
		t.Errorf("%d pushes for two applications, want 1 with a commit each", n)
	}
	u.check(t, w.hint("two", "a", "a", "git-branch", ":tagpin/{{.AppName}}"), w.hint("two", "b", "b", "git-branch", ":tagpin/{{.AppName}}"))
	if got := w.branches("two"); got != "main tagpin/a tagpin/all tagpin/b" {
		t.Errorf("branches: %s", got)
	}

	// The operator's own prefix.
	u = w.updaterWith("proposals: {prefix: updates-}", writeback.Options{})
	u.check(t, w.hint("demo", "gitops-demo", "helm", "git-branch", "main:updates-demo"))
	wantState(t, u.status(t, "gitops-demo"), image.Proposed, "updates-demo")
	// base:base is no proposal.
	u.check(t, w.hint("demo", "gitops-demo", "helm", "git-branch", "main:main"))
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
}

// A proposal that people held or broke is told and left alone; nobody's push is lost.
func TestProposalsOfPeople(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	w.git.Git("demo", "branch", "tagpin/held", "main")
	w.git.CommitAs("demo", "tagpin/held", ada, "wait", map[string]string{pinFile: pins("v1.0") + "  hold: true\n"})
	w.git.Git("demo", "branch", "tagpin/broken", "main")
	w.git.CommitAs("demo", "tagpin/broken", ada, "oops", map[string]string{pinFile: "pins: 5\n"})
	for branch, reason := range map[string]string{"tagpin/held": "hold: true", "tagpin/broken": "pins"} {
		before := w.git.Tip("demo", branch)
		u := w.updater(ttl)
		u.check(t, w.hint("demo", "gitops-demo", "helm", "git-branch", "main:"+branch))
		wantState(t, u.status(t, "gitops-demo"), image.Refused, reason)
		wantState(t, u.status(t, "gitops-demo"), image.Refused, branch)
		if w.git.Tip("demo", branch) != before {
			t.Errorf("%s was written", branch)
		}
	}
}
