package image_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/image"
)

func TestParseImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	tests := []struct {
		in         string
		host, repo string // canonical
		tag        string
	}{
		{"nginx", "index.docker.io", "library/nginx", ""},
		{"bitnami/nginx:1.25", "index.docker.io", "bitnami/nginx", "1.25"},
		{"docker.io/nginx", "index.docker.io", "library/nginx", ""},
		{"index.docker.io/nginx", "index.docker.io", "library/nginx", ""},
		{"harbor.example.com/nginx", "harbor.example.com", "nginx", ""},
		{"harbor.example.com/library/nginx", "harbor.example.com", "library/nginx", ""},
		{"Registry.Example.com/a", "registry.example.com", "a", ""},
		{"registry:5000/team/foo:^1", "registry:5000", "team/foo", "^1"},
		{"localhost/foo:1.x || 2.x", "localhost", "foo", "1.x || 2.x"},
		{"127.0.0.1:5000/foo:*", "127.0.0.1:5000", "foo", "*"},
		{"[::1]:5000/foo:1", "[::1]:5000", "foo", "1"},
		{"foo:=1.0", "index.docker.io", "library/foo", "=1.0"},
		{"registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server:v1.0@" + digest, "registry.cn-hangzhou.aliyuncs.com",
			"haoshuwei24/echo-server", "v1.0"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := image.ParseImage(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tt.in {
				t.Errorf("spelling changed to %s", got)
			}
			want := []string{tt.host, tt.repo, tt.tag}
			if diff := cmp.Diff(want, []string{got.Host(), got.CanonicalRepository(), got.Tag}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseImageRefuses(t *testing.T) {
	for _, in := range []string{
		"", ":1", "foo:", "foo: ", "Foo", "a/Foo", "Foo/bar", "foo bar", "foo/", "/foo", "foo//bar", "https://example.com/foo", "foo@sha256:12",
		"foo@", "foo:1@", "foo:1:2", "foo:1/2@x", "foo:a\nb", "foo:1.0;rm", "a=b", "-foo", "foo\x00", strings.Repeat("a", 300),
		strings.Repeat("0a", 32),
	} {
		if got, err := image.ParseImage(in); err == nil {
			t.Errorf("%q was read as %#v", in, got)
		}
	}
}

func TestWithTagDropsTheDigest(t *testing.T) {
	img, err := image.ParseImage("foo:1@sha256:" + strings.Repeat("0a", 32))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.WithTag("2").String(); got != "foo:2" {
		t.Errorf("got %s", got)
	}
}

func TestValidTagAndDigest(t *testing.T) {
	for tag, ok := range map[string]bool{
		"v1.0": true, "_x": true, "1": true, "A-b_c.d": true, strings.Repeat("a", 128): true,
		"": false, ".a": false, "-a": false, "a b": false, "a\n": false, "a/b": false, "a+b": false, strings.Repeat("a", 129): false,
	} {
		if err := image.ValidTag(tag); (err == nil) != ok {
			t.Errorf("tag %q: %v", tag, err)
		}
	}
	for digest, ok := range map[string]bool{
		"sha256:" + strings.Repeat("a", 64): true, "sha256:" + strings.Repeat("A", 64): false, "sha256:" + strings.Repeat("a", 63): false,
		"sha512:" + strings.Repeat("a", 128): false, strings.Repeat("a", 64): false, "": false, "sha256:" + strings.Repeat("a", 64) + "\n": false,
	} {
		if err := image.ValidDigest(digest); (err == nil) != ok {
			t.Errorf("digest %q: %v", digest, err)
		}
	}
}

func TestParseList(t *testing.T) {
	tests := []struct{ in, want string }{
		{"foo", "foo"},
		{"a=foo:~1.2, b=bar:^1 ,\n  baz:*,", "a=foo:~1.2; b=bar:^1; baz:*"},
		{"foo:>=1.0", "foo:>=1.0"},
		{"foo:>=1.0 <2.0,bar:1.x || 2.x", "foo:>=1.0 <2.0; bar:1.x || 2.x"},
		{"x/y.z=registry:5000/team/foo:!=1.3", "x/y.z=registry:5000/team/foo:!=1.3"},
		{"a=foo:=1.2", "a=foo:=1.2"},
		{"a=foo:1,b=foo:2,foo:3", "a=foo:1; b=foo:2; foo:3"},
		{"v1=foo,2048=bar", "v1=foo; 2048=bar"},
	}
	for _, tt := range tests {
		list, err := image.ParseList(tt.in)
		if got := spell(list); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v", tt.in, got, err)
		}
	}
}

func TestParseItemsKeepsCommasInConstraints(t *testing.T) {
	list, err := image.ParseItems([]string{"a=foo:>=1.0, <2.0", "bar:1"})
	if got := spell(list); err != nil || got != "a=foo:>=1.0, <2.0; bar:1" {
		t.Errorf("got %q, %v", got, err)
	}
}

func spell(list []image.Listed) string {
	items := make([]string, len(list))
	for i, l := range list {
		items[i] = l.Image.String()
		if l.Alias != "" {
			items[i] = l.Alias + "=" + items[i]
		}
	}
	return strings.Join(items, "; ")
}

func FuzzParseList(f *testing.F) {
	for _, seed := range []string{
		"a=foo:~1.2, b=registry:5000/team/foo:>=1.0 <2.0", "some/image:>=1.0", "alias=", "==", "a,b", "x@sha256:abc", "docker.io/library/nginx:1.x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := image.ParseList(s)
		if err != nil {
			return
		}
		again, err := image.ParseList(strings.ReplaceAll(spell(list), ";", ","))
		if err != nil {
			t.Fatalf("%q was read, but not what it was read as, %q: %v", s, spell(list), err)
		}
		if diff := cmp.Diff(list, again); diff != "" {
			t.Fatal(diff)
		}
		for _, l := range list {
			if strings.ContainsAny(l.Image.Name(), " =@,") || l.Image.Host() == "" || l.Image.CanonicalRepository() == "" {
				t.Fatalf("%q has an impossible name: %#v", s, l)
			}
		}
	})
}
