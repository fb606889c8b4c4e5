package edit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/image"
)

func TestParsePins(t *testing.T) {
	const src = `# kept
plugin:
  env: []
pins:
- alias: web
  image: registry-vpc.cn-hangzhou.aliyuncs.com/team/web
  tag: 1.10
  digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
- {image: nginx, hold: true}
`
	got, err := ParsePins("x", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	want := PinFile{Name: "x", Sections: []string{"plugin"}, Pins: []image.Pin{
		{Alias: "web", Image: "registry-vpc.cn-hangzhou.aliyuncs.com/team/web", Tag: "1.10",
			Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
		{Image: "nginx", Hold: true},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParsePinsNamesTheFile(t *testing.T) {
	_, err := ParsePins(".argocd-source-web.yaml", []byte("pins:\n- image: nginx\n  tag: 'v 1'\n"))
	if err == nil || !strings.HasPrefix(err.Error(), ".argocd-source-web.yaml: pins[0].tag (line 3)") {
		t.Error(err)
	}
	if refusal := new(Refusal); !errors.As(err, &refusal) || refusal.Line != 3 {
		t.Errorf("%#v", err)
	}
}

func entries(list ...string) []image.Entry {
	var out []image.Entry
	for _, s := range list {
		alias, name, found := strings.Cut(s, "=")
		if !found {
			alias, name = "", s
		}
		img, err := image.ParseImage(name)
		if err != nil {
			panic(err)
		}
		out = append(out, image.Entry{Alias: alias, Image: img})
	}
	return out
}

// pinned makes pins from alias=image:tag.
func pinned(list ...string) []image.Pin {
	var out []image.Pin
	for _, e := range entries(list...) {
		out = append(out, image.Pin{Alias: e.Alias, Image: e.Image.Name(), Tag: e.Image.Tag})
	}
	return out
}

func TestMatch(t *testing.T) {
	vpc := func(a, b image.Image) bool {
		a.Registry = strings.Replace(a.Registry, "-vpc", "", 1)
		b.Registry = strings.Replace(b.Registry, "-vpc", "", 1)
		return SameImage(a, b)
	}
	for name, tt := range map[string]struct {
		pins, entries []string
		same          func(a, b image.Image) bool
		want          []string // tags by entry
		unmatched     []string
		err           string
	}{
		"by image": {pins: []string{"b/b:1", "a/a:2"}, entries: []string{"a/a", "b/b", "c/c"}, want: []string{"2", "1", ""}},
		"docker hub in all spellings": {pins: []string{"docker.io/library/nginx:1", "team/web:2"},
			entries: []string{"nginx", "index.docker.io/team/web"}, want: []string{"1", "2"}},
		"hosts of one registry": {pins: []string{"registry-vpc.cn-hangzhou.aliyuncs.com/a/a:1"},
			entries: []string{"registry.cn-hangzhou.aliyuncs.com/a/a"}, same: vpc, want: []string{"1"}},
		"alias was renamed":    {pins: []string{"old=a/a:1"}, entries: []string{"new=a/a"}, want: []string{"1"}},
		"alias was added":      {pins: []string{"a/a:1"}, entries: []string{"web=a/a"}, want: []string{"1"}},
		"alias was removed":    {pins: []string{"web=a/a:1"}, entries: []string{"a/a"}, want: []string{"1"}},
		"alias of other image": {pins: []string{"web=a/a:1", "b/b:2"}, entries: []string{"web=b/b", "a/a"}, want: []string{"2", "1"}},
		"alias breaks a tie": {pins: []string{"worker=a/a:1", "web=a/a:2"}, entries: []string{"web=a/a", "worker=a/a"},
			want: []string{"2", "1"}},
		"second use has no pin yet":   {pins: []string{"web=a/a:1"}, entries: []string{"web=a/a", "worker=a/a"}, want: []string{"1", ""}},
		"one without alias is shared": {pins: []string{"a/a:1"}, entries: []string{"web=a/a", "worker=a/a"}, want: []string{"1", "1"}},
		"shared by the rest": {pins: []string{"a/a:1", "web=a/a:2"}, entries: []string{"web=a/a", "b=a/a", "c=a/a"},
			want: []string{"2", "1", "1"}},
		"left over": {pins: []string{"web=a/a:1", "gone=a/a:2", "c/c:3"}, entries: []string{"web=a/a"}, want: []string{"1"},
			unmatched: []string{"2", "3"}},
		"two pins for one":       {pins: []string{"x=a/a:1", "y=a/a:2"}, entries: []string{"web=a/a"}, err: `"web"`},
		"one pin for two":        {pins: []string{"x=a/a:1"}, entries: []string{"web=a/a", "worker=a/a"}, err: `"web" and "worker"`},
		"none fits":              {pins: []string{"a/a:1"}, entries: []string{"b/b"}, want: []string{""}, unmatched: []string{"1"}, err: "none of the images"},
		"same name, other host":  {pins: []string{"ghcr.io/a/a:1"}, entries: []string{"a/a"}, want: []string{""}, unmatched: []string{"1"}, err: "none of the images"},
		"no pins":                {entries: []string{"b/b"}, want: []string{""}},
		"no images":              {pins: []string{"b/b:1"}, unmatched: []string{"1"}},
		"library of other hosts": {pins: []string{"ghcr.io/library/a:1", "x:1"}, entries: []string{"ghcr.io/a", "x"}, want: []string{"", "1"}, unmatched: []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			per, unmatched, err := Match(pinned(tt.pins...), entries(tt.entries...), tt.same)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			var got, left []string
			for _, p := range per {
				if p == nil {
					p = &image.Pin{}
				}
				got = append(got, p.Tag)
			}
			for _, p := range unmatched {
				left = append(left, p.Tag)
			}
			if !slices.Equal(got, tt.want) || !slices.Equal(left, tt.unmatched) {
				t.Errorf("got %q and left over %q; want %q and %q", got, left, tt.want, tt.unmatched)
			}
		})
	}
}

func TestMatchErrorsAreTyped(t *testing.T) {
	_, _, err := Match(pinned("a/a:1"), entries("b/b"), nil)
	if none := new(NoneMatchError); !errors.As(err, &none) {
		t.Errorf("%T", err)
	}
	_, _, err = Match(pinned("x=a/a:1", "y=a/a:1"), entries("a/a"), nil)
	if ambiguous := new(AmbiguousPinError); !errors.As(err, &ambiguous) {
		t.Errorf("%T", err)
	}
}

// What Repin gives goes through SetPins and is matched by the same entry again, and by no other.
func TestRepin(t *testing.T) {
	const src = "pins:\n- image: docker.io/library/nginx\n  tag: v1\n- alias: old\n  image: a/a\n  tag: v1\n  hold: false\n- image: b/b\n  tag: v1\n"
	list := entries("web=nginx", "worker=nginx", "new=a/a", "b/b", "c/c")
	for i := range list {
		file, err := ParsePins("x", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		before, _, err := Match(file.Pins, list, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, err := SetPins([]byte(src), []image.Pin{Repin(list, before, i, "v2", "")})
		if err != nil {
			t.Fatal(err)
		}
		if file, err = ParsePins("x", out); err != nil {
			t.Fatal(err)
		}
		after, _, err := Match(file.Pins, list, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k := range list {
			switch {
			case k == i && after[k].Tag != "v2", k != i && before[k] != nil && *after[k] != *before[k]:
				t.Errorf("%s: %s has %+v after:\n%s", list[i].Alias, list[k].Alias, after[k], out)
			}
		}
	}
}

func TestSetPinsRefusesOnePinTwice(t *testing.T) {
	got, err := SetPins(nil, pinned("nginx:1", "docker.io/nginx:2"))
	if err == nil {
		t.Errorf("wrote %q", got)
	}
}

func tree1(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, name); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestReadPins(t *testing.T) {
	root := tree1(t, map[string]string{
		"app/.argocd-source-web.yaml":        "pins:\n- image: nginx\n  tag: v1\n",
		"app/.argocd-source-team_api.yaml":   "helm: {}\n",
		"app/values.yaml":                    "",
		"app/.argocd-source-link.yaml":       "-> .argocd-source-web.yaml",
		"app/.argocd-source-dir.yaml/x":      "",
		"linked":                             "-> app",
		"sub/.git":                           "gitdir: ../.git/modules/sub\n",
		"sub/.argocd-source-web.yaml":        "pins: []\n",
		"outside/.argocd-source-web.yaml":    "-> /etc/passwd",
		"broken/.argocd-source-web.yaml":     "pins: [",
		"large/.argocd-source-web.yaml":      "# " + strings.Repeat("x", MaxFile),
		"app/deep/.argocd-source-web.yaml":   "pins: []\n",
		".git/HEAD":                          "ref: refs/heads/main\n",
		"app/.argocd-source.yaml":            "",
		"app/.argocd-source-web.yaml.backup": "",
	})
	for _, tt := range []struct{ path, app, name, err string }{
		{"app", "web", "app/.argocd-source-web.yaml", ""},
		{"/app/", "web", "app/.argocd-source-web.yaml", ""},
		{"app/deep", "web", "app/deep/.argocd-source-web.yaml", ""},
		{"app", "team_api", "app/.argocd-source-team_api.yaml", ""},
		{"app", "other", "", ""},
		{"missing", "web", "", ""},
		{".", "web", "", ""},
		{"app", "link", "", "symlink"},
		{"app", "dir", "", "no regular file"},
		{"linked", "web", "", "symlink"},
		{"outside", "web", "", "symlink"},
		{"sub", "web", "", "submodule"},
		{"broken", "web", "", "not valid YAML"},
		{"large", "web", "", "larger than"},
		{"../app", "web", "", "out of the repository"},
		{"app", "../app", "", "no name"},
		{"app", "", "", "no name"},
	} {
		got, err := ReadPins(root, tt.path, tt.app)
		if got.Name != tt.name || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s %s: %+v, %v; want %q, %q", tt.path, tt.app, got, err, tt.name, tt.err)
		}
	}
	got, err := ReadPins(root, "app", "other")
	if err != nil || !slices.Contains(got.Others, ".argocd-source-web.yaml") || slices.Contains(got.Others, ".argocd-source.yaml") {
		t.Errorf("%+v, %v", got, err)
	}
}
