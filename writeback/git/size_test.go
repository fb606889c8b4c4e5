package git_test

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

const kilobyte = 1000

// monorepo is 20,000 files of 11 KB that can't be compressed, in directories of at most 300 entries, made by 2,000 commits.
func monorepo(s *gitserver.Server) {
	s.Create("mono", nil)
	var blobs, commits bytes.Buffer
	random := rand.New(rand.NewSource(1))
	blob := make([]byte, 10_800)
	for c := range 2000 {
		fmt.Fprintf(&commits, "commit refs/heads/main\ncommitter A Person <person@example.com> %d +0000\ndata 20\nan ordinary message\n\n", 1_700_000_000+c*60)
		for i := range 10 {
			n := c*10 + i
			if n%200 == 0 {
				content := fmt.Sprintf("# application %d\ntag: \"v1\"\n", n/200)
				fmt.Fprintf(&commits, "M 100644 inline %s\ndata %d\n%s", pinFile(n/200), len(content), content)
				continue
			}
			random.Read(blob)
			fmt.Fprintf(&blobs, "blob\ndata %d\n%s\n", len(blob), blob)
			sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(blob), blob))
			fmt.Fprintf(&commits, "M 100644 %x clusters/%s/file%05d.bin\n", sum, directory(n%97), n)
		}
	}
	s.Configure("mono", "core.compression", "0") // it can't be compressed, and trying takes most of the time
	s.Import("mono", blobs.Bytes())
	s.Configure("mono", "core.compression", "-1")
	s.Import("mono", commits.Bytes())
}

func directory(n int) string { return fmt.Sprintf("group%d/team%02d", n%5, n) }

func pinFile(app int) string { return fmt.Sprintf("clusters/%s/app%02d.yaml", directory(app%97), app) }

// A cost is the most that a step may take.
type cost struct {
	requests int
	bytes    int64 // received
}

// measure runs one step of the update and says what it cost.
func measure(t *testing.T, s *gitserver.Server, name string, most cost, step func()) {
	t.Helper()
	s.Reset()
	start := time.Now()
	step()
	c := s.Counts()
	t.Logf("%-34s %d requests, %d bytes received, %d sent, %v", name, c.Requests, c.Sent, c.Received, time.Since(start).Round(time.Millisecond))
	if c.Requests > most.requests || c.Sent > most.bytes {
		t.Errorf("%s: %d requests and %d bytes received; at most %d and %d\n%s", name, c.Requests, c.Sent, most.requests, most.bytes, strings.Join(c.Log, "\n"))
	}
}

func TestSizeOfTheWork(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a repository of 200 MB")
	}
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	monorepo(s)
	_, after, _ := strings.Cut(s.Git("mono", "count-objects", "-v"), "size-pack: ")
	if kB, err := strconv.Atoi(strings.Fields(after)[0]); err != nil || kB < 200_000 {
		t.Fatalf("the repository should have more than 200 MB, and has %d kB: %v", kB, err)
	}
	if files := strings.Count(s.Git("mono", "ls-tree", "-r", "main"), "\n"); files != 20_000 {
		t.Fatalf("%d files", files)
	}
	r := open(t, t.TempDir(), overHTTP(s, "mono"), git.Options{})
	peak := watchMemory(t)
	var base string
	pin := func(app, version int) string {
		files := map[string]string{pinFile(app): fmt.Sprintf("tag: \"v%d\"\n", version)}
		if f := readOne(t, r, base, pinFile(app)); !f.Exists {
			t.Fatal("no pin file", pinFile(app))
		}
		return commit(t, r, base, fmt.Sprintf("pin app%02d to v%d", app, version), files)
	}
	measure(t, s, "first pin, cold cache", cost{8, 600 * kilobyte}, func() {
		base = tipOf(t, r, "")
		to := pin(0, 2)
		push(t, r, move{"main", base, to}, git.Updated)
		base = to
	})
	measure(t, s, "next pin, tip unmoved", cost{2, 2 * kilobyte}, func() {
		to := pin(0, 3)
		push(t, r, move{"main", base, to}, git.Updated)
		base = to
	})
	for i := range 10 {
		s.CommitAs("mono", "main", "A Person <person@example.com>", "by hand", map[string]string{
			"clusters/" + directory(i*7) + "/hand.yaml": fmt.Sprint(i), fmt.Sprintf("clusters/%s/other%d.yaml", directory(i*3), i): fmt.Sprint(i),
		})
	}
	measure(t, s, "next pin, tip moved by 10 commits", cost{5, 10 * kilobyte}, func() {
		base = push(t, r, move{"main", base, pin(0, 4)}, git.Stale).Tip
		to := pin(0, 4)
		push(t, r, move{"main", base, to}, git.Updated)
		base = to
	})
	fifty := func(version int) string {
		var paths []string
		for app := range 50 {
			paths = append(paths, pinFile(app))
		}
		files, err := r.Read(t.Context(), base, paths)
		if err != nil {
			t.Fatal(err)
		}
		to := base
		for app, path := range paths {
			if !files[path].Exists {
				t.Fatal("no pin file", path)
			}
			to = commit(t, r, to, fmt.Sprintf("pin app%02d to v%d", app, version), map[string]string{path: fmt.Sprintf("tag: \"v%d\"\n", version)})
		}
		return to
	}
	measure(t, s, "50 applications, files unread", cost{4, 5 * kilobyte}, func() {
		to := fifty(5)
		push(t, r, move{"main", base, to}, git.Updated)
		base = to
	})
	s.CommitAs("mono", "main", "A Person <person@example.com>", "by hand", map[string]string{"clusters/hand.yaml": "x"})
	measure(t, s, "50 applications, tip moved", cost{5, 5 * kilobyte}, func() {
		base = push(t, r, move{"main", base, fifty(6)}, git.Stale).Tip
		to := fifty(6)
		push(t, r, move{"main", base, to}, git.Updated)
		base = to
	})
	measure(t, s, "log, 30 commits", cost{2, 10 * kilobyte}, func() {
		n := 0
		if _, err := r.Log(t.Context(), base, git.Bound{}, func(git.CommitInfo) bool { n++; return n < 30 }); err != nil {
			t.Fatal(err)
		}
	})
	measure(t, s, "log, all 2,000 commits", cost{10, 400 * kilobyte}, func() {
		if end, err := r.Log(t.Context(), base, git.Bound{Max: 5000}, func(git.CommitInfo) bool { return true }); err != nil || end != git.EndRoot {
			t.Fatal(end, err)
		}
	})
	s.Git("mono", "fsck", "--connectivity-only", "--no-dangling")
	if got := peak(); got > 30_000 || got < 1000 {
		t.Errorf("git took %d kB of memory; at most 30 MB", got)
	} else {
		t.Logf("peak memory of git: %d kB", got)
	}
}

// watchMemory looks at the high-water mark of every git process that is a child of this one, several hundred times a second;
// what wait(2) tells is no use, because a child inherits the mark of the test that it was forked from. The result is in kB.
func watchMemory(t *testing.T) func() int64 {
	var peak atomic.Int64
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
				peak.Store(max(peak.Load(), memoryOfGit()))
			}
		}
	}()
	t.Cleanup(func() { close(done) })
	return peak.Load
}

// memoryOfGit is the largest VmHWM of the processes that a Repository started, in kB.
func memoryOfGit() int64 {
	var peak int64
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		environ, err := os.ReadFile(process + "/environ")
		if err != nil || !bytes.Contains(environ, []byte("GIT_CONFIG_COUNT=")) { // the server's have none
			continue
		}
		status, _ := os.ReadFile(process + "/status")
		if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
			kB, _ := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
			peak = max(peak, kB)
		}
	}
	return peak
}
