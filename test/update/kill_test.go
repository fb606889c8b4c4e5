package update

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/test/program"
)

// process gives the arguments of `tagpin update` for applications of a repository; each reads its own manifest.
func (w *world) process(repo string, apps ...string) []string {
	w.t.Helper()
	dir := w.t.TempDir()
	settings := filepath.Join(dir, "tagpin.yaml")
	write(w.t, settings, "bindings:\n- credential: secret:argocd/git-creds\n  kind: git\n  url: "+strings.TrimSuffix(w.git.URL("x"), "/x.git")+"\n")
	args := []string{"update", "--settings", settings, "--registries-conf-path", w.conf, "--secrets-dir", w.secrets,
		"--git-cache-dir", filepath.Join(dir, "cache"), "--status-socket", "", "--cache-ttl", "1ms", "--interval", "1s", "--push-distance", "0s"}
	for _, app := range apps {
		manifest := filepath.Join(dir, app+".yaml")
		write(w.t, manifest, fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %s, namespace: argocd}
spec:
  project: default
  destination: {server: https://kubernetes.default.svc, namespace: demo}
  source:
    repoURL: %s
    path: %s
    targetRevision: main
    plugin:
      name: tagpin
      parameters:
      - {name: image-list, string: echoserver=%s}
      - {name: write-back-method, string: git:secret:argocd/git-creds}
`, app, w.git.URL(repo), app, echoServer))
		args = append(args, "--app", manifest)
	}
	return args
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// An updater that is killed at any moment loses nothing, writes nothing by halves and nothing twice, and the next one goes on.
func TestKilledAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the program several hundred times")
	}
	const rounds = 200
	bin, w := program.Tagpin(t), newWorld(t)
	apps := []string{"one", "two", "three"}
	files := map[string]string{}
	for _, app := range apps {
		files[app+"/Chart.yaml"] = "name: x\n"
	}
	w.git.Create("demo", files)
	args := w.process("demo", apps...)
	random := rand.New(rand.NewPCG(3, 4))
	newest, persons := "", 0
	for i := range rounds {
		if i%2 == 0 {
			newest = fmt.Sprintf("v1.0.%d", i)
			w.reg.Push(echo, newest, acr.Image{})
		}
		if i%7 == 0 {
			persons++
			w.git.CommitAs("demo", "main", ada, "work", map[string]string{fmt.Sprintf("notes/%d", i): "note"})
		}
		if i%9 == 0 { // requests that take long, so that the kill falls into one
			w.git.Fail(gitserver.Slow(50 * time.Millisecond))
		}
		w.kill(exec.Command(bin, args...), random.IntN(12), time.Duration(random.IntN(50))*time.Millisecond)
		w.git.Fail(nil)
		if i%20 == 19 {
			out, err := exec.Command(bin, append(args, "--once")...).CombinedOutput()
			if err != nil {
				t.Fatalf("the check after %d kills: %v: %s", i+1, err, out)
			}
			w.wantPinned(newest, apps)
		}
	}
	w.line("demo", "fsck", "--strict")
	if n := w.line("demo", "rev-list", "--count", "--author=Ada", "main"); n != fmt.Sprint(persons) {
		t.Errorf("%s of %d commits of the person are left", n, persons)
	}
	wantForward(t, w, apps)
	wantNoProcess(t, args[slices.Index(args, "--git-cache-dir")+1])
}

// kill ends an updater some time after it made a number of Git requests, or was done.
func (w *world) kill(updater *exec.Cmd, requests int, later time.Duration) {
	w.t.Helper()
	log := &lockedBuffer{}
	updater.Stderr = io.MultiWriter(w.log, log)
	w.git.Reset()
	if err := updater.Start(); err != nil {
		w.t.Fatal(err)
	}
	done := func() bool {
		return w.git.Counts().Requests >= requests || strings.Contains(log.String(), "Processing results")
	}
	for start := time.Now(); !done() && time.Since(start) < time.Minute; {
		time.Sleep(2 * time.Millisecond)
	}
	time.Sleep(later)
	_ = updater.Process.Kill()
	_ = updater.Wait()
}

// wantPinned checks what the applications are pinned to.
func (w *world) wantPinned(tag string, apps []string) {
	w.t.Helper()
	for _, app := range apps {
		if got := w.git.File("demo", "main", app+"/.argocd-source-"+app+".yaml"); got != pins(tag) {
			w.t.Errorf("%s is pinned to %q, want %s", app, got, tag)
		}
	}
}

// wantForward checks that each of tagpin's commits changes one pin file, to a greater tag than was there.
func wantForward(t *testing.T, w *world, apps []string) {
	t.Helper()
	last := map[string]int{}
	for _, sha := range strings.Fields(w.line("demo", "rev-list", "--reverse", "--author=tagpin", "main")) {
		changed := w.line("demo", "diff-tree", "-r", "--no-commit-id", "--name-only", sha)
		if strings.Count(changed, "\n") != 0 || !strings.Contains(changed, "/.argocd-source-") {
			t.Errorf("commit %s changes %q, want one pin file", sha, changed)
			continue
		}
		_, tag, _ := strings.Cut(strings.TrimSpace(w.git.File("demo", sha, changed)), "tag: v1.0.")
		version, err := strconv.Atoi(tag)
		before, pinned := last[changed]
		if err != nil || pinned && version <= before {
			t.Errorf("commit %s goes from v1.0.%d to v1.0.%s (%v)", sha, before, tag, err)
		}
		last[changed] = version
	}
	if len(last) != len(apps) {
		t.Errorf("%d applications have commits, want %d", len(last), len(apps))
	}
}

// wantNoProcess checks that no process is left that names a directory.
func wantNoProcess(t *testing.T, dir string) {
	t.Helper()
	var left []string
	for range 300 {
		left = nil
		files, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if line, err := os.ReadFile(f); err == nil && bytes.Contains(line, []byte(dir)) {
				left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("left behind: %q", left)
}
