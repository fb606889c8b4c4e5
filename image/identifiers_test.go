package image_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

// An identifier is what argocd-image-updater makes of an entry of an image-list.
type identifier struct {
	Alias         string
	Registry      string
	Name          string
	Tag           string
	Digest        string
	String        string
	FullWithTag   string `yaml:"full_with_tag"`
	FullWithout   string `yaml:"full_without_tag"`
	TagWithDigest string `yaml:"tag_with_digest"`
}

// A difference is where we decide otherwise, on purpose. It goes to docs/parameters.md.
type difference struct {
	Case   string // its id
	Theirs string
	Ours   string
	Reason string
	want   *identifier // nil: an error
}

func differences() []difference {
	const digest = "sha256:1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef"
	named := func(registry, name, tag string) *identifier {
		full := strings.TrimPrefix(registry+"/"+name, "/")
		return &identifier{Registry: registry, Name: name, Tag: tag, TagWithDigest: tag,
			String: full + ":" + tag, FullWithTag: full + ":" + tag, FullWithout: full}
	}
	return []difference{
		{Case: "ident-some/image:>=1.0 <2.0", Theirs: "the alias `some/image:>` and the image `1.0 <2.0`",
			Ours: "the image `some/image` and the constraint `>=1.0 <2.0`", want: named("", "some/image", ">=1.0 <2.0"),
			Reason: "an alias has no colon, so a constraint may begin with a comparison without an alias being there"},
		{Case: "ident-some/image:>=1.0, <2.0", Theirs: "the alias `some/image:>` and the image `1.0, <2.0`",
			Ours: "in an array item the constraint `>=1.0, <2.0`; in a string with commas an error", want: named("", "some/image", ">=1.0, <2.0"),
			Reason: "in a string a comma separates images; an array item is one entry"},
		{Case: "ident-registry:5000/team/foo:^1", Theirs: "the image `registry` and the constraint `5000/team/foo:^1`",
			Ours: "the registry `registry:5000`, the image `team/foo`, the constraint `^1`", want: named("registry:5000", "team/foo", "^1"),
			Reason: "a registry's port must not depend on how the constraint is written"},
		{Case: "ident-docker.io/library/nginx:1.x", Theirs: "`docker.io/nginx`", Ours: "`docker.io/library/nginx`",
			want:   named("docker.io", "library/nginx", "1.x"),
			Reason: "the spelling is kept, since manifests name the image so; `library/` is implied for Docker Hub when tags are looked up"},
		{Case: "ident-gcr.io/jannfis/test-image@" + digest, Theirs: "without a tag it is written as `latest@sha256:…`",
			Ours: "it is written without a tag", Reason: "no tag was named",
			want: &identifier{Registry: "gcr.io", Name: "jannfis/test-image", Digest: digest, TagWithDigest: "@" + digest,
				String: "gcr.io/jannfis/test-image@" + digest, FullWithTag: "gcr.io/jannfis/test-image@" + digest,
				FullWithout: "gcr.io/jannfis/test-image"}},
		{Case: "ident-gcr.io/jannfis/test-image@sha256:abcde", Theirs: "accepted", Ours: "an error",
			Reason: "a SHA-256 digest has 64 hexadecimal digits; no registry finds a shorter one"},
		{Case: "ident-gcr.io/jannfis/test-image:test-tag@sha256:abcde", Theirs: "accepted", Ours: "an error",
			Reason: "as before, with a tag"},
		{Case: "ident-ghcr.io:4567/jannfis/orig-image=gcr.io:1234/jannfis/test-image:0.1", Theirs: "an alias with a port in it",
			Ours: "an error", Reason: "an alias has no colon; the name to replace belongs in `kustomize.image-name`"},
		{Case: "ident-invalid==foo", Theirs: "the image `=foo`", Ours: "an error", Reason: "`=foo` is no image name"},
		{Case: "ident-alias=", Theirs: "accepted with an empty name", Ours: "an error", Reason: "an alias must name an image"},
	}
}

func TestIdentifiers(t *testing.T) {
	content, err := os.ReadFile("../test/testdata/cases/b-identifiers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Cases []struct {
			ID     string
			Input  struct{ Value string }
			Expect identifier
		}
	}
	if err := yaml.Unmarshal(content, &data); err != nil {
		t.Fatal(err)
	}
	other := map[string]*identifier{}
	for _, d := range differences() {
		other[d.Case] = d.want
	}
	for _, c := range data.Cases {
		want, differs := other[c.ID]
		delete(other, c.ID)
		if !differs {
			want = &c.Expect
		}
		t.Run(c.ID, func(t *testing.T) {
			got := identify(c.Input.Value)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if differs && cmp.Equal(got, &c.Expect) {
				t.Error("there is no difference: remove it from the table")
			}
		})
	}
	if len(data.Cases) == 0 || len(other) > 0 {
		t.Errorf("%d cases; differences without a case: %v", len(data.Cases), other)
	}
}

func identify(s string) *identifier {
	l, err := image.ParseEntry(s)
	if err != nil {
		return nil
	}
	i := l.Image
	full := i.String()
	if l.Alias != "" {
		full = l.Alias + "=" + full
	}
	return &identifier{Alias: l.Alias, Registry: i.Registry, Name: i.Repository, Tag: i.Tag, Digest: i.Digest, String: full,
		FullWithTag: i.String(), FullWithout: i.Name(),
		TagWithDigest: strings.TrimPrefix(strings.TrimPrefix(i.String(), i.Name()), ":")}
}
