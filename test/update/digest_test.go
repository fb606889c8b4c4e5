package update

import (
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/test/acr"
)

// A tag that moves is followed by its digest, and a revert holds as that of any other pin: until the tag moves again.
func TestRevertOfMovedTagHolds(t *testing.T) {
	w := newWorld(t)
	w.git.Create("demo", chart())
	built := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	move := func() {
		built = built.Add(time.Hour)
		w.reg.Push(echo, "latest", acr.Image{Created: built})
	}
	u := w.updater(ttl)
	check := func(state image.State, reason string) string {
		t.Helper()
		u.check(t, w.hint("demo", "gitops-demo", "helm", "image-list", "echoserver="+echoServer+":latest", "update-strategy", "digest"))
		wantState(t, u.status(t, "gitops-demo"), state, reason)
		return w.git.File("demo", "main", pinFile)
	}
	move()
	first := check(image.Updated, "")
	move()
	second := check(image.Updated, "")
	if first == second {
		t.Fatalf("the tag moved, and the pin did not: %s", second)
	}
	w.git.CommitAs("demo", "main", ada, "Revert", map[string]string{pinFile: first})
	for range 2 { // also for an updater that knows nothing of before
		if got := check(image.Held, "a person"); got != first {
			t.Fatalf("the revert was overwritten: %s", got)
		}
		u = w.updater(ttl)
	}
	move()
	if third := check(image.Updated, ""); third == first || third == second {
		t.Errorf("the tag moved again, and the pin did not: %s", third)
	}
}
