package image_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/parameters.md")

// parameters reads plugin.parameters as they stand in an Application.
func parameters(t *testing.T, text string) []image.Parameter {
	t.Helper()
	var generic any
	if err := yaml.Unmarshal([]byte(text), &generic); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(generic)
	if err != nil {
		t.Fatal(err)
	}
	p, err := image.DecodeParameters(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parse(t *testing.T, text string, env map[string]string) (image.Options, error) {
	t.Helper()
	return image.ParseOptions(image.Input{Parameters: parameters(t, text), Env: env})
}

func mustParse(t *testing.T, text string, env map[string]string) image.Options {
	t.Helper()
	o, err := parse(t, text, env)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestParseOptions(t *testing.T) {
	got := mustParse(t, `
- {name: image-list, string: "echo=registry.example.com/team/echo:~1.2, side=docker.io/side:main, plain:^1"}
- {name: write-back-method, string: none}
- {name: argocd-image-updater.argoproj.io/update-strategy, string: latest}
- {name: echo.update-strategy, string: semver}
- {name: argocd-image-updater.argoproj.io/side.update-strategy, string: Digest}
- {name: ignore-tags, string: "latest, *-rc*,"}
- {name: echo.ignore-tags, array: [beta]}
- {name: side.platforms, array: [linux/arm/v7]}
- {name: min-age, string: 7d}
- {name: echo.min-age, string: "0"}
- {name: echo.pin-digest, string: "true"}
- {name: side.helm.image-spec, string: "sidecars[0].image"}
- {name: echo.helm.image-tag, string: echo.tag}
- {name: side.kustomize.image-name, string: SIDE_IMAGE}
- {name: echo.pull-secret, string: PullSecret:argocd/acr}
- {name: side.hold, string: "true"}
- {name: force-update, string: "true"}
- {name: without-pin, string: refuse}
- {name: helm.valueFiles, array: [values.yaml, values-prod.yaml]}
- {name: helm.parameters, map: {replicas: "2", flag: "true"}}
- {name: helm.forceString, array: [flag]}
- {name: helm.skipCrds, string: "true"}
- {name: helm.releaseName, string: ""}
- {name: kustomize.replicas, map: {echo: "3"}}
`, nil)
	const week = 7 * 24 * 3600 * 1e9
	want := image.Options{
		WriteBack: image.WriteBack{Method: "none"}, WithoutPin: image.WithoutPinRefuse,
		Helm: image.Helm{ValueFiles: []string{"values.yaml", "values-prod.yaml"}, Parameters: map[string]string{"replicas": "2", "flag": "true"},
			ForceString: []string{"flag"}, SkipCrds: true},
		Kustomize: image.Kustomize{Replicas: map[string]string{"echo": "3"}},
		Images: []image.Entry{
			{Alias: "echo", Image: image.Image{Registry: "registry.example.com", Repository: "team/echo"}, PullSecret: "pullsecret:argocd/acr",
				Policy: image.Policy{Strategy: image.SemVer, Constraint: "~1.2", IgnoreTags: []string{"beta"}, PinDigest: true},
				Helm:   image.HelmTarget{Tag: "echo.tag"}},
			{Alias: "side", Image: image.Image{Registry: "docker.io", Repository: "side"}, Hold: true,
				Policy: image.Policy{Strategy: image.Digest, Constraint: "main", IgnoreTags: []string{"latest", "*-rc*"}, MinAge: week,
					Platforms: []image.Platform{{OS: "linux", Architecture: "arm", Variant: "v7"}}},
				Helm: image.HelmTarget{Spec: "sidecars[0].image"}, Kustomize: image.KustomizeTarget{Name: "SIDE_IMAGE"}},
			{Image: image.Image{Repository: "plain"},
				Policy: image.Policy{Strategy: image.NewestBuild, Constraint: "^1", IgnoreTags: []string{"latest", "*-rc*"}, MinAge: week},
				Helm:   image.HelmTarget{Name: "image.repository", Tag: "image.tag"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentMeansTheSame(t *testing.T) {
	byParameter := mustParse(t, `
- {name: image-list, array: ["echoServer=r.example.com/echo:^1", "team/side.car=side:1"]}
- {name: write-back-method, string: git}
- {name: echoServer.allow-tags, string: "regexp:^v"}
- {name: echoServer.helm.image-tag, string: tag}
- {name: team_side.car.ignore-tags, array: [a, b]}
- {name: helm.releaseName, string: demo}
- {name: hold, string: "true"}
`, nil)
	byEnv := mustParse(t, `[{name: echoServer.helm.image-tag, string: tag}]`, map[string]string{
		"IMAGE_LIST": "echoServer=r.example.com/echo:^1,team/side.car=side:1", "WRITE_BACK_METHOD": "git", "HELM_RELEASE_NAME": "demo",
		"ECHO_SERVER_ALLOW_TAGS": "regexp:^v", "ECHO_SERVER_HELM_IMAGE_TAG": "overridden", "TEAM_SIDE_CAR_IGNORE_TAGS": "a, b", "HOLD": "true",
		"MIN_AGE": "", "IMAGE_LISTS": "", "DOMAIN": "example.com", "OLD": "x", "TEAM_PLATFORM_URL": "x",
	})
	regexps := cmp.Comparer(func(a, b *regexp.Regexp) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
	if diff := cmp.Diff(byParameter, byEnv, regexps); diff != "" {
		t.Error(diff)
	}
	if byEnv.WriteBack.Method != "git:repocreds" || !byEnv.Images[0].Hold || !byEnv.Images[1].Hold {
		t.Errorf("got %+v", byEnv)
	}
}

func TestApplicationWithoutImages(t *testing.T) {
	got := mustParse(t, "null", map[string]string{"MY_ALLOW_TAGS": "mine"})
	if diff := cmp.Diff(image.Options{WriteBack: image.WriteBack{Method: "none"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOperatorDefaults(t *testing.T) {
	in := image.Input{Parameters: parameters(t, "[{name: image-list, string: foo}]"),
		Defaults: image.Defaults{WriteBackMethod: "git:secret:argocd/push", WithoutPin: "refuse"}}
	got, err := image.ParseOptions(in)
	if err != nil || got.WriteBack.Method != "git:secret:argocd/push" || got.WithoutPin != image.WithoutPinRefuse {
		t.Errorf("got %+v, %v", got, err)
	}
	in.Parameters = parameters(t, "[{name: image-list, string: foo}, {name: write-back-method, string: none}, {name: without-pin, string: chart}]")
	if got, err = image.ParseOptions(in); err != nil || got.WriteBack.Method != "none" || got.WithoutPin != image.WithoutPinChart {
		t.Errorf("got %+v, %v", got, err)
	}
	in = image.Input{Parameters: parameters(t, "[{name: image-list, string: foo}]"), Defaults: image.Defaults{WriteBackMethod: "gut"}}
	if _, err = image.ParseOptions(in); err == nil || !strings.Contains(err.Error(), "the operator's default write-back-method") {
		t.Errorf("got %v", err)
	}
}

// TestErrors holds the exact words for the usual mistakes; testdata/errors.golden.yaml is also meant to be read.
func TestErrors(t *testing.T) {
	type mistake struct {
		Name       string            `yaml:"name"`
		Parameters string            `yaml:"parameters,omitempty"`
		Env        map[string]string `yaml:"env,omitempty"`
		Error      string            `yaml:"error"`
	}
	golden := filepath.Join("testdata", "errors.golden.yaml")
	content, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var mistakes []mistake
	if err := yaml.Unmarshal(content, &mistakes); err != nil {
		t.Fatal(err)
	}
	for i, m := range mistakes {
		_, err := parse(t, m.Parameters, m.Env)
		if err == nil {
			t.Errorf("%s: accepted", m.Name)
			continue
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the secret is repeated: %v", m.Name, err)
		}
		if *update {
			mistakes[i].Error = err.Error()
		} else if err.Error() != m.Error {
			t.Errorf("%s: got\n%s\nwant\n%s", m.Name, err, m.Error)
		}
	}
	if *update {
		var b strings.Builder
		encoder := yaml.NewEncoder(&b)
		encoder.SetIndent(2)
		if err := encoder.Encode(mistakes); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryFieldHasAParameter makes sure that each field of Helm and Kustomize can be set, under Argo CD's name for it.
func TestEveryFieldHasAParameter(t *testing.T) {
	known := map[string]bool{}
	for _, d := range image.Definitions() {
		known[d.Name] = true
	}
	for prefix, structure := range map[string]reflect.Type{
		"helm.": reflect.TypeFor[image.Helm](), "kustomize.": reflect.TypeFor[image.Kustomize](),
	} {
		for field := range structure.Fields() {
			name := prefix + strings.ToLower(field.Name[:1]) + field.Name[1:]
			if field.Name == "APIVersions" {
				name = prefix + "apiVersions"
			}
			if !known[name] {
				t.Errorf("%s has no definition", name)
			}
			if got := set(t, name, field.Type); got.IsZero() {
				t.Errorf("%s does not arrive in its field", name)
			}
		}
	}
}

// set gives the parameter some value and returns what its field holds then.
func set(t *testing.T, name string, kind reflect.Type) reflect.Value {
	t.Helper()
	value := map[reflect.Kind]string{
		reflect.String: `string: "v3"`, reflect.Bool: `string: "true"`, reflect.Slice: "array: [v]", reflect.Map: `map: {v: "3"}`,
	}[kind.Kind()]
	o := mustParse(t, fmt.Sprintf(`[{name: %s, %s}, {name: %s, map: {v: "1"}}]`, name, value, other(name)), nil)
	source, field, _ := strings.Cut(name, ".")
	if field == "apiVersions" {
		field = "APIVersions"
	}
	upper := func(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
	return reflect.ValueOf(o).FieldByName(upper(source)).FieldByName(upper(field))
}

// other is a parameter to set beside name: helm.forceString needs helm.parameters.
func other(name string) string {
	if name == "helm.parameters" {
		return "kustomize.commonLabels"
	}
	return "helm.parameters"
}

func TestDefinitionsMakeAForm(t *testing.T) {
	names := map[string]bool{}
	for _, d := range image.Definitions() {
		if names[d.Name] {
			t.Errorf("%s is defined twice", d.Name)
		}
		names[d.Name] = true
		if d.Title == "" || unicode.IsLower(rune(d.Title[0])) || !strings.HasSuffix(d.Tooltip, ".") {
			t.Errorf("%s: title %q, tooltip %q", d.Name, d.Title, d.Tooltip)
		}
	}
}

func TestEnvName(t *testing.T) {
	for in, want := range map[string]string{
		"image-list": "IMAGE_LIST", "echoserver.allow-tags": "ECHOSERVER_ALLOW_TAGS", "echoserver.helm.image-tag": "ECHOSERVER_HELM_IMAGE_TAG",
		"helm.releaseName": "HELM_RELEASE_NAME", "helm.apiVersions": "HELM_API_VERSIONS", "app2Web.hold": "APP2_WEB_HOLD",
		"a/b.c.hold": "A_B_C_HOLD", "helm.skipCrds": "HELM_SKIP_CRDS",
	} {
		if got := image.EnvName(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func FuzzParseOptions(f *testing.F) {
	for _, seed := range []string{
		`null`, `[]`, `[{"name":"image-list","string":"a=foo:~1.2"},{"name":"write-back-method","string":"none"}]`,
		`[{"name":"image-list","array":["a.b=foo","a=foo"]},{"name":"a.b.allow-tags","string":"regexp:("}]`,
		`[{"name":"x","string":"y","map":{"a":"b"}}]`, `[{"name":"helm.parameters","map":{"a":"b"}}]`, `[{"name":"extract-tags","string":"$"}]`,
	} {
		f.Add([]byte(seed), "ALLOW_TAGS", "any")
	}
	f.Fuzz(func(t *testing.T, data []byte, name, value string) {
		p, err := image.DecodeParameters(data)
		if err != nil {
			return
		}
		o, err := image.ParseOptions(image.Input{Parameters: p, Env: map[string]string{name: value}})
		if err != nil {
			return
		}
		if o.WriteBack.Method == "" {
			t.Error("no write-back method")
		}
		for _, e := range o.Images {
			if e.Policy.Strategy == "" || e.Image.Repository == "" || e.Image.Tag != "" || (e.Helm == image.HelmTarget{}) {
				t.Errorf("an entry that cannot be relied on: %+v", e)
			}
		}
	})
}
