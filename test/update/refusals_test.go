package update

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/writeback"
)

// A clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (w *world) secret(field, value string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.secrets, "argocd/git-creds", field), []byte(value), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// A branch that refuses pushes is left alone for longer each time, unless something changed.
func TestProtectedBranchRests(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	w.git.Protect("demo", "main")
	now := &clock{at: time.Now()}
	u := w.updaterWith("", writeback.Options{Now: now.now})
	hint := w.hint("demo", "gitops-demo", "helm")
	tried := func() int {
		t.Helper()
		w.git.Reset()
		u.check(t, hint)
		wantState(t, u.status(t, "gitops-demo"), image.Blocked, "the branch is protected")
		wantState(t, u.status(t, "gitops-demo"), image.Blocked, "; the next try comes at ")
		return w.pushes()
	}
	if tried() != 1 || tried() != 0 || tried() != 0 {
		t.Error("a refused push is tried again in the next check")
	}
	// The pauses grow from a minute to an hour, each by up to a quarter: 20 hours have room for some 25 tries.
	n, length := 0, 20*time.Hour
	for end := now.now().Add(length); now.now().Before(end); now.move(15 * time.Minute) {
		n += tried()
	}
	if n < 16 || n > 26 {
		t.Errorf("%d tries in %s", n, length)
	}
	if tries := strings.Count(w.log.String(), "the branch is protected"); tries > 2*n {
		t.Errorf("%d lines in the log for %d tries", tries, n)
	}
	for change, do := range map[string]func(){
		"the choice": func() { w.reg.Push(echo, "v2.1", acr.Image{}) },
		"the branch": func() { w.git.CommitAs("demo", "main", ada, "work", map[string]string{"README.md": "more\n"}) },
	} {
		tried()
		do()
		if got := tried(); got != 1 {
			t.Errorf("%s changed, but the push was not tried again", change)
		}
	}
	w.git.Hook("demo", "update", "exit 0")
	now.move(2 * time.Hour)
	u.check(t, hint)
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
}

// A refused credential is not sent again and again, and a new one counts at once.
func TestRefusedCredentialRests(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	now := &clock{at: time.Now()}
	u := w.updaterWith("", writeback.Options{Now: now.now})
	hint := w.hint("demo", "gitops-demo", "helm")
	const wrong = "wrong-Canary"
	w.secret("password", wrong)
	tried := func() int {
		t.Helper()
		w.git.Reset()
		u.check(t, hint)
		wantState(t, u.status(t, "gitops-demo"), image.Blocked, "refused the credentials")
		wantState(t, u.status(t, "gitops-demo"), image.Blocked, "or when the credentials change")
		if strings.Contains(fmt.Sprint(u.Status()), wrong) {
			t.Error("the status shows the password")
		}
		return w.git.Counts().Requests
	}
	if tried() == 0 || tried() != 0 {
		t.Error("a wrong password is sent in each check")
	}
	checks := 0
	for range 24 * 30 {
		now.move(2 * time.Minute)
		if tried() > 0 {
			checks++
		}
	}
	if checks < 18 || checks > 32 {
		t.Errorf("the wrong password was sent in %d checks of a day", checks)
	}
	w.secret("password", gitPassword)
	u.check(t, hint)
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
	if strings.Contains(w.log.String(), wrong) {
		t.Error("the log shows the password")
	}
}
