package git_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

// childEnv makes the test binary an updater that a test can kill: its value is a childJob as JSON.
const childEnv = "TAGPIN_GIT_TEST_CHILD"

type childJob struct {
	Cache  string
	Remote git.Remote
	// FileSize limits each file that the child and its git write, in bytes; 0 is no limit.
	FileSize uint64
	Once     bool
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, git.KindOf(err), err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(text string) error {
	var job childJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	if job.FileSize > 0 {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: job.FileSize, Max: job.FileSize}); err != nil {
			return err
		}
	}
	r, err := git.Open(job.Cache, job.Remote, git.Options{AllowHTTP: true})
	if err != nil {
		return err
	}
	for {
		if err := update(context.Background(), r, "child.yaml", fmt.Sprint(time.Now().UnixNano())); err != nil || job.Once {
			return err
		}
	}
}

// update is what the update loop does: it begins again when the branch moved.
func update(ctx context.Context, r *git.Repository, path, content string) error {
	err := tryUpdate(ctx, r, path, content)
	if git.KindOf(err) == git.Gone { // the cache was damaged, and with it went what was not yet pushed
		err = tryUpdate(ctx, r, path, content)
	}
	return err
}

func tryUpdate(ctx context.Context, r *git.Repository, path, content string) error {
	tip, err := r.Tip(ctx, "")
	if err != nil {
		return err
	}
	base := tip.SHA
	for range 100 {
		if _, err := r.Read(ctx, base, []string{path}); err != nil {
			return err
		}
		commit, err := r.Commit(ctx, base, commitOf("pin "+path, map[string]string{path: content}))
		if err != nil || !commit.Changed {
			return err
		}
		result, err := r.Push(ctx, tip.Branch, base, commit.SHA)
		if err != nil || result.Status == git.Updated {
			return err
		}
		if base = result.Tip; base == "" {
			if tip, err = r.Tip(ctx, ""); err != nil {
				return err
			}
			base = tip.SHA
		}
	}
	return fmt.Errorf("%s: the branch moved a hundred times", path)
}

func startChild(t testing.TB, job childJob) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

func TestKilledUpdaters(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1", "a/b/c": "2"})
	cache := t.TempDir()
	random := rand.New(rand.NewSource(7))
	r := open(t, cache, overHTTP(s, "demo"), git.Options{})
	for i := range 25 {
		cmd, _ := startChild(t, childJob{Cache: cache, Remote: overHTTP(s, "demo")})
		time.Sleep(time.Duration(20+random.Intn(250)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if i%5 == 0 {
			s.CommitAs("demo", "main", "P <p@example.com>", "by hand", map[string]string{"hand": fmt.Sprint(i)})
		}
		if err := update(t.Context(), r, "mine.yaml", fmt.Sprint(i)); err != nil {
			t.Fatal(i, err)
		}
		if got := s.File("demo", "main", "mine.yaml"); got != fmt.Sprint(i) {
			t.Fatal(got)
		}
	}
	if left := cacheFiles(t, cache, func(path string) bool { return strings.Contains(path, "/secret/") || strings.Contains(path, "tmp_") }); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	s.Git("demo", "fsck", "--strict", "--no-dangling")
}

func TestDiskFull(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	files := map[string]string{}
	for i := range 3000 {
		files[fmt.Sprintf("d%d/f%d", i%20, i)] = fmt.Sprint(i)
	}
	s.Create("demo", files)
	cache := t.TempDir()
	cmd, out := startChild(t, childJob{Cache: cache, Remote: overHTTP(s, "demo"), FileSize: 20_000, Once: true})
	if err := cmd.Wait(); err == nil || !strings.HasPrefix(out.String(), string(git.DiskFull)) {
		t.Errorf("%v %s", err, out)
	}
	if err := update(t.Context(), open(t, cache, overHTTP(s, "demo"), git.Options{}), "mine.yaml", "x"); err != nil {
		t.Error(err)
	}
}

func TestDamagedCaches(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	files := map[string]string{}
	for i := range 300 {
		files[fmt.Sprintf("d%d/f%d", i%7, i)] = fmt.Sprint(i)
	}
	overwrite := func(content string) func(string) error {
		return func(path string) error {
			_ = os.Chmod(path, 0o600)
			return os.WriteFile(path, []byte(content), 0o600)
		}
	}
	flip := func(path string) error {
		content, err := os.ReadFile(path)
		for i := 20; err == nil && i < len(content); i += 7 {
			content[i] ^= 0x55
		}
		_ = os.Chmod(path, 0o600)
		return os.WriteFile(path, content, 0o600)
	}
	truncate := func(path string) error { return os.Truncate(path, 100) }
	in := func(part string) func(string) bool {
		return func(path string) bool { return strings.Contains(path, part) }
	}
	tests := map[string]struct {
		match  func(path string) bool
		damage func(path string) error
	}{
		"packs truncated":  {in(".pack"), truncate},
		"packs flipped":    {in(".pack"), flip},
		"packs gone":       {in(".pack"), os.Remove},
		"indexes gone":     {in(".idx"), os.Remove},
		"indexes flipped":  {in(".idx"), flip},
		"objects gone":     {in("tree.git/objects/"), os.Remove},
		"objects empty":    {in("tree.git/objects/"), overwrite("")},
		"references":       {in("refs/tagpin/"), overwrite("nonsense\n")},
		"dangling":         {in("refs/tagpin/"), overwrite(strings.Repeat("1", 40) + "\n")},
		"HEAD":             {in("/HEAD"), overwrite("\x00\x01")},
		"configuration":    {in("tree.git/config"), overwrite("[core\n")},
		"shallow":          {in("/shallow"), overwrite("nonsense\n")},
		"shallow emptied":  {in("/shallow"), overwrite("")},
		"shallow gone":     {in("/shallow"), os.Remove},
		"everything":       {func(string) bool { return true }, overwrite("x")},
		"stale lock files": {in("/shallow"), func(path string) error { return os.WriteFile(path+".lock", nil, 0o600) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache, demo := t.TempDir(), strings.ReplaceAll(name, " ", "-")
			s.Create(demo, files)
			r := open(t, cache, overHTTP(s, demo), git.Options{})
			if err := update(t.Context(), r, "d1/mine.yaml", name+"0"); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Log(t.Context(), s.Tip(demo, "main"), git.Bound{}, func(git.CommitInfo) bool { return true }); err != nil {
				t.Fatal(err)
			}
			damaged := cacheFiles(t, cache, tt.match)
			if len(damaged) == 0 {
				t.Fatal("nothing to damage")
			}
			for _, path := range damaged {
				if err := tt.damage(path); err != nil {
					t.Fatal(err)
				}
			}
			r = open(t, cache, overHTTP(s, demo), git.Options{})
			for i := range 2 {
				if err := update(t.Context(), r, "d1/mine.yaml", fmt.Sprint(name, i+1)); err != nil {
					t.Fatal(err)
				}
				s.CommitAs(demo, "main", "P <p@example.com>", "by hand", map[string]string{"d2/hand": fmt.Sprint(name, i)})
			}
			if _, err := r.Log(t.Context(), s.Tip(demo, "main"), git.Bound{}, func(git.CommitInfo) bool { return true }); err != nil {
				t.Fatal(err)
			}
			s.Git(demo, "fsck", "--strict", "--no-dangling")
		})
	}
}

func TestManyFetchesKeepTheCacheSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("fetches ninety times")
	}
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1", "d/e": "x"})
	cache := t.TempDir()
	r := open(t, cache, overHTTP(s, "demo"), git.Options{OnExit: func(command string, state *os.ProcessState) {
		if !state.Success() && command != "remote-http" { // that one fails whenever it is told nothing more
			t.Errorf("git %s: %v", command, state)
		}
	}})
	for i := range 45 {
		tip := s.CommitAs("demo", "main", "P <p@example.com>", "by hand", map[string]string{"hand": fmt.Sprint(i)})
		if _, err := r.Log(t.Context(), tip, git.Bound{Max: 1}, func(git.CommitInfo) bool { return false }); err != nil {
			t.Fatal(err)
		}
		to := commit(t, r, tip, "m", map[string]string{"f": fmt.Sprint("pin", i)})
		push(t, r, move{"main", tip, to}, git.Updated)
	}
	if packs := cacheFiles(t, cache, func(path string) bool { return strings.HasSuffix(path, ".pack") }); len(packs) > 45 {
		t.Errorf("%d packs", len(packs))
	}
	for _, path := range cacheFiles(t, cache, func(path string) bool { return strings.HasSuffix(path, "/shallow") }) {
		if content, _ := os.ReadFile(path); bytes.Count(content, []byte("\n")) > 42 {
			t.Errorf("%d boundaries", bytes.Count(content, []byte("\n")))
		}
	}
}

func TestLeastRecentlyUsedRepositoriesAreEvicted(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{})
	cache := t.TempDir()
	size := func() (sum int64) {
		for _, path := range cacheFiles(t, cache, func(string) bool { return true }) {
			if info, err := os.Stat(path); err == nil {
				sum += info.Size()
			}
		}
		return sum
	}
	const limit = 200_000
	noise := make([]byte, 60_000)
	repositories := map[string]*git.Repository{}
	for i := range 5 {
		name := fmt.Sprint("r", i)
		rand.New(rand.NewSource(int64(i))).Read(noise)
		s.Create(name, map[string]string{"f": string(noise)})
		repositories[name] = open(t, cache, git.Remote{URL: s.URL(name)}, git.Options{MaxCacheBytes: limit})
	}
	use := func(name string) int {
		s.Reset()
		readOne(t, repositories[name], s.Tip(name, "main"), "f")
		time.Sleep(20 * time.Millisecond)
		return s.Counts().Requests
	}
	for _, name := range []string{"r0", "r1", "r2"} {
		use(name)
	}
	use("r0")
	use("r3") // with it there are more than may be: r1 goes when room is made the next time
	use("r4")
	if got := size(); got > limit+70_000 {
		t.Errorf("%d bytes in the cache", got)
	}
	if use("r0") != 0 {
		t.Error("what was used lately was evicted")
	}
	if use("r1") == 0 {
		t.Error("what was not used for longest was not evicted")
	}
}

func TestOthersCacheIsNotRead(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1"})
	cache := t.TempDir()
	tip := s.Tip("demo", "main")
	readOne(t, open(t, cache, overHTTP(s, "demo"), git.Options{}), tip, "f")
	s.Reset()
	readOne(t, open(t, cache, overHTTP(s, "demo"), git.Options{}), tip, "f")
	if n := s.Counts().Requests; n != 0 {
		t.Errorf("%d requests for what is in the cache", n)
	}
	stranger := open(t, cache, git.Remote{URL: s.URL("demo"), Credentials: git.Credentials{Username: user, Password: "x"}}, git.Options{})
	_, err := stranger.Read(t.Context(), tip, []string{"f"})
	wantError(t, err, git.Authentication, "")
}

func TestWritersAtOnce(t *testing.T) {
	const writers, rounds = 3, 6
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"apps/x": "1"})
	shared := t.TempDir()
	var wg sync.WaitGroup
	for w := range writers {
		cache := shared // two share a cache, as two replicas on one node would, and one has its own
		if w == 0 {
			cache = t.TempDir()
		}
		r := open(t, cache, overHTTP(s, "demo"), git.Options{})
		wg.Go(func() {
			for i := range rounds {
				if err := update(t.Context(), r, fmt.Sprintf("apps/app%d/pin.yaml", w), fmt.Sprint(i)); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	var hand []string
	wg.Go(func() {
		for i := range 15 {
			hand = append(hand, s.CommitAs("demo", "main", "P <p@example.com>", "by hand", map[string]string{"hand": fmt.Sprint(i)}))
		}
	})
	wg.Wait()
	for w := range writers {
		if got := s.File("demo", "main", fmt.Sprintf("apps/app%d/pin.yaml", w)); got != fmt.Sprint(rounds-1) {
			t.Errorf("writer %d ended at %s", w, got)
		}
	}
	log := s.Git("demo", "log", "--format=%H", "main")
	for _, sha := range hand {
		if !strings.Contains(log, sha) {
			t.Errorf("the person's commit %s is lost", sha)
		}
	}
	if n := strings.Count(log, "\n"); n != 1+15+writers*rounds {
		t.Errorf("%d commits", n)
	}
}
