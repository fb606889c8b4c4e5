package render_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  render.Type
	}{
		{[]string{"Chart.yaml"}, render.Helm},
		{[]string{"kustomization.yaml"}, render.Kustomize},
		{[]string{"kustomization.yml"}, render.Kustomize},
		{[]string{"Kustomization"}, render.Kustomize},
		{[]string{"Chart.yaml", "kustomization.yaml"}, render.Kustomize}, // Argo CD's walk meets it later
		{[]string{"sub/Chart.yaml", "deployment.yaml", "chart.yaml"}, ""},
	} {
		dir := t.TempDir()
		for _, f := range c.files {
			write(t, dir, f, "")
		}
		got, err := render.Detect(dir)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: %q, %v; want %q", c.files, got, err, c.want)
		}
	}
}

// Options of a type decide where a directory is both.
func TestOptionsDecideTheType(t *testing.T) {
	root := chartWith(t, "a: 1\n")
	write(t, root, "kustomization.yaml", "resources: [r.yaml]\n")
	write(t, root, "r.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\n")
	for _, c := range []struct {
		r    render.Request
		want render.Type
	}{
		{render.Request{}, render.Kustomize},
		{render.Request{Helm: image.Helm{SkipTests: true}}, render.Helm},
		{render.Request{Helm: image.Helm{ValueFiles: []string{}}}, render.Kustomize},
		{render.Request{Kustomize: image.Kustomize{NamePrefix: "x-"}}, render.Kustomize},
	} {
		c.r.Root, c.r.App.Name = root, "app"
		if got := mustRender(t, c.r); got.Type != c.want {
			t.Errorf("%+v: %q, want %q", c.r.Helm, got.Type, c.want)
		}
	}
}

// What a chart sees when Argo CD says little.
func TestDefaults(t *testing.T) {
	root := t.TempDir()
	write(t, root, "Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\n")
	write(t, root, "templates/a.yaml", "kind: A\nis: {{ .Release.Name }} {{ .Release.Namespace }} {{ .Capabilities.KubeVersion }} {{ .Capabilities.APIVersions.Has \"apps/v1\" }}\n")
	for name, want := range map[string]string{
		"shop":      "is: shop default v1.33.4 true",
		"team_shop": "is: shop default v1.33.4 true",
	} {
		got := mustRender(t, render.Request{Root: root, App: render.App{Name: name}})
		if !strings.Contains(string(got.Manifests), want) {
			t.Errorf("%s: want %q in\n%s", name, want, got.Manifests)
		}
	}
}

func TestDeadline(t *testing.T) {
	root := t.TempDir()
	write(t, root, "Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\n")
	write(t, root, "templates/a.yaml", "{{ range until 2000 }}{{ range until 2000 }}{{ end }}{{ end }}")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	job := render.Start(ctx, render.Request{Root: root, App: render.App{Name: "app"}})
	_, err := job.Wait(ctx)
	const want = "rendering did not finish in time: look for a template that loops or an endless list: context deadline exceeded"
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	<-job.Done() // the slot is free only now
	if _, err := render.Render(ctx, render.Request{Root: demo, Path: "helm", App: render.App{Name: "app"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a render after the deadline: %v", err)
	}
	called, stop := context.WithCancel(t.Context())
	stop()
	if _, err := render.Render(called, render.Request{}); err == nil || err.Error() != "rendering was called off: context canceled" {
		t.Errorf("a cancelled render: %v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	r := render.Request{Root: demo, Path: "helm", App: render.App{Name: "app"}, MaxOutput: 100}
	if _, err := render.Render(t.Context(), r); err == nil || !strings.Contains(err.Error(), "split the application") {
		t.Errorf("error %v", err)
	}
}

// A request and a result can cross a process boundary.
func TestValuesSurviveJSON(t *testing.T) {
	r := render.Request{
		Root: demo, Path: "kustomize/overlays/dev", App: render.App{Name: "app", KubeVersion: "1.33", APIVersions: []string{"v1"}},
		Kustomize: image.Kustomize{NamePrefix: "x-", Replicas: map[string]string{"gitops-demo": "1"}},
		Images:    []render.Image{echo("v2.0")}, Env: map[string]string{"ARGOCD_APP_NAME": "app"}, MaxOutput: 1 << 20,
	}
	r.Images[0].Entry.Policy = image.Policy{Strategy: image.SemVer, AllowTags: regexp.MustCompile("^v"), MinAge: time.Hour}
	var r2 render.Request
	roundTrip(t, r, &r2)
	same := cmp.Comparer(func(a, b *regexp.Regexp) bool { return a.String() == b.String() })
	if diff := cmp.Diff(r, r2, same, cmpopts.IgnoreUnexported(render.Request{})); diff != "" {
		t.Errorf("request:\n%s", diff)
	}
	got := mustRender(t, r2)
	var got2 render.Result
	roundTrip(t, got, &got2)
	if diff := cmp.Diff(got, got2); diff != "" {
		t.Errorf("result:\n%s", diff)
	}
}

func roundTrip(t *testing.T, from, to any) {
	t.Helper()
	data, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatal(err)
	}
}

// One application's schema has no effect on the next one's merges.
func TestSchemaOfOneApplicationStaysThere(t *testing.T) {
	blue := render.Request{Root: testdata, Path: "bookshop/overlays/blue", App: render.App{Name: "app"}}
	before := mustRender(t, blue)

	root := t.TempDir()
	write(t, root, "kustomization.yaml", "resources: [d.yaml]\nopenapi: {path: schema.json}\npatches: [{path: p.yaml}]\n")
	write(t, root, "schema.json", `{"definitions": {"d": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}]}}}`)
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: "
	write(t, root, "d.yaml", deployment+"[{name: a, image: a}, {name: b, image: b}]}}}\n")
	write(t, root, "p.yaml", deployment+"[{name: a, image: c}]}}}\n")
	own := mustRender(t, render.Request{Root: root})
	if strings.Contains(string(own.Manifests), "name: b") {
		t.Fatalf("the schema of its own has no effect, so this test shows nothing:\n%s", own.Manifests)
	}

	if diff := cmp.Diff(string(before.Manifests), string(mustRender(t, blue).Manifests)); diff != "" {
		t.Errorf("another application's schema changed this one:\n%s", diff)
	}
}

// Renders at the same time don't meet, and the same request gives the same bytes.
func TestRendersInParallel(t *testing.T) {
	requests := []render.Request{
		{Root: demo, Path: "helm", Images: []render.Image{echo("v2.0")}},
		{Root: demo, Path: "kustomize/overlays/prod", Images: []render.Image{echo("v2.0")}},
		{Root: testdata, Path: "webshop", App: render.App{APIVersions: []string{"monitoring.coreos.com/v1"}}},
		{Root: testdata, Path: "webshop", App: render.App{APIVersions: []string{"x/v1", "y/v1"}}},
		{Root: testdata, Path: "bookshop/overlays/blue"},
	}
	want := make([]render.Result, len(requests))
	for i := range requests {
		requests[i].App.Name = "app"
		want[i] = mustRender(t, requests[i])
	}
	var wg sync.WaitGroup
	for i := range 8 * len(requests) {
		wg.Go(func() {
			n := i % len(requests)
			got, err := render.Render(t.Context(), requests[n])
			if diff := cmp.Diff(want[n], got); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", requests[n].Path, err, diff)
			}
		})
	}
	wg.Wait()
}

func BenchmarkHelmSmall(b *testing.B) {
	benchmark(b, render.Request{Root: demo, Path: "helm", Images: []render.Image{echo("v2.0")}})
}

func BenchmarkHelmLarge(b *testing.B) { benchmark(b, render.Request{Root: testdata, Path: "webshop"}) }

func BenchmarkKustomizeSmall(b *testing.B) {
	benchmark(b, render.Request{Root: demo, Path: "kustomize/overlays/prod", Images: []render.Image{echo("v2.0")}})
}

func benchmark(b *testing.B, r render.Request) {
	b.ReportAllocs()
	r.App = render.App{Name: "app", Namespace: "demo", KubeVersion: "1.33"}
	before := cpuTime(b)
	for b.Loop() {
		if _, err := render.Render(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// The version that charts see by default is that of the libraries, and docs/rendering.md names the versions that are built in.
func TestVersionsAreThoseOfGoMod(t *testing.T) {
	mod := read(t, "../go.mod")
	minor := strings.TrimPrefix(render.DefaultKubeVersion, "v1.")
	if !strings.Contains(mod, "k8s.io/client-go => k8s.io/client-go v0."+minor+"\n") {
		t.Errorf("DefaultKubeVersion is %s, which is not client-go's version in go.mod", render.DefaultKubeVersion)
	}
	docs := read(t, "../docs/rendering.md")
	for _, module := range []string{"helm.sh/helm/v3", "sigs.k8s.io/kustomize/api", "sigs.k8s.io/kustomize/kustomize/v5"} {
		_, rest, _ := strings.Cut(mod, "\t"+module+" ")
		version := strings.Fields(rest)[0]
		if !strings.Contains(docs, version) {
			t.Errorf("docs/rendering.md does not name %s %s", module, version)
		}
	}
	if !strings.Contains(docs, render.DefaultKubeVersion) {
		t.Error("docs/rendering.md does not name DefaultKubeVersion")
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
