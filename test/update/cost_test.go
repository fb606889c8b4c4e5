package update

import (
	"fmt"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/test/acr"
)

// What updates cost at the Git server, with all that an update does: 2 requests when nobody pushed meanwhile, and 5 when somebody
// did, besides the 2 that look through the new commits for a person's hand.
func TestRequestsOfAnUpdate(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	u := w.updater(ttl)
	for n, c := range []struct {
		what     string
		pushes   int // by people, before the update
		requests int
		bytes    int64
	}{
		{"the first of a cold cache", 40, 6 + 2 + 4, 20_000}, // the files of the pins in 2, 40 messages in 4
		{"nobody pushed", 0, 2, 2_000},
		{"somebody pushed", 10, 5 + 2, 10_000},
		{"nobody pushed after that", 0, 2, 2_000},
	} {
		for i := range c.pushes {
			w.git.CommitAs("demo", "main", ada, "an ordinary message", map[string]string{"notes.md": fmt.Sprint(n, i)})
		}
		w.reg.Push(echo, fmt.Sprintf("v2.%d", n), acr.Image{})
		w.git.Reset()
		hint := w.hint("demo", "gitops-demo", "helm")
		hint.App.Revision = "" // it is not rendered in between
		u.check(t, hint)
		wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
		if got := w.git.Counts(); got.Requests > c.requests || got.Sent > c.bytes {
			t.Errorf("%s: %d requests and %d bytes, want at most %d and %d: %v", c.what, got.Requests, got.Sent, c.requests, c.bytes, got.Log)
		}
	}
}
