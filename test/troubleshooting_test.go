package test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	heading = regexp.MustCompile("(?m)^### `(.*)`$")
	// joint is where Go source goes on with a text in the next line.
	joint = regexp.MustCompile(`" \+(?:\s*//[^\n]*)?\n\s*"`)
)

// Every error that docs/troubleshooting.md has a section for is one that tagpin, or Argo CD, can say.
func TestTroubleshootingQuotesErrors(t *testing.T) {
	page, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-cd/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	argocd := strings.TrimSpace(string(out))
	texts := sources(t, "..")
	goldens, err := filepath.Glob("argocd/testdata/errors/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, golden := range goldens { // what the real repo-server says
		text, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		texts += string(text)
	}
	for _, dir := range []string{"util/app/discovery", "util/cmp", "reposerver/repository", "pkg/apis/application/v1alpha1"} {
		texts += sources(t, filepath.Join(argocd, dir))
	}
	quoted := heading.FindAllStringSubmatch(string(page), -1)
	if len(quoted) < 20 {
		t.Fatalf("%d errors are quoted", len(quoted))
	}
	for _, q := range quoted {
		for _, part := range strings.Split(q[1], "…") {
			if part = strings.TrimSpace(part); len(part) > 1 && !strings.Contains(texts, part) {
				t.Errorf("%q of `%s` stands in no source", part, q[1])
			}
		}
	}
}

// sources are the texts of a directory's Go files, without tests, as they are when the program runs.
func sources(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "test") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		all.WriteString(strings.ReplaceAll(joint.ReplaceAllString(string(text), ""), `\"`, `"`))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
