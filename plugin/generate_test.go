package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

var chart = map[string]string{
	"echo/Chart.yaml":  "apiVersion: v2\nname: echo\nversion: 0.1.0\n",
	"echo/values.yaml": "image: {repository: example.com/echo, tag: v1.0}\n",
	"echo/templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  containers:\n  - name: echo\n" +
		"    image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"\n",
}

// resolver answers by image name; an absent one is an error.
type resolver struct {
	mu      sync.Mutex
	answers map[string]image.Choice
	asked   []string
}

func (r *resolver) Resolve(_ context.Context, _ image.Application, e image.Entry) (image.Choice, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, e.Image.Name())
	c, ok := r.answers[e.Image.Name()]
	if !ok {
		return image.Choice{}, errors.New("the registry is down")
	}
	c.Image, c.Strategy = e.Image, e.Policy.Strategy
	return c, nil
}

func request(t *testing.T, revision string, parameters ...string) Request {
	t.Helper()
	r := Request{App: image.Application{Name: "echo", RepoURL: "https://git.example.com/demo.git", Path: "echo", Revision: revision}}
	for i := 0; i < len(parameters); i += 2 {
		r.Parameters = append(r.Parameters, image.Parameter{Name: parameters[i], String: &parameters[i+1]})
	}
	return r
}

func quiet() (*logrus.Logger, *logBuffer) {
	buffer := &logBuffer{}
	log := logrus.New()
	log.SetOutput(buffer)
	return log, buffer
}

func TestGenerate(t *testing.T) {
	log, text := quiet()
	answers := &resolver{answers: map[string]image.Choice{"example.com/echo": {Tag: "v2.0", Stale: time.Minute}}}
	g := NewGenerator(Settings{Resolver: answers, Log: log})
	dir := Dir{writeTree(t, chart), "echo"}
	got, err := g.Generate(t.Context(), dir, request(t, "0123", "image-list", "web=example.com/echo", "write-back-method", "none"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got.Stream), `image: "example.com/echo:v2.0"`) || len(got.Manifests) != 1 || got.Type != render.Helm {
		t.Errorf("result %+v", got)
	}
	want := []image.Choice{{Image: image.Image{Registry: "example.com", Repository: "echo"}, Strategy: image.SemVer, Tag: "v2.0", Stale: time.Minute}}
	if diff := cmp.Diff(want, got.Choices); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(text.String(), "stale answer, 1m0s old") {
		t.Errorf("log %s", text)
	}

	// Uploaded files get what was chosen last, and nobody is asked.
	answers.answers = nil
	got, err = g.Generate(t.Context(), dir, request(t, "streamed", "image-list", "web=example.com/echo", "write-back-method", "none"))
	if err != nil || !strings.Contains(string(got.Stream), "echo:v2.0") || len(answers.asked) != 1 {
		t.Errorf("streamed: %s, asked %v, error %v", got.Stream, answers.asked, err)
	}
}

func TestGenerateErrors(t *testing.T) {
	answers := map[string]image.Choice{"example.com/echo": {Tag: "v2.0"}, "example.com/none": {}}
	for name, c := range map[string]struct {
		revision   string
		parameters []string
		path       string
		want       string
	}{
		"no write-back-method": {parameters: []string{"image-list", "example.com/echo"},
			want: "application echo: write-back-method is not set: write none, to look for the newest tag at each render, or git (git:secret:<namespace>/<name>), to have each choice committed first"},
		"write-back": {parameters: []string{"image-list", "example.com/echo", "write-back-method", "git"},
			want: `application echo: write-back-method "git:repocreds" is not available in this version: set write-back-method: none`},
		"no tag qualifies": {parameters: []string{"image-list", "web=example.com/none", "write-back-method", "none"},
			want: "application echo: image web (example.com/none): no tag of many qualifies"},
		"no tag qualifies, chart": {parameters: []string{"image-list", "web=example.com/none", "write-back-method", "none", "without-pin", "chart"}},
		"all failures in order": {parameters: []string{"image-list", "example.com/b,example.com/echo,a=example.com/a", "write-back-method", "none"},
			want: "application echo: image example.com/b: the registry is down\nimage a (example.com/a): the registry is down"},
		"hold": {parameters: []string{"image-list", "example.com/echo", "write-back-method", "none", "hold", "true"},
			want: "application echo: image example.com/echo: hold needs pins, and write-back-method none has none: remove hold, and write the tag into the chart or a constraint that only that tag fulfils"},
		"streamed, unknown": {revision: "streamed", parameters: []string{"image-list", "example.com/echo", "write-back-method", "none"},
			want: "application echo: image example.com/echo: uploaded files are rendered without asking a registry, and nothing is remembered of this image: refresh the application (hard refresh), so that it is rendered from Git once, and try again"},
		"no source": {path: "absent",
			want: `application echo: the source path "absent" is no directory of the repository at this revision: correct spec.source.path`},
		"override": {path: "bad", want: "application echo: bad/.argocd-source-echo.yaml: plugin.parameters sets git-branch, which a file in the repository may not: set it in the Application"},
		"empty":    {path: "empty", want: "application echo: rendered no objects, which would delete all that the application runs: check the chart's conditions and the kustomization's resources; the operator can allow it (applications.allow-empty in tagpin.yaml)"},
	} {
		t.Run(name, func(t *testing.T) {
			log, _ := quiet()
			tree := map[string]string{"bad/.argocd-source-echo.yaml": "plugin: {parameters: [{name: git-branch, string: main}]}",
				"empty/Chart.yaml": chart["echo/Chart.yaml"]}
			for n, text := range chart {
				tree[n] = text
			}
			g := NewGenerator(Settings{Resolver: &resolver{answers: answers}, Log: log,
				NoMatch: func(image.Choice) error { return errors.New("no tag of many qualifies") }})
			if c.path == "" {
				c.path = "echo"
			}
			_, err := g.Generate(t.Context(), Dir{writeTree(t, tree), c.path}, request(t, c.revision, c.parameters...))
			wantError(t, err, c.want)
		})
	}
}

func TestGenerateAllowsEmptyWhereTheOperatorDoes(t *testing.T) {
	g := NewGenerator(Settings{Render: rendering(""), AllowEmpty: func(app string) bool { return app == "echo" }})
	got, err := g.Generate(t.Context(), Dir{t.TempDir(), "."}, request(t, "0123"))
	if err != nil || len(got.Manifests) != 0 {
		t.Errorf("result %v, error %v", got, err)
	}
}

func TestHasObject(t *testing.T) {
	for manifest, want := range map[string]bool{
		`{"kind":"ConfigMap"}`:                   true,
		`{"kind":"List","items":[]}`:             false,
		`{"kind":"List","items":null}`:           false,
		`{"kind":"List","items":[{"kind":"A"}]}`: true,
		`{"kind":"X","items":null,"spec":{}}`:    true,
		`"text"`:                                 true,
	} {
		if got := hasObject([]string{manifest}); got != want {
			t.Errorf("%s: %v", manifest, got)
		}
	}
	if hasObject(nil) {
		t.Error("nothing is an object")
	}
}

// slow takes a second for each image.
type slow struct{}

func (slow) Resolve(_ context.Context, _ image.Application, e image.Entry) (image.Choice, error) {
	time.Sleep(time.Second)
	if e.Alias == "i3" {
		panic("canary")
	}
	return image.Choice{Image: e.Image, Tag: "v1"}, nil
}

// Images are asked for side by side, sixteen at a time, and one that crashes the resolver is an error like another.
func TestLiveInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list []string
		for i := range 32 {
			list = append(list, fmt.Sprintf("i%d=example.com/i%d", i, i))
		}
		g := NewGenerator(Settings{Resolver: slow{}, Render: rendering(configMap)})
		begin := time.Now()
		_, err := g.Generate(t.Context(), Dir{t.TempDir(), "."}, request(t, "0123", "image-list", strings.Join(list, ","), "write-back-method", "none"))
		wantError(t, err, "application echo: tagpin crashed while working on this; its log says where: please report it")
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// pins are those of a commit.
type pins []image.Pin

func (p pins) Read(Dir, image.Application, image.Options) ([]image.Pin, error) { return p, nil }

func (p pins) Files(Dir, image.Application, image.Options) string { return "state" }

type observer struct{ seen []Observation }

func (o *observer) Observe(seen Observation) { o.seen = append(o.seen, seen) }

// With write-back a render asks nobody: it takes the pins, and says what it saw.
func TestPinned(t *testing.T) {
	o := &observer{}
	var injected []render.Image
	var asked []render.Request
	g := NewGenerator(Settings{
		Pins:         pins{{Image: "example.com/a", Tag: "v1"}, {}},
		Observer:     o,
		BuildOptions: "--enable-helm",
		Render: func(_ context.Context, r render.Request) (render.Result, error) {
			injected, asked = r.Images, append(asked, r)
			return render.Result{Manifests: []byte(configMap)}, nil
		},
	})
	dir := Dir{t.TempDir(), "."}
	parameters := []string{"image-list", "example.com/a,example.com/b", "write-back-method", "git"}
	if _, err := g.Generate(t.Context(), dir, request(t, "0123", parameters...)); err != nil {
		t.Fatal(err)
	}
	if len(injected) != 1 || injected[0].Tag != "v1" || injected[0].Entry.Image.Name() != "example.com/a" {
		t.Errorf("injected %+v", injected)
	}
	if _, err := g.Generate(t.Context(), dir, request(t, "streamed", parameters...)); err != nil {
		t.Fatal(err)
	}
	// What may be fetched depends on whose render it is, and on whether the files are anybody's.
	for i, streamed := range []bool{false, true} {
		if r := asked[i]; r.For.Name != "echo" || r.Streamed != streamed || r.BuildOptions != "--enable-helm" {
			t.Errorf("rendered for %+v, uploaded %v, with %q", r.For, r.Streamed, r.BuildOptions)
		}
	}
	_, err := g.Generate(t.Context(), dir, request(t, "streamed", append(parameters, "without-pin", "refuse")...))
	wantError(t, err, "application echo: image example.com/b: nothing is pinned, and without-pin is refuse: set without-pin: chart to "+
		"render the chart's own tag until the first pin is committed")
	if len(o.seen) != 1 || o.seen[0].App.Revision != "0123" || o.seen[0].Files != "state" {
		t.Errorf("observed %+v", o.seen)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(2)
	for _, name := range []string{"a", "b", "a", "c"} {
		m.remember(image.Application{Name: "x"}, image.Choice{Image: image.Image{Repository: name}, Tag: name}, time.Time{})
	}
	for name, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, got := m.recall(image.Application{Name: "x"}, image.Image{Repository: name}); got != want {
			t.Errorf("%s: remembered %v", name, got)
		}
	}
	if _, ok := m.recall(image.Application{Name: "y"}, image.Image{Repository: "a"}); ok {
		t.Error("another application's choice")
	}
}
