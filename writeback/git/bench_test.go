package git_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

// One application's update of a repository with 20,000 files: as tagpin makes it, and as a client with a checkout of its own does,
// which fetches the branch's tip anew each time.
func BenchmarkUpdate(b *testing.B) {
	s := gitserver.Start(b, gitserver.Options{})
	monorepo(s)
	b.Run("tagpin", func(b *testing.B) {
		repo, err := git.Open(b.TempDir(), git.Remote{URL: s.URL("mono")}, git.Options{AllowHTTP: true})
		if err != nil {
			b.Fatal(err)
		}
		tip, err := repo.Tip(b.Context(), "main")
		if err != nil {
			b.Fatal(err)
		}
		count(b, s, func(i int) {
			if _, err := repo.Read(b.Context(), tip.SHA, []string{pinFile(0)}); err != nil {
				b.Fatal(err)
			}
			made, err := repo.Commit(b.Context(), tip.SHA, git.Commit{
				Files: map[string][]byte{pinFile(0): fmt.Appendf(nil, "tag: a%d\n", i)}, Author: git.Person{Name: "t", Email: "t@example.com"},
				Committer: git.Person{Name: "t", Email: "t@example.com"}, When: time.Now(), Message: "update",
			})
			if err != nil {
				b.Fatal(err)
			}
			pushed, err := repo.Push(b.Context(), "main", tip.SHA, made.SHA)
			if err != nil || pushed.Status != git.Updated {
				b.Fatal(pushed, err)
			}
			tip.SHA = made.SHA
		})
	})
	b.Run("checkout", func(b *testing.B) {
		count(b, s, func(i int) {
			dir := filepath.Join(b.TempDir(), fmt.Sprint(i))
			run(b, "clone", "-q", "--depth", "1", s.URL("mono"), dir)
			if err := os.WriteFile(filepath.Join(dir, pinFile(0)), fmt.Appendf(nil, "tag: b%d\n", i), 0o600); err != nil {
				b.Fatal(err)
			}
			run(b, "-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-a", "-m", "update")
			run(b, "-C", dir, "push", "-q")
		})
	})
}

// count reports requests and bytes received for each update.
func count(b *testing.B, s *gitserver.Server, update func(i int)) {
	b.Helper()
	s.Reset()
	i := 0
	for b.Loop() {
		i++
		update(int(time.Now().UnixNano())) // what no update before wrote
	}
	c := s.Counts()
	b.ReportMetric(float64(c.Requests)/float64(i), "requests/op")
	b.ReportMetric(float64(c.Sent)/float64(i), "received-B/op")
}

func run(b *testing.B, args ...string) {
	b.Helper()
	if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
		b.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
