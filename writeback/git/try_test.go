package git_test

import (
	"strings"
	"testing"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

// A tried push says whether one may push, and leaves the repository as it is.
func TestTryPush(t *testing.T) {
	transports(t, func(t *testing.T, s *gitserver.Server, remote func(name string) git.Remote) {
		s.Create("demo", map[string]string{"f": "1"})
		before := s.Git("demo", "for-each-ref")
		r := open(t, t.TempDir(), remote("demo"), git.Options{})
		tip := tipOf(t, r, "main")
		readOne(t, r, tip, "f")
		for _, branch := range []string{"main", "refs/heads/main", "new"} {
			if err := r.TryPush(t.Context(), branch, tip); err != nil {
				t.Errorf("%s: %v", branch, err)
			}
		}
		if after := s.Git("demo", "for-each-ref"); after != before {
			t.Errorf("branches before:\n%s\nand after:\n%s", before, after)
		}
		for _, refused := range []struct{ branch, tip string }{{"-x", tip}, {"main", "HEAD"}, {"main", ""}} {
			if err := r.TryPush(t.Context(), refused.branch, refused.tip); err == nil {
				t.Errorf("tried %q from %q", refused.branch, refused.tip)
			}
		}
	})
}

func TestTryPushWithoutTheRight(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password, ReadOnly: true})
	s.Create("demo", map[string]string{"f": "1"})
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	err := r.TryPush(t.Context(), "main", tipOf(t, r, "main"))
	wantError(t, err, git.Authentication, "write access")
	if err != nil && strings.Contains(err.Error(), password) {
		t.Error("the error holds the password")
	}
}
