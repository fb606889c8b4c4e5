package git_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

// The secrets of these tests: none may be seen anywhere.
const (
	user     = "canary-user-5d1f"
	password = "canary-password-9c3e"
)

var robot = git.Person{Name: "tagpin", Email: "tagpin@example.com"}

func commitOf(message string, files map[string]string) git.Commit {
	c := git.Commit{Files: map[string][]byte{}, Author: robot, Committer: robot, When: time.Unix(1_800_000_000, 0).UTC(), Message: message}
	for path, content := range files {
		c.Files[path] = []byte(content)
	}
	return c
}

func open(t testing.TB, cache string, r git.Remote, o git.Options) *git.Repository {
	t.Helper()
	o.AllowHTTP = true
	repository, err := git.Open(cache, r, o)
	if err != nil {
		t.Fatal(err)
	}
	return repository
}

func overHTTP(s *gitserver.Server, name string) git.Remote {
	return git.Remote{URL: s.URL(name), Credentials: git.Credentials{Username: user, Password: password}, CA: s.CA}
}

func overSSH(s *gitserver.Server, name string) git.Remote {
	return git.Remote{URL: s.SSHURL(name), Credentials: git.Credentials{SSHPrivateKey: s.SSHKey}, KnownHosts: s.KnownHosts}
}

// transports runs a test over HTTP and SSH, with and without filters.
func transports(t *testing.T, test func(t *testing.T, s *gitserver.Server, remote func(name string) git.Remote)) {
	for _, filter := range []bool{true, false} {
		for _, kind := range []string{"http", "https", "ssh"} {
			if kind == "https" && !filter {
				continue
			}
			t.Run(fmt.Sprintf("%s filter=%v", kind, filter), func(t *testing.T) {
				t.Parallel()
				s := gitserver.Start(t, gitserver.Options{Username: user, Password: password, SSH: kind == "ssh", NoFilter: !filter, TLS: kind == "https"})
				test(t, s, func(name string) git.Remote {
					if kind == "ssh" {
						return overSSH(s, name)
					}
					return overHTTP(s, name)
				})
			})
		}
	}
}

func tipOf(t testing.TB, r *git.Repository, branch string) string {
	t.Helper()
	tip, err := r.Tip(t.Context(), branch)
	if err != nil {
		t.Fatal(err)
	}
	return tip.SHA
}

func readOne(t testing.TB, r *git.Repository, sha, path string) git.File {
	t.Helper()
	files, err := r.Read(t.Context(), sha, []string{path})
	if err != nil {
		t.Fatal(err)
	}
	return files[path]
}

func commit(t testing.TB, r *git.Repository, parent, message string, files map[string]string) string {
	t.Helper()
	result, err := r.Commit(t.Context(), parent, commitOf(message, files))
	if err != nil {
		t.Fatal(err)
	}
	if !result.Changed {
		t.Fatalf("nothing changed: %s", message)
	}
	return result.SHA
}

// A move is a push to be made.
type move struct{ branch, from, to string }

func push(t testing.TB, r *git.Repository, m move, want git.PushStatus) git.PushResult {
	t.Helper()
	result, err := r.Push(t.Context(), m.branch, m.from, m.to)
	if err != nil {
		t.Fatal(err)
	}
	if result.Status != want {
		t.Fatalf("push: %v, want %v", result, want)
	}
	return result
}

func TestUpdate(t *testing.T) {
	transports(t, func(t *testing.T, s *gitserver.Server, remote func(string) git.Remote) {
		s.Create("demo", map[string]string{"apps/a/values.yaml": "tag: v1\n", "apps/b/values.yaml": "tag: v1\r\n", "README.md": "hello"})
		s.Git("demo", "branch", "stable")
		r := open(t, t.TempDir(), remote("demo"), git.Options{})
		tip, err := r.Tip(t.Context(), "HEAD")
		if err != nil || tip.Branch != "main" || tip.Default != "main" || tip.SHA != s.Tip("demo", "main") {
			t.Fatalf("tip %+v, %v", tip, err)
		}
		files, err := r.Read(t.Context(), tip.SHA, []string{"apps/a/values.yaml", "apps/b/values.yaml", "apps/c/new.yaml"})
		if err != nil {
			t.Fatal(err)
		}
		if string(files["apps/b/values.yaml"].Bytes) != "tag: v1\r\n" || files["apps/c/new.yaml"].Exists {
			t.Fatalf("files %+v", files)
		}
		one := commit(t, r, tip.SHA, "pin a", map[string]string{"apps/a/values.yaml": "tag: v2\n"})
		two := commit(t, r, one, "pin c", map[string]string{"apps/c/new.yaml": "tag: v2\n"})
		same, err := r.Commit(t.Context(), two, commitOf("nothing", map[string]string{"apps/c/new.yaml": "tag: v2\n"}))
		if err != nil || same.Changed || same.SHA != two {
			t.Fatalf("an empty commit: %+v, %v", same, err)
		}
		push(t, r, move{"main", tip.SHA, two}, git.Updated)
		if s.Tip("demo", "main") != two || s.File("demo", two, "apps/c/new.yaml") != "tag: v2\n" {
			t.Fatal("the server has something else")
		}
		if got := s.Git("demo", "diff", "--name-only", tip.SHA, two); got != "apps/a/values.yaml\napps/c/new.yaml\n" {
			t.Fatalf("changed: %q", got)
		}
		s.Git("demo", "fsck", "--strict", "--no-dangling")

		// A person pushes: the old base is stale, and the new one has the person's work.
		person := s.CommitAs("demo", "main", "P <p@example.com>", "by hand", map[string]string{"apps/b/values.yaml": "tag: hand\n", "x/y/z": "new"})
		late := commit(t, r, two, "pin b", map[string]string{"apps/b/values.yaml": "tag: v3\n"})
		result := push(t, r, move{"main", two, late}, git.Stale)
		if result.Tip == "" {
			result.Tip = tipOf(t, r, "main")
		}
		if result.Tip != person {
			t.Fatalf("stale tip %q, want %q", result.Tip, person)
		}
		if got := readOne(t, r, person, "apps/b/values.yaml"); string(got.Bytes) != "tag: hand\n" {
			t.Fatalf("read %q", got.Bytes)
		}
		again := commit(t, r, person, "pin b", map[string]string{"apps/b/values.yaml": "tag: v3\n"})
		push(t, r, move{"main", person, again}, git.Updated)

		// A new branch begins somewhere; it must not be there yet.
		stable := tipOf(t, r, "stable")
		proposal := commit(t, r, stable, "propose", map[string]string{"apps/a/values.yaml": "tag: v9\n"})
		push(t, r, move{"tagpin/proposal", "", proposal}, git.Updated)
		other := commit(t, r, stable, "propose again", map[string]string{"apps/a/values.yaml": "tag: v10\n"})
		push(t, r, move{"tagpin/proposal", "", other}, git.Stale)
		push(t, r, move{"tagpin/proposal", stable, other}, git.Stale)
		if s.Tip("demo", "tagpin/proposal") != proposal || s.Tip("demo", "stable") != stable {
			t.Fatal("a branch moved that should not")
		}
	})
}

func TestLog(t *testing.T) {
	transports(t, func(t *testing.T, s *gitserver.Server, remote func(string) git.Remote) {
		s.Create("demo", nil)
		var history strings.Builder
		for i := range 61 {
			fmt.Fprintf(&history, "commit refs/heads/main\ncommitter P <p@example.com> %d +0000\ndata 9\nnumber %02d\nM 100644 inline f\ndata 2\n%02d\n", 1_700_000_000+i, i, i)
		}
		s.Import("demo", []byte(history.String()))
		r := open(t, t.TempDir(), remote("demo"), git.Options{})
		tip := s.Tip("demo", "main")
		var seen []string
		collect := func(c git.CommitInfo) bool { seen = append(seen, c.Message); return true }
		check := func(bound git.Bound, want git.End, first, last string, count int) {
			t.Helper()
			seen = nil
			end, err := r.Log(t.Context(), tip, bound, collect)
			if err != nil || end != want || len(seen) != count || seen[0] != first || seen[count-1] != last {
				t.Fatalf("end %q, %v, %d commits %q", end, err, len(seen), seen)
			}
		}
		check(git.Bound{Max: 5}, git.EndBound, "number 60", "number 56", 5)
		check(git.Bound{}, git.EndRoot, "number 60", "number 00", 61)
		check(git.Bound{Until: strings.TrimSpace(s.Git("demo", "rev-parse", "main~40"))}, git.EndRoot, "number 60", "number 21", 40)
		end, err := r.Log(t.Context(), tip, git.Bound{}, func(c git.CommitInfo) bool { return c.Message != "number 50" })
		if err != nil || end != git.EndVisitor {
			t.Fatal(end, err)
		}
		if end, err := r.Log(t.Context(), tip, git.Bound{Since: time.Now().Add(time.Hour)}, collect); err != nil || end != git.EndBound {
			t.Fatal(end, err)
		}
		// Looking back leaves the rest as it is.
		next := s.CommitAs("demo", "main", "P <p@example.com>", "next", map[string]string{"f": "next", "d/e": "x"})
		if got := readOne(t, r, next, "f"); string(got.Bytes) != "next" {
			t.Fatalf("%q", got.Bytes)
		}
		mine := commit(t, r, next, "mine", map[string]string{"f": "mine"})
		push(t, r, move{"main", next, mine}, git.Updated)
	})
}

func TestFileAddresses(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{})
	s.Create("demo", map[string]string{"f": "0"})
	r := open(t, t.TempDir(), git.Remote{URL: "file://" + s.Dir("demo")}, git.Options{AllowFile: true})
	for i := range 2 {
		if err := update(t.Context(), r, "d/f", fmt.Sprint(i)); err != nil || s.File("demo", "main", "d/f") != fmt.Sprint(i) {
			t.Fatal(err)
		}
	}
}

func TestOldProtocol(t *testing.T) {
	for _, kind := range []string{"http", "ssh"} {
		for _, filter := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s filter=%v", kind, filter), func(t *testing.T) {
				t.Parallel()
				s := gitserver.Start(t, gitserver.Options{Username: user, Password: password, OldProtocol: true, NoFilter: !filter, SSH: kind == "ssh"})
				s.Create("demo", map[string]string{"f": "0", "d/e": "x"})
				remote := overHTTP(s, "demo")
				if kind == "ssh" {
					remote = overSSH(s, "demo")
				}
				r := open(t, t.TempDir(), remote, git.Options{})
				for i := range 2 {
					s.CommitAs("demo", "main", "P <p@example.com>", "by hand", map[string]string{"d/hand": fmt.Sprint(i)})
					if err := update(t.Context(), r, "f", fmt.Sprint(i, "new")); err != nil {
						t.Fatal(err)
					}
				}
				n := 0
				if end, err := r.Log(t.Context(), s.Tip("demo", "main"), git.Bound{}, func(git.CommitInfo) bool { n++; return true }); err != nil || end != git.EndRoot || n != 5 {
					t.Fatal(end, err, n)
				}
			})
		}
	}
}

func TestPathsThatAreRefused(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", nil)
	submodule := strings.Repeat("1", 40)
	s.Import("demo", []byte(`commit refs/heads/main
committer P <p@example.com> 1700000000 +0000
data 1
x
M 120000 inline link
data 7
/etc/..
M 120000 inline dir/alias.yaml
data 3
../
M 160000 `+submodule+` vendored
M 100755 inline run.sh
data 3
#!a
M 100644 inline Values.yaml
data 2
a:
M 100644 inline .gitmodules
data 60
[submodule "v"]
path = vendored
url = https://example.com/v

M 100644 inline "latin\351/x"
data 1
x
M 100644 inline dir/empty
data 0

`))
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	tip := tipOf(t, r, "")
	refused := map[string]string{
		"link": "symbolic link", "link/values.yaml": "symbolic link", "dir/alias.yaml": "symbolic link", "vendored/x": "submodule", "vendored": "submodule",
		"dir": "directory", "run.sh/x": "not a directory", "../x": "empty, . or ..", "/x": "empty", "a//b": "empty", ".git/config": "git's own", "a/.GIT /x": "git's own",
		"git~1/x": "git's own", "a\nb": "control", `a\b`: "backslash", "": "1 to 4096", "latin\xe9/x": "UTF-8",
	}
	files, err := r.Read(t.Context(), tip, slices.Collect(maps.Keys(refused)))
	if err != nil {
		t.Fatal(err)
	}
	for path, reason := range refused {
		var pathError *git.PathError
		if !errors.As(files[path].Err, &pathError) || !strings.Contains(pathError.Reason, reason) || files[path].Exists {
			t.Errorf("reading %q: %v", path, files[path].Err)
		}
		_, err := r.Commit(t.Context(), tip, commitOf("m", map[string]string{path: "x"}))
		if !errors.As(err, &pathError) || !strings.Contains(pathError.Reason, reason) {
			t.Errorf("writing %q: %v", path, err)
		}
	}
	for _, path := range []string{"values.yaml", "DIR/x"} {
		if _, err := r.Commit(t.Context(), tip, commitOf("m", map[string]string{path: "x"})); err == nil || !strings.Contains(err.Error(), "only by case") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if f := readOne(t, r, tip, "dir/empty"); !f.Exists || len(f.Bytes) != 0 || f.Err != nil {
		t.Errorf("an empty file: %+v", f)
	}
	// The mode stays, and so do the neighbours.
	to := commit(t, r, tip, "m", map[string]string{"run.sh": "#!b", "dir/empty": "full"})
	push(t, r, move{"main", tip, to}, git.Updated)
	if f := readOne(t, r, to, "run.sh"); f.Mode != "100755" || string(f.Bytes) != "#!b" {
		t.Errorf("%+v", f)
	}
	if got := s.Git("demo", "diff-tree", "-r", "--name-status", tip, to); got != "M\tdir/empty\nM\trun.sh\n" {
		t.Errorf("%q", got)
	}
}

func TestExactCommit(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"a.b": "", "a/b": "", "a-b": "", "a0": ""})
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	c := commitOf("subject\n\nbody\n", map[string]string{"a/c": "x", "a=": "y"})
	c.Author = git.Person{Name: "Änne", Email: "a@example.com"}
	c.When = time.Date(2026, 2, 3, 4, 5, 6, 7, time.FixedZone("", -(5*3600+30*60)))
	result, err := r.Commit(t.Context(), tipOf(t, r, ""), c)
	if err != nil {
		t.Fatal(err)
	}
	push(t, r, move{"main", s.Tip("demo", "main"), result.SHA}, git.Updated)
	s.Git("demo", "fsck", "--strict", "--no-dangling")
	if got := s.Git("demo", "log", "-1", "--format=%an <%ae> %ad|%cn|%B", "--date=iso-strict"); got != "Änne <a@example.com> 2026-02-03T04:05:06-05:30|tagpin|subject\n\nbody\n\n" {
		t.Errorf("%q", got)
	}
	for name, broken := range map[string]func(*git.Commit){
		"no message": func(c *git.Commit) { c.Message = "\n" }, "NUL": func(c *git.Commit) { c.Message = "a\x00b" }, "no date": func(c *git.Commit) { c.When = time.Time{} },
		"author": func(c *git.Commit) { c.Author.Name = "a <b>" }, "committer": func(c *git.Commit) { c.Committer.Email = "x\ny" },
	} {
		bad := c
		broken(&bad)
		if _, err := r.Commit(t.Context(), result.SHA, bad); git.KindOf(err) != git.BadCommit {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTwentyThousandFilesInOneDirectory(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	files := map[string]string{}
	for i := range 20_000 {
		files[fmt.Sprintf("d/f%05d", i)] = "x"
	}
	s.Create("demo", files)
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	tip := tipOf(t, r, "")
	to := commit(t, r, tip, "m", map[string]string{"d/f10000": "y", "d/new": "z"})
	push(t, r, move{"main", tip, to}, git.Updated)
	if got := s.Git("demo", "diff-tree", "-r", "--name-status", tip, to); got != "M\td/f10000\nA\td/new\n" {
		t.Errorf("%q", got)
	}
}

func cacheFiles(t testing.TB, cache string, match func(path string) bool) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(cache, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && match(path) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
