package render_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

const echoServer = "registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server"

// echo is the demo's image at a tag.
func echo(tag string) render.Image {
	return render.Image{
		Entry: image.Entry{
			Alias: "echoserver",
			Image: image.Image{Registry: "registry.cn-hangzhou.aliyuncs.com", Repository: "haoshuwei24/echo-server"},
			Helm:  image.HelmTarget{Name: "image.repository", Tag: "image.tag"},
		},
		Tag: tag,
	}
}

// changed returns the lines that differ, "-" before and "+" after.
func changed(before, after []byte) []string {
	old, now := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
	var out []string
	for i := range old {
		if i < len(now) && old[i] != now[i] {
			out = append(out, "-"+strings.TrimSpace(old[i]), "+"+strings.TrimSpace(now[i]))
		}
	}
	if len(old) != len(now) {
		out = append(out, "the number of lines")
	}
	return out
}

// chartWith is a chart with one template that prints all values.
func chartWith(t *testing.T, values string) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, "Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\nappVersion: \"1\"\n")
	write(t, root, "values.yaml", values)
	write(t, root, "templates/all.yaml", "apiVersion: v1\nkind: Values\n{{ toYaml .Values }}\n")
	return root
}

func TestInjectIntoHelmValues(t *testing.T) {
	const digest = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	pinned := func(i render.Image) render.Image {
		i.Digest, i.Entry.Policy.PinDigest = digest, true
		return i
	}
	target := func(h image.HelmTarget) render.Image {
		i := echo("v2.0")
		i.Entry.Helm = h
		return i
	}
	for name, c := range map[string]struct {
		values string
		helm   image.Helm
		image  render.Image
		want   []string
	}{
		"name and tag": {
			values: "image: {repository: a, tag: b, pullPolicy: Always}\n", image: echo("v2.0"),
			want: []string{"-repository: a", "+repository: " + echoServer, "-tag: b", "+tag: v2.0"},
		},
		"a tag that looks like a number stays a string": {
			values: "image: {repository: a, tag: b}\n", image: echo("10"),
			want: []string{"-repository: a", "+repository: " + echoServer, "-tag: b", `+tag: "10"`},
		},
		"digest where the policy asks for it": {
			values: "image: {repository: a, tag: b}\n", image: pinned(echo("v2.0")),
			want: []string{"-repository: a", "+repository: " + echoServer, "-tag: b", "+tag: v2.0@" + digest},
		},
		"no digest where it doesn't": {
			values: "image: {repository: a, tag: b}\n", image: func() render.Image { i := echo("v2.0"); i.Digest = digest; return i }(),
			want: []string{"-repository: a", "+repository: " + echoServer, "-tag: b", "+tag: v2.0"},
		},
		"only what is given": {
			values: "image: {repository: a, tag: b}\n", image: target(image.HelmTarget{Tag: "image.tag"}),
			want: []string{"-tag: b", "+tag: v2.0"},
		},
		"spec": {
			values: "web: a:b\n", image: target(image.HelmTarget{Spec: "web"}),
			want: []string{"-web: a:b", "+web: " + echoServer + ":v2.0"},
		},
		"an entry of the chart's list, and nothing else of it": {
			values: "containers: [{name: a, image: a:1}, {name: b, image: b:1}]\n",
			image:  target(image.HelmTarget{Spec: "containers[1].image"}),
			want:   []string{"-- image: b:1", "+- image: " + echoServer + ":v2.0"},
		},
		"an entry of a list of strings": {
			values: "images: [a:1, b:1]\n", image: target(image.HelmTarget{Spec: "images[0]"}),
			want: []string{"-- a:1", "+- " + echoServer + ":v2.0"},
		},
		"an entry of the user's list": {
			values: "containers: []\n", helm: image.Helm{Values: "containers: [{name: a, image: x:1}]\n"},
			image: target(image.HelmTarget{Spec: "containers[0].image"}),
			want:  []string{"-- image: x:1", "+- image: " + echoServer + ":v2.0"},
		},
		"over values and parameters": {
			values: "image: {repository: a, tag: b}\n",
			helm:   image.Helm{Values: "image: {tag: c}\n", Parameters: map[string]string{"image.tag": "d"}},
			image:  target(image.HelmTarget{Tag: "image.tag"}),
			want:   []string{"-tag: d", "+tag: v2.0"},
		},
		"a key with a dot": {
			values: "images: {\"a.b\": {tag: c}}\n", image: target(image.HelmTarget{Tag: `images.a\.b.tag`}),
			want: []string{"-tag: c", "+tag: v2.0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := render.Request{Root: chartWith(t, c.values), App: render.App{Name: "app"}, Helm: c.helm}
			before := mustRender(t, r)
			r.Images = []render.Image{c.image}
			after := mustRender(t, r)
			if diff := cmp.Diff(c.want, changed(before.Manifests, after.Manifests)); diff != "" {
				t.Errorf("changed lines (-want +got):\n%s\n%s", diff, after.Manifests)
			}
		})
	}
}

// A list of a subchart is the subchart's, also under an alias.
func TestInjectIntoSubchartList(t *testing.T) {
	root := chartWith(t, "{}\n")
	write(t, root, "Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\ndependencies: [{name: sub, version: 1.x.x, alias: other}]\n")
	write(t, root, "charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n")
	write(t, root, "charts/sub/values.yaml", "containers: [{name: a, image: a:1}, {name: b, image: b:1}]\n")
	write(t, root, "charts/sub/templates/all.yaml", "kind: Sub\napiVersion: v1\n{{ toYaml .Values }}\n")
	r := render.Request{Root: root, App: render.App{Name: "app"}}
	before := mustRender(t, r)
	i := echo("v2.0")
	i.Entry.Helm = image.HelmTarget{Spec: "other.containers[0].image"}
	r.Images = []render.Image{i}
	after := mustRender(t, r)
	want := []string{"-- image: a:1", "+- image: " + echoServer + ":v2.0", "-- image: a:1", "+- image: " + echoServer + ":v2.0"}
	if diff := cmp.Diff(want, changed(before.Manifests, after.Manifests)); diff != "" {
		t.Errorf("changed lines (-want +got):\n%s\n%s", diff, after.Manifests)
	}
}

func TestInjectIntoKustomization(t *testing.T) {
	const digest = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	renamed := func(name string) render.Image {
		i := echo("v2.0")
		i.Entry.Kustomize.Name = name
		return i
	}
	pinned := echo("v2.0")
	pinned.Digest, pinned.Entry.Policy.Strategy = digest, image.Digest
	for name, c := range map[string]struct {
		images, container string
		image             render.Image
		want              string
	}{
		"no entry":       {"[]", echoServer + ":v1", echo("v2.0"), echoServer + ":v2.0"},
		"an entry":       {"[{name: " + echoServer + ", newTag: v0}]", echoServer + ":v1", echo("v2.0"), echoServer + ":v2.0"},
		"a stale digest": {"[{name: " + echoServer + ", digest: 'sha256:aa'}]", echoServer, echo("v2.0"), echoServer + ":v2.0"},
		"a mirror is kept": {
			"[{name: " + echoServer + ", newName: mirror/echo, newTag: v0}]", echoServer, echo("v2.0"), "mirror/echo:v2.0",
		},
		"another name in the manifests": {"[]", "echo", renamed("echo"), echoServer + ":v2.0"},
		"another name with an entry": {
			"[{name: echo, newName: x/echo, newTag: v0}]", "echo:1", renamed("echo"), echoServer + ":v2.0",
		},
		"an entry that renames to the image": {
			"[{name: zzz, newName: " + echoServer + ", newTag: v0}]", "zzz:1", echo("v2.0"), echoServer + ":v2.0",
		},
		"others keep their order": {
			"[{name: b, newName: a}, {name: a, newTag: x}]", "b", echo("v2.0"), "a:x",
		},
		"tag and digest": {"[]", echoServer, pinned, echoServer + ":v2.0@" + digest},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "kustomization.yaml", "resources: [pod.yaml]\nimages: "+c.images+"\n")
			write(t, root, "pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: '"+c.container+"'}]}\n")
			got := mustRender(t, render.Request{Root: root, Images: []render.Image{c.image}})
			if want := "image: " + c.want + "\n"; !strings.Contains(string(got.Manifests), want) {
				t.Errorf("want %s in:\n%s", want, got.Manifests)
			}
		})
	}
}

// The demo's two forms differ from before in the image alone.
func TestInjectIntoDemo(t *testing.T) {
	for path, want := range map[string]int{"helm": 1, "kustomize/overlays/dev": 1, "kustomize/overlays/prod": 1} {
		r := render.Request{Root: demo, Path: path, App: render.App{Name: "demo", Namespace: "demo"}}
		before := mustRender(t, r)
		r.Images = []render.Image{echo("v2.0")}
		after := mustRender(t, r)
		lines := changed(before.Manifests, after.Manifests)
		if len(lines) != 2*want || !strings.Contains(lines[1], echoServer+":v2.0") {
			t.Errorf("%s: changed lines %q", path, lines)
		}
		if len(after.Unused) != 0 {
			t.Errorf("%s: unused %q", path, after.Unused)
		}
	}
}

func TestUnusedImageIsTold(t *testing.T) {
	typo := echo("v2.0")
	typo.Entry.Helm = image.HelmTarget{Tag: "imgae.tag"}
	for path, want := range map[string]string{
		"helm": `image "echoserver" (` + echoServer + `): no manifest names ` + echoServer + `:v2.0 after it was injected: ` +
			`look at echoserver.helm.image-name, helm.image-tag or helm.image-spec`,
		"kustomize/base": `image "echoserver" (` + echoServer + `): no manifest names ` + echoServer + `:v2.0 after it was injected: ` +
			`look at echoserver.kustomize.image-name`,
	} {
		if path == "kustomize/base" {
			typo.Entry.Kustomize.Name = "echo"
		}
		got := mustRender(t, render.Request{Root: demo, Path: path, App: render.App{Name: "demo"}, Images: []render.Image{typo}})
		if len(got.Unused) != 1 || got.Unused[0] != want {
			t.Errorf("%s: unused %q, want %q", path, got.Unused, want)
		}
	}
	// A tag is not found in a longer one.
	i := echo("v2")
	i.Entry.Helm = image.HelmTarget{Tag: "typo"}
	got := mustRender(t, render.Request{
		Root: demo, Path: "helm", App: render.App{Name: "demo"}, Images: []render.Image{i},
		Helm: image.Helm{Parameters: map[string]string{"image.tag": "v2.0"}},
	})
	if len(got.Unused) != 1 {
		t.Errorf("unused %q, want one", got.Unused)
	}
}
