package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/acr"
)

// A step is a shell block of the walk-through, with the output that the text shows behind it. until: what it asks for takes a
// while, so it is run again until the output is as shown.
type step struct {
	line         int
	script, want string
	until        bool
}

// readSteps finds the blocks in Markdown: ```sh is run, a ```text that follows is what it prints, and <!-- until --> before it
// says that a reader would look again.
func readSteps(text string) ([]step, error) {
	var steps []step
	var body []string
	kind, until := "", false
	for i, l := range strings.Split(text, "\n") {
		switch {
		case kind == "" && l == "<!-- until -->":
			until = true
		case kind == "" && strings.HasPrefix(l, "```"):
			kind, body = strings.TrimPrefix(l, "```"), nil
			if kind == "sh" {
				steps = append(steps, step{line: i + 1, until: until})
				until = false
			}
		case l == "```":
			if err := finish(steps, kind, strings.Join(body, "\n")+"\n"); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			kind = ""
		case kind != "":
			body = append(body, l)
		}
	}
	return steps, nil
}

// finish puts a block where it belongs.
func finish(steps []step, kind, body string) error {
	switch {
	case kind == "sh":
		steps[len(steps)-1].script = body
	case kind == "text" && (len(steps) == 0 || steps[len(steps)-1].want != ""):
		return errors.New("output of no command")
	case kind == "text":
		steps[len(steps)-1].want = body
	}
	return nil
}

// matches compares output with what the text shows, where … stands for anything within a line, and a line of it alone for any
// lines. Runs of blanks are one.
func matches(out, want string) bool {
	blanks := regexp.MustCompile(`[ \t]+`)
	normal := func(s string) string { return strings.TrimSpace(blanks.ReplaceAllString(s, " ")) }
	var pattern strings.Builder
	pattern.WriteString(`(?m)\A`)
	for _, l := range strings.Split(strings.TrimSpace(want), "\n") {
		if l = normal(l); l == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(l, "…")
		for j, part := range parts {
			if j > 0 {
				part = strings.TrimLeft(part, " ")
				pattern.WriteString(`.*`)
			}
			if j < len(parts)-1 {
				part = strings.TrimRight(part, " ")
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(`\n`)
	}
	pattern.WriteString(`\z`)
	var lines []string
	for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
		lines = append(lines, normal(l))
	}
	return regexp.MustCompile(pattern.String()).MatchString(strings.Join(lines, "\n") + "\n")
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		out, want string
		match     bool
	}{
		{"a  b\n", "a b\n", true}, {"a b\nc\n", "a b\n", false}, {"a 12s b\n", "a … b\n", true}, {"a b\n", "a … b\n", true}, {"x\ny\nz\n", "…\nz\n", true},
		{"z\n", "…\nz\n", true}, {"a.b\n", "axb\n", false}, {"x\ny\n", "x\n…\n", true},
	} {
		if got := matches(c.out, c.want); got != c.match {
			t.Errorf("%q and %q: %v", c.out, c.want, got)
		}
	}
}

// The two languages of the walk-through have the same blocks.
func TestWalkthroughLanguages(t *testing.T) {
	english, chinese := walkthrough(t, "walkthrough.md"), walkthrough(t, "walkthrough.zh-CN.md")
	same := func(a, b step) bool { return a.script == b.script && a.want == b.want && a.until == b.until }
	if len(english) == 0 || !slices.EqualFunc(english, chinese, same) {
		for i := range min(len(english), len(chinese)) {
			if !same(english[i], chinese[i]) {
				t.Fatalf("walkthrough.md:%d and walkthrough.zh-CN.md:%d differ:\n%s\n%s", english[i].line, chinese[i].line, english[i].script, chinese[i].script)
			}
		}
		t.Fatalf("walkthrough.md has %d blocks, walkthrough.zh-CN.md %d", len(english), len(chinese))
	}
}

func walkthrough(t *testing.T, name string) []step {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := readSteps(string(b))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return steps
}

// TestWalkthrough does what docs/walkthrough.md says, in its order, and sees what it shows.
func TestWalkthrough(t *testing.T) {
	steps := walkthrough(t, "walkthrough.md")
	w := newWorld(t, v2)
	w.prepareReader()
	w.followDeployment()
	for _, s := range steps {
		started := time.Now()
		err := w.take(s)
		for s.until && err != nil && time.Since(started) < 3*time.Minute {
			time.Sleep(time.Second)
			err = w.take(s)
		}
		if err != nil {
			t.Fatalf("walkthrough.md:%d:\n%s%v", s.line, s.script, err)
		}
		t.Logf("walkthrough.md:%d: %.1f s", s.line, time.Since(started).Seconds())
	}
}

// prepareReader makes what the walk-through takes for granted: the fork with its files, the image in the registry, the logins,
// and a kubectl that reaches into the one container that runs here.
func (w *world) prepareReader() {
	w.t.Helper()
	w.git.Create("you/gitops-demo", exampleFiles(w.t))
	w.tellArgoCD("you/gitops-demo")
	w.git.Create("tagpin/tagpin", filesBelow(w.t, moduleRoot(w.t), "deploy"))
	w.registry.Push(echoRepo, "v1.0", acr.Image{})
	w.write("home/.gitconfig", "[credential]\n\thelper = store\n[pull]\n\trebase = true\n")
	w.write("home/.git-credentials", "https://"+gitUser+":"+gitPassword+"@"+gitHost+"\n")
	w.run("crane", "auth", "login", acrHost, "-u", acr.User, "-p", acr.Password)
	w.write("reader.env", fmt.Sprintf("export PATH=%s:$PATH GIT_TOKEN=%s ACR_LOGIN=%s:%s\n", w.path("reader"), gitPassword, acr.User, acr.Password))
	w.write("reader/kubectl", fmt.Sprintf(`#!/bin/bash
case "$*" in
"-n argocd exec deploy/argocd-repo-server -c tagpin -- "*)
  exec nsenter -t "$(cat %s)" -m -r -w -- /usr/bin/env -i HOME=/tmp PATH=/image:/usr/bin "${@:8}" ;;
"-n argocd logs deploy/argocd-repo-server -c tagpin")
  exec cat %s ;;
esac
exec %s "$@"
`, w.path("sidecar.pid"), filepath.Join(w.logs, "tagpin.log"), w.which("kubectl")))
	if err := os.Chmod(w.path("reader", "kubectl"), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

// which is where a program lies.
func (w *world) which(name string) string {
	w.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

// take runs one block, in the reader's directory.
func (w *world) take(s step) error {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", fmt.Sprintf("cd %s\n. %s\n%s\nexport -p > %[2]s", w.path("home"), w.path("reader.env"), s.script))
	cmd.Env = w.env()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := stdout.String()
	if err != nil {
		return fmt.Errorf("%w: %s%s", err, out, stderr.String())
	}
	if s.want != "" && !matches(out, s.want) {
		return fmt.Errorf("it printed\n%s\nand the text shows\n%s", out, s.want)
	}
	return nil
}
