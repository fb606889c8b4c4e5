package edit

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

// A testCase is one of argocd-image-updater's own, with what it does.
type testCase struct {
	ID    string
	Op    string
	Note  string
	Input struct {
		Original   string
		Writes     [][2]string
		Path       string
		Value      string
		Images     []string
		Parameters []struct{ Name, Value string }
		Target     string `yaml:"write_back_target"`
		AppPath    string `yaml:"app_path"`
	}
	Expect struct {
		Output  string
		Error   string
		Path    string
		PlainOK bool `yaml:"plain_ok"`
		Entry   struct {
			Name    string
			NewName string `yaml:"newName"`
			NewTag  string `yaml:"newTag"`
			Digest  string
		} `yaml:"kustomization_entry"`
	}
}

func cases(t *testing.T, name string) []testCase {
	t.Helper()
	data, err := os.ReadFile("../../test/testdata/cases/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []testCase }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

// A difference is where tagpin means to do something else than argocd-image-updater.
type difference struct {
	output string // what tagpin writes; empty for a refusal
	errors string // a part of the error
	reason string // repeated in docs/targets.md
}

var differences = map[string]difference{
	"issue-1584-others-untouched": {
		output: "\nimage:\n  tag: \"main-1111111\"\n  repository: registry.local/aiu/manager\nsession:\n  image:\n    tag: \"main-0000000\"\n    repository: registry.local/aiu/session\n",
		reason: "the blank first line stays: a quoted value is edited in place too",
	},
	"whitespace-only-file": {
		output: "\nnginx:\n  image:\n    tag: v1.0.0\n    name: nginx\n",
		reason: "no header is added, and the blank line stays",
	},
	"p-anchor-target": {
		output: "a: &t v1\nb: v2\n",
		reason: "the alias is replaced as a whole; upstream writes an alias without an anchor, which is invalid YAML",
	},
	"set-p-top-level-int-becomes-float": {
		output: "tag: \"1.20\"\n",
		reason: "a number's place takes a quoted text; upstream writes the number 1.2",
	},
	"p-multi-doc-remarshal": {
		output: "image:\n  tag: \"v2\"\n---\nother: 1\n",
		reason: "the other documents stay; upstream loses them",
	},
	"kust-p-comment-inline": {
		output: "resources:\n  - a.yaml # x\nimages:\n  # my app\n  - name: registry.cn-hangzhou.aliyuncs.com/ns/app\n    newTag: \"1.10\" # pinned\n",
		reason: "comments on an entry stay; upstream drops them",
	},
}

func check(t *testing.T, c testCase, got []byte, err error) {
	t.Helper()
	want, wantErr := c.Expect.Output, c.Expect.Error
	if d, ok := differences[c.ID]; ok {
		want, wantErr = d.output, d.errors
		if d.output != "" && string(got) != d.output {
			t.Errorf("got %q, want exactly %q", got, d.output)
		}
	}
	if wantErr != "" {
		if err == nil {
			t.Errorf("got %q, want a refusal", got)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(got)) != strings.TrimSpace(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestHelmValuesCases(t *testing.T) {
	for _, c := range cases(t, "d-helm-values-write-back") {
		t.Run(c.ID, func(t *testing.T) {
			switch c.Op {
			case "helmvalues":
				var writes []Write
				for _, w := range c.Input.Writes {
					writes = append(writes, Write{w[0], w[1]})
				}
				got, err := SetValues([]byte(c.Input.Original), writes)
				check(t, c, got, err)
			case "sethelm":
				got, err := SetValue([]byte(c.Input.Original), c.Input.Path, c.Input.Value)
				check(t, c, got, err)
			case "helm_target":
				checkTarget(t, c)
			case "safe_scalar":
				if got := plain(c.Input.Value); got != c.Expect.PlainOK {
					t.Errorf("plain(%q) = %v", c.Input.Value, got)
				}
			default:
				t.Errorf("unknown op %q", c.Op)
			}
		})
	}
}

func checkTarget(t *testing.T, c testCase) {
	t.Helper()
	target, err := ParseTarget(c.Input.Target)
	if err != nil {
		t.Fatal(err)
	}
	got, err := target.Resolve("app", c.Input.AppPath, func(string) bool { return true })
	if err != nil || got.Path != c.Expect.Path {
		t.Errorf("got %+v, %v; want %q", got, err, c.Expect.Path)
	}
}

// override is what Argo CD's own syntax says: [name=]newName[:tag][@digest]. The data has digests that are none.
var override = regexp.MustCompile(`^(?:([^=]+)=)?(.+?)(?::([^:/@]+))?(?:@(.+))?$`)

func kustomizeChange(s string) KustomizeChange {
	m := override.FindStringSubmatch(s)
	c := KustomizeChange{Name: m[1], NewName: m[2], NewTag: m[3], Digest: m[4]}
	if c.Name == "" {
		c.Name, c.NewName = c.NewName, ""
	}
	return c
}

func TestKustomizationCases(t *testing.T) {
	for _, c := range cases(t, "d2-kustomization-write-back") {
		t.Run(c.ID, func(t *testing.T) {
			switch c.Op {
			case "kustomization":
				got := []byte(c.Input.Original)
				var err error
				for _, s := range c.Input.Images {
					if got, err = SetKustomizeImage(got, kustomizeChange(s)); err != nil {
						t.Fatal(err)
					}
				}
				check(t, c, got, err)
			case "image_override":
				e := c.Expect.Entry
				want := KustomizeChange{Name: e.Name, NewName: e.NewName, NewTag: e.NewTag, Digest: e.Digest}
				if got := kustomizeChange(c.Input.Value); got != want {
					t.Fatalf("got %+v, want %+v", got, want)
				}
				out, err := SetKustomizeImage(nil, want)
				if err != nil {
					t.Fatal(err)
				}
				var doc struct {
					Images []struct {
						Name    string
						NewName string `yaml:"newName"`
						NewTag  string `yaml:"newTag"`
						Digest  string
					}
				}
				if err := yaml.Unmarshal(out, &doc); err != nil || len(doc.Images) != 1 || KustomizeChange(doc.Images[0]) != want {
					t.Errorf("wrote %q (%v), want %+v", out, err, want)
				}
			case "kustomize_base":
				checkTarget(t, c)
			default:
				t.Errorf("unknown op %q", c.Op)
			}
		})
	}
}

// The pin file is the same file by name, with other content: Argo CD would merge what upstream writes there, and refuse the
// application, since its source is a plugin. So of each case the original must stay as it is, byte for byte, with the pins of
// the case below it.
func TestOverrideCases(t *testing.T) {
	for _, c := range cases(t, "e-argocd-source-override") {
		t.Run(c.ID, func(t *testing.T) {
			original := []byte(c.Input.Original)
			got, err := SetPins(original, pinsOf(t, c))
			if c.ID == "helm-unparsable-original-replaced" {
				if err == nil {
					t.Errorf("a file that is none was overwritten: %q", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			added, removed := changed(original, got)
			if removed != "" || strings.Contains(added, "helm:") || strings.Contains(added, "kustomize:") {
				t.Fatalf("the original is not kept, or more than pins was written:\n%s", got)
			}
			f, err := ParsePins("x", got)
			if err != nil || !slices.Equal(f.Pins, pinsOf(t, c)) {
				t.Errorf("pins %+v, %v; want %+v", f.Pins, err, pinsOf(t, c))
			}
		})
	}
}

func pinsOf(t *testing.T, c testCase) []image.Pin {
	t.Helper()
	var name, tag string
	for _, p := range c.Input.Parameters {
		switch p.Name {
		case "image.name":
			name = p.Value
		case "image.tag":
			tag = p.Value
		}
	}
	if tag != "" {
		return []image.Pin{{Image: cmp.Or(name, "nginx"), Tag: tag}}
	}
	var pins []image.Pin
	for _, s := range c.Input.Images {
		k := kustomizeChange(s)
		if k.NewTag == "" {
			k.NewTag = "v1"
		}
		pins = append(pins, image.Pin{Alias: "a", Image: cmp.Or(k.NewName, k.Name), Tag: k.NewTag, Digest: k.Digest})
	}
	return pins
}

// The differences are the user's to know.
func TestDifferencesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/targets.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(cases(t, "d-helm-values-write-back"), cases(t, "d2-kustomization-write-back")...) {
		if _, ok := differences[c.ID]; !ok && (strings.Contains(c.Note, "UPSTREAM BUG") || strings.Contains(c.Note, "DATA LOSS")) {
			t.Errorf("%s is to be done otherwise: %s", c.ID, c.Note)
		}
	}
	for id, d := range differences {
		if !strings.Contains(string(doc), d.reason) {
			t.Errorf("docs/targets.md does not give the reason for %s: %s", id, d.reason)
		}
	}
}
