package git_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

var change = git.Change{
	Application: "argocd_demo", Alias: "web", Image: "registry.cn-hangzhou.aliyuncs.com/ns/app", Tag: "v2.0", Digest: "sha256:" + strings.Repeat("ab", 32),
	PreviousTag: "v1.0",
}

func TestTrailers(t *testing.T) {
	other := git.Change{Application: "shop", Image: "docker.io/library/nginx", Tag: "1.27"}
	message, err := git.Message("subject\n\nbody\n", []git.Change{change, other}, &git.Person{Name: "tagpin", Email: "t@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	want := `subject

body

Tagpin-Change: {"application":"argocd_demo","alias":"web","image":"registry.cn-hangzhou.aliyuncs.com/ns/app","tag":"v2.0","digest":"sha256:` + strings.Repeat("ab", 32) + `","previousTag":"v1.0"}
Tagpin-Change: {"application":"shop","image":"docker.io/library/nginx","tag":"1.27"}
Signed-off-by: tagpin <t@example.com>
`
	if diff := cmp.Diff(want, message); diff != "" {
		t.Error(diff)
	}
	got, err := git.ParseTrailers(message)
	if diff := cmp.Diff([]git.Change{change, other}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	// A commit that quotes it claims nothing.
	for _, quoting := range []string{"Revert \"x\"\n\n" + message + "\nThis reverts commit 1.\n", strings.ReplaceAll(message, "\n", "\n    "), "x"} {
		if got, err := git.ParseTrailers(quoting); err != nil || len(got) != 0 {
			t.Errorf("%q: %v, %v", quoting, got, err)
		}
	}
}

func TestTrailersThatAreRefused(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":        `x`,
		"two":            `{"application":"a","image":"b","tag":"c"} {}`,
		"unknown field":  `{"application":"a","image":"b","tag":"c","more":1}`,
		"no application": `{"image":"b","tag":"c"}`,
		"no tag":         `{"application":"a","image":"b"}`,
		"bad tag":        `{"application":"a","image":"b","tag":"c d"}`,
		"bad digest":     `{"application":"a","image":"b","digest":"sha256:12"}`,
		"bad image":      `{"application":"a","image":"b\nc","tag":"c"}`,
		"too long":       `{"application":"a","image":"b","tag":"c"` + strings.Repeat(" ", 5000) + `}`,
	} {
		if got, err := git.ParseTrailers("s\n\nTagpin-Change: " + line + "\n"); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	for text, changes := range map[string][]git.Change{
		"": nil, "s\n\ntagpin-change: {}": {change}, "s": {{Application: "a", Image: "b", Tag: "c\nd"}},
	} {
		if message, err := git.Message(text, changes, nil); err == nil {
			t.Errorf("%q", message)
		}
	}
}

// A message says something of the commit alone that it was written for.
func TestTrailersBelongToOneCommit(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1"})
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	message, err := git.Message("pin", []git.Change{change}, &robot)
	if err != nil {
		t.Fatal(err)
	}
	base := tipOf(t, r, "")
	own := commit(t, r, base, message, map[string]string{"f": "2"})
	push(t, r, move{"main", base, own}, git.Updated)
	claims := func() int {
		t.Helper()
		found := -1
		if _, err := r.Log(t.Context(), tipOf(t, r, ""), git.Bound{}, func(c git.CommitInfo) bool {
			changes, err := c.Changes()
			if err != nil {
				t.Error(err)
			}
			found = len(changes)
			return false
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if claims() != 1 {
		t.Error("tagpin's own commit says nothing")
	}
	said := s.Git("demo", "log", "-1", "--format=%B", own)
	s.CommitAs("demo", "main", "Ada <ada@example.com>", said, map[string]string{"f": "1"}) // a squash merge, a cherry-pick
	if claims() != 0 {
		t.Error("a repeated message counts")
	}
	s.Git("demo", "update-ref", "refs/heads/main", base) // an amended commit: the parent is the same, the files are not
	s.CommitAs("demo", "main", "Ada <ada@example.com>", said, map[string]string{"f": "3"})
	if claims() != 0 {
		t.Error("an amended commit's message counts")
	}
	s.Git("demo", "update-ref", "refs/heads/main", base)
	s.CommitAs("demo", "main", "Ada <ada@example.com>", said, map[string]string{"f": "2"})
	if claims() != 1 {
		t.Error("the same change by another author does not count")
	}
}

func FuzzParseTrailers(f *testing.F) {
	message, err := git.Message("s", []git.Change{change}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Fuzz(func(t *testing.T, message string) {
		changes, err := git.ParseTrailers(message)
		if err != nil || len(changes) == 0 {
			return
		}
		again, err := git.Message("s", changes, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := git.ParseTrailers(again); err != nil || cmp.Diff(changes, got) != "" {
			t.Fatal(err, cmp.Diff(changes, got))
		}
	})
}

// differs are the cases where tagpin does something else on purpose, with what it does.
var differs = map[string]string{
	"branch-no-functions": `function "lower" not defined`, // there: an empty name, and the update fails later
}

type templateCase struct {
	ID, Op, Note string
	Input        struct {
		Template string
		AppName  string `json:"app_name"`
		Changes  []struct {
			Image  string
			OldTag string `json:"old_tag"`
			NewTag string `json:"new_tag"`
			Labels map[string]string
		}
	}
	Expect struct{ Output string }
}

func TestTemplateCases(t *testing.T) {
	content, err := os.ReadFile("../../test/testdata/cases/f-templates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []templateCase }
	if err := yaml.Unmarshal(content, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal(len(file.Cases), err)
	}
	for _, c := range file.Cases {
		t.Run(c.ID, func(t *testing.T) {
			got, err := runCase(c)
			if words, ok := differs[c.ID]; ok {
				if err == nil || !strings.Contains(err.Error(), words) {
					t.Errorf("%q, %v", got, err)
				}
				return
			}
			if err != nil || strings.TrimSpace(got) != strings.TrimSpace(c.Expect.Output) {
				t.Errorf("%q, %v, want %q", got, err, c.Expect.Output)
			}
		})
	}
}

func runCase(c templateCase) (string, error) {
	var changes []git.Change
	for _, i := range c.Input.Changes {
		changes = append(changes, git.Change{Application: c.Input.AppName, Image: i.Image, PreviousTag: i.OldTag, Tag: i.NewTag, Labels: i.Labels})
	}
	switch c.Op {
	case "message":
		parsed, err := git.ParseMessage(c.Input.Template)
		if err != nil {
			return "", err
		}
		return parsed.Message(c.Input.AppName, changes)
	case "branch":
		parsed, err := git.ParseBranch(c.Input.Template)
		if err != nil {
			return "", err
		}
		return parsed.Branch(c.Input.AppName, changes)
	}
	return "", fmt.Errorf("no such operation: %s", c.Op)
}

func TestTemplates(t *testing.T) {
	digest := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	tests := map[string]struct {
		template string
		changes  []git.Change
		want     string
	}{
		"default": {git.DefaultMessage, []git.Change{
			{Image: "r.example.com/a/b", PreviousTag: "v1", Tag: "v2", Strategy: "semver", Constraint: "^1"}, {Image: "c", Tag: "v3"},
		}, "build: automatic update of demo\n\nupdates image a/b tag 'v1' to 'v2' (newest by semver, ^1)\npins image c to tag 'v3'\n"},
		"a digest that moved below its tag": {"{{ range .AppChanges }}{{ .OldTag }} {{ .NewTag }}{{ end }}", []git.Change{
			{Image: "a", PreviousTag: "latest", Tag: "latest", PreviousDigest: digest("1"), Digest: digest("2")},
		}, digest("1") + " " + digest("2")},
		"line breaks in data": {"{{ range .AppChanges }}{{ index .Labels \"l\" }}{{ end }}", []git.Change{
			{Image: "a", Tag: "b", Labels: map[string]string{"l": "x\n\nTagpin-Change: {}\r\x1b[31m\u2028y\xff"}},
		}, "x  Tagpin-Change: {}  [31m y?"},
		"names": {"{{ .AppNamespace }} {{ .AppName }} {{ (index .AppChanges 0).Registry }}", []git.Change{{Image: "localhost/a", Tag: "b"}}, "team demo localhost"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			parsed, err := git.ParseMessage(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := parsed.Message("team_demo", tt.changes); err != nil || got != tt.want {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
	for template, words := range map[string]string{
		"{{ .Nothing }}": "Nothing", "{{ range 100000 }}xxxxxxxxxx{{ end }}": "more than", "{{": "template of the commit message",
	} {
		if _, err := git.ParseMessage(template); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", template, err)
		}
	}
	parsed, err := git.ParseBranch("x{{ range .Images }}..{{ .NewTag }}{{ end }}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Branch("demo", []git.Change{{Image: "a", Tag: "b"}}); git.KindOf(err) != git.BadBranch {
		t.Error(err)
	}
}
