package update

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
)

// Whatever fails, in the registry, in Git or in the cache: nothing is committed, the status says what is wrong without giving
// anything away, and when it is over the loop goes on by itself.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		begin, end func(w *world, u *updater)
		state      image.State
		reason     string
	}{
		"registry down":    {registryFault(acr.Fault{Reset: true}), healRegistry, image.NoChoice, "can't be asked"},
		"registry 500":     {registryFault(acr.Fault{Status: 500}), healRegistry, image.NoChoice, "can't be asked"},
		"registry 401":     {registryFault(acr.Fault{Status: 401}), healRegistry, image.NoChoice, "401"},
		"registry 403":     {registryFault(acr.Fault{Status: 403, Code: "DENIED"}), healRegistry, image.NoChoice, "403"},
		"registry 404":     {registryFault(acr.Fault{Status: 404, Code: "NAME_UNKNOWN"}), healRegistry, image.NoChoice, "no such repository"},
		"registry 429":     {registryFault(acr.Fault{Status: 429, RetryAfter: "1"}), healRegistry, image.NoChoice, "can't be asked"},
		"registry cut off": {registryFault(acr.Fault{Cut: true}), healRegistry, image.NoChoice, "can't be asked"},
		"registry slow":    {registryFault(acr.Fault{Delay: 300 * time.Millisecond}), healRegistry, image.Updated, ""},
		"git slow":         {gitFault(gitserver.Slow(200 * time.Millisecond)), healGit, image.Updated, ""},
		"git down":         {gitFault(gitserver.Reset()), healGit, image.Blocked, "could not be reached"},
		"git 502":          {gitFault(gitserver.Status(502, "Canary")), healGit, image.Blocked, "the server failed"},
		"git garbage":      {gitFault(gitserver.Garbage()), healGit, image.Blocked, "not that of a Git server"},
		"git redirects":    {gitFault(gitserver.Redirect("http://127.0.0.1:1")), healGit, image.Blocked, "another address"},
		"git unknown":      {gitFault(gitserver.Status(404, "Canary")), healGit, image.Blocked, "no such repository"},
		"Secret gone":      {removeSecret, restoreSecret, image.Blocked, "mount the Secret"},
		"cache garbled":    {garbleCache, nothing, image.Updated, ""}, // repaired by itself
		"cache deleted":    {deleteCache, nothing, image.Updated, ""},
		"fetch broken off": {loseBoundary, nothing, image.Updated, ""},
		"hook refuses":     {refusingHook, removeHook, image.Blocked, "refuse"},
		"the branch moves": {personCommits, nothing, image.Updated, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.git.Create("demo", chart())
			personCommits(w, nil)
			w.reg.Push(echo, "v1.0", acr.Image{})
			u := w.updater(ttl)
			u.check(t, w.hint("demo", "gitops-demo", "helm"))
			w.reg.Push(echo, "v2.0", acr.Image{})

			c.begin(w, u)
			u.check(t)
			status := u.status(t, "gitops-demo")
			wantState(t, status, c.state, c.reason)
			text, err := json.Marshal(u.Status())
			if err != nil {
				t.Fatal(err)
			}
			for _, canary := range []string{gitPassword, acr.Password, acr.Leak, "Canary"} {
				if strings.Contains(string(text), canary) {
					t.Errorf("the status gives %q away: %s", canary, text)
				}
			}
			if n := w.line("demo", "rev-list", "--count", "--all"); c.state != image.Updated && n != "3" {
				t.Errorf("%s commits, want the first three", n)
			}

			c.end(w, u)
			pinned := func() bool { return w.git.File("demo", "main", pinFile) == pins("v2.0") }
			for deadline := time.Now().Add(time.Minute); !pinned() && time.Now().Before(deadline); { // errors are remembered for some seconds
				time.Sleep(200 * time.Millisecond)
				u.check(t, w.hint("demo", "gitops-demo", "helm"))
			}
			if got := w.git.File("demo", "main", pinFile); got != pins("v2.0") {
				t.Errorf("the loop did not go on: %s; %+v", got, u.status(t, "gitops-demo"))
			}
			w.line("demo", "fsck", "--strict")
		})
	}
}

type change = func(w *world, u *updater)

func nothing(*world, *updater) {}

func registryFault(f acr.Fault) change { return func(w *world, _ *updater) { w.reg.Fail(acr.List, f) } }
func healRegistry(w *world, _ *updater) {
	w.reg.Heal()
}

func gitFault(f gitserver.Failure) change { return func(w *world, _ *updater) { w.git.Fail(f) } }
func healGit(w *world, _ *updater)        { w.git.Fail(nil) }

func removeSecret(w *world, _ *updater) {
	if err := os.Rename(filepath.Join(w.secrets, "argocd/git-creds"), filepath.Join(w.secrets, "argocd/away")); err != nil {
		w.t.Fatal(err)
	}
}

func restoreSecret(w *world, _ *updater) {
	if err := os.Rename(filepath.Join(w.secrets, "argocd/away"), filepath.Join(w.secrets, "argocd/git-creds")); err != nil {
		w.t.Fatal(err)
	}
}

// garbleCache overwrites what git keeps, as a failing disk does.
func garbleCache(w *world, u *updater) {
	err := filepath.WalkDir(u.cache, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, []byte("garbage"), 0o600)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func deleteCache(w *world, u *updater) {
	if err := os.RemoveAll(u.cache); err != nil {
		w.t.Fatal(err)
	}
}

// loseBoundary leaves the cache as a kill does that comes when the commits have arrived, and git has yet to note where they end.
// A push is the first to notice.
func loseBoundary(w *world, u *updater) {
	files, err := filepath.Glob(filepath.Join(u.cache, "*", "tree.git", "shallow"))
	if err != nil || len(files) != 1 {
		w.t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		w.t.Fatal(err)
	}
}

func refusingHook(w *world, _ *updater) { w.git.Hook("demo", "pre-receive", "echo Canary >&2; exit 1") }
func removeHook(w *world, _ *updater) {
	w.git.Hook("demo", "pre-receive", "exit 0")
	// A refusal is followed by a pause; a commit of somebody ends it.
	personCommits(w, nil)
}

func personCommits(w *world, _ *updater) {
	w.git.CommitAs("demo", "main", "Ada <ada@example.com>", "work", map[string]string{"notes.md": time.Now().String()})
}
