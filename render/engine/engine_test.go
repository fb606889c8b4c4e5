package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	helm "helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

// input makes a chart of one template, with a helper and a subchart, and the values for it.
func input(t testing.TB, text string) (*chart.Chart, chartutil.Values) {
	t.Helper()
	c, err := loader.LoadFiles([]*loader.BufferedFile{
		{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: \"5\"\nmaintainers: [{name: ada}]\n")},
		{Name: "values.yaml", Data: []byte(values)},
		{Name: "templates/_helpers.tpl", Data: []byte(helpers)},
		{Name: "templates/a.yaml", Data: []byte(text)},
		{Name: "templates/NOTES.txt", Data: []byte("see {{ .Release.Name }}")},
		{Name: "config/a.ini", Data: []byte("a=1\nb=2\n")},
		{Name: "config/b.ini", Data: []byte("c=3")},
		{Name: "empty.txt"},
		{Name: "charts/db/Chart.yaml", Data: []byte("apiVersion: v2\nname: db\nversion: 0.1.0\n")},
		{Name: "charts/db/templates/db.yaml", Data: []byte("size: {{ .Values.size }}\nglobal: {{ .Values.global.domain }}\nroot: {{ .Chart.IsRoot }}\n{{ include \"web.name\" . }}\n")},
		{Name: "charts/lib/Chart.yaml", Data: []byte("apiVersion: v2\nname: lib\nversion: 0.1.0\ntype: library\n")},
		{Name: "charts/lib/templates/_l.tpl", Data: []byte("{{ define \"lib\" }}lib of {{ .Chart.Name }}{{ end }}{{ define \"web.name\" }}never{{ end }}")},
		{Name: "charts/lib/templates/no.yaml", Data: []byte("not: rendered\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	top, err := chartutil.ToRenderValues(c, map[string]any{}, chartutil.ReleaseOptions{Name: "shop", Namespace: "demo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, top
}

const values = `
text: "{{ .Release.Name }}-{{ include \"web.name\" . }}"
defines: "{{ define \"inner\" }}inner {{ . }}{{ end }}{{ include \"inner\" 1 }}{{ tpl \"{{ include \\\"inner\\\" 2 }}\" . }}"
plain: "no template, <no value>"
blank: "  "
number: 3
big: 1234567890123
float: 0.25
exponent: 1e3
yes: true
nothing: null
list: [b, a, 3, {c: d}]
words: [one, two]
map: {z: 1, y: {x: [1.5, "1.5", "true", "", " lead", "multi\nline\n", "ü€😀"]}, a: "<&>"}
empty: {}
db: {size: 5}
global: {domain: example.org}
`

const helpers = `{{ define "web.name" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
{{ define "loop" }}{{ include "loop" . }}{{ end }}
{{ define "missing" }}{{ .Values.none }}{{ end }}
{{ define "web.labels" -}}
name: {{ include "web.name" . | quote }}
{{- with .Values.map }}
{{ toYaml . }}
{{- end }}
{{- end }}`

// Each of these gives with Helm's engine what it gives here, errors included.
func TestSameAsHelm(t *testing.T) {
	for _, text := range []string{
		"", "plain", "a: {{ .Values.number }}\n", "{{ .Values.none }}|{{ .Values.none.deeper }}", "{{ .Values.nothing }}<no value>",
		"{{ include \"missing\" . }}{{ .Values.map.none }}", "{{ .Chart.Name }} {{ .Chart.Version }} {{ .Chart.IsRoot }} {{ .Chart.AppVersion }}",
		"{{ .Template.Name }} {{ .Template.BasePath }}", "{{ .Subcharts.db.Values.size }}", "{{ .Release.Service }}{{ .Release.IsInstall }}{{ .Release.Revision }}",
		"{{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.KubeVersion }} {{ .Capabilities.APIVersions.Has \"apps/v1\" }}",
		"{{ include \"web.labels\" . | nindent 2 }}", "{{ include \"lib\" . }}", "{{ template \"web.name\" . }}", "{{ include \"none\" . }}", "{{ template \"none\" . }}",
		"{{ tpl .Values.text . }}", "{{ tpl .Values.defines . }}", "{{ tpl .Values.plain . }}|{{ tpl .Values.blank . }}|{{ tpl \"\" . }}",
		"{{ tpl \"{{ define \\\"web.name\\\" }}other{{ end }}{{ include \\\"web.name\\\" . }}\" . }} {{ include \"web.name\" . }}",
		"{{ tpl \"{{/* nothing */}}\" . }}", "{{ tpl \"{{ .Values.none }}\" . }}", "{{ tpl \"{{ \" . }}", "{{ tpl \"{{ nope }}\" . }}", "{{ tpl \"{{ fail `x` }}\" . }}",
		"{{ tpl \"{{ include \\\"gotpl\\\" . }}\" . }}", "{{ tpl \"{{ tpl `{{ .Values.number }}` . }}\" . }}", "{{ range .Values.words }}{{ tpl \"{{ . }};\" . }}{{ end }}",
		"{{ tpl (toYaml .Values.map) . }}", "{{ include \"loop\" . }}",
		"{{ required \"say it\" .Values.none }}", "{{ required \"say it\" \"\" }}", "{{ required \"say it\" .Values.number }}", "{{ fail \"because\\nof this\" }}", "{{ include \"gotpl\" . }}",
		"{{ nope }}", "{{ if }}", "{{ .Values.number", "{{ .Values.number.x }}", "{{ index .Values.list 9 }}", "{{ .Files.Lines \"empty.txt\" }}",
		"{{ toYaml .Values }}", "{{ toYaml .Values.map | nindent 4 }}", "{{ toYaml .Values.list }}", "{{ toYaml .Values.nothing }}", "{{ toYaml .Values.empty }}", "{{ toYaml .Chart.Maintainers }}",
		"{{ toYaml .Values.exponent }} {{ toYaml .Values.big }} {{ toYaml .Values.float }} {{ toYaml (list 1 \"2\" 3.0) }} {{ toYaml (dict \"<<\" (dict \"a\" 1)) }}",
		"{{ toYamlPretty .Values.map }}", "{{ mustToYaml .Values.map }}", "{{ toJson .Values.map }}", "{{ mustToJson .Values.list }}", "{{ toPrettyJson .Values.map }}", "{{ toRawJson .Values.map }}",
		"{{ toToml .Values.map }}", "{{ fromToml \"a = 1\" }} {{ fromToml \"a =\" }}", "{{ fromYaml \"a: [1, 2]\" }} {{ fromYaml \"a: [\" }} {{ fromYamlArray \"[1]\" }} {{ fromYamlArray \"a: 1\" }}",
		"{{ fromJson `{\"a\":1}` }} {{ fromJson \"[\" }} {{ fromJsonArray \"[1]\" }} {{ fromJsonArray \"{\" }}", "{{ (fromYaml .Values.text) }}",
		"{{ .Files.Get \"config/a.ini\" }}|{{ .Files.Get \"none\" }}|{{ .Files.GetBytes \"config/b.ini\" }}", "{{ (.Files.Glob \"config/*\").AsConfig }}", "{{ (.Files.Glob \"config/*\").AsSecrets }}",
		"{{ range $name, $data := .Files.Glob \"**.ini\" }}{{ $name }}:{{ $data | toString | b64enc }};{{ end }}", "{{ .Files.Lines \"config/a.ini\" }} {{ .Files.Lines \"none\" }}", "{{ (.Files.Glob \"[\").AsConfig }}",
		"{{ lookup \"v1\" \"Secret\" \"a\" \"b\" }} {{ getHostByName \"localhost\" }}", "{{ env \"HOME\" }}", "{{ expandenv \"$HOME\" }}",
		"{{ printf \"%s-%d-%v\" \"a\" 3 .Values.list }} {{ print 1 2 \"a\" }} {{ println .Values.map }} {{ html \"<a>\" }} {{ js \"'\" }} {{ urlquery \"a b\" }}",
		"{{ quote 1 \"a\" nil }} {{ squote .Values.list }} {{ cat \"a\" nil 2 }} {{ join \",\" .Values.list }} {{ toString .Values.map }} {{ toStrings .Values.list }} {{ sortAlpha .Values.list }}",
		"{{ dict \"a\" 1 2 3 }} {{ keys (dict \"a\" 1) }} {{ values (dict \"a\" 1) }} {{ keys .Values.map | sortAlpha }} {{ get .Values.map \"a\" }}",
		"{{ $_ := set .Values \"changed\" 1 }}{{ .Values.changed }}", "{{ merge (dict \"a\" 1) .Values.map | toJson }}", "{{ mergeOverwrite (dict \"a\" 1) .Values.map | toJson }}",
		"{{ typeOf .Files }} {{ kindOf .Files }} {{ typeOf .Values }} {{ typeOf .Values.map }} {{ typeOf .Chart }} {{ typeOf .Capabilities }}",
		"{{ semverCompare \">=1.2\" .Chart.Version }} {{ semver \"1.2.3\" }} {{ regexReplaceAll \"a(.)\" \"abac\" \"${1}\" }} {{ derivePassword 1 \"long\" \"p\" \"u\" \"s\" }}",
		"{{ and 1 0 }} {{ or 0 1 }} {{ eq 1 1 }} {{ lt 1 2 }} {{ not true }} {{ len .Values.list }} {{ index .Values.map \"y\" \"x\" 0 }} {{ slice \"abc\" 1 2 }} {{ call .Values.number }}",
		"{{ range $i, $e := until 3 }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $i }}{{ end }} {{ block \"own\" . }}own{{ end }}", "{{ define \"web.name\" }}mine{{ end }}{{ include \"web.name\" . }}",
		"{{ date \"2006\" 0 }} {{ htmlDate 0 }} {{ toDate \"2006-01-02\" \"2020-02-03\" | date \"06\" }} {{ duration 90 }} {{ durationRound \"90s\" }} {{ unixEpoch (toDate \"2006\" \"2020\") }}",
	} {
		t.Run(text, func(t *testing.T) {
			c, top := input(t, text)
			want, wantErr := helm.Engine{}.Render(c, top)
			var templates Templates
			for range 2 { // parsed anew, and as it is kept
				_, top = input(t, text)
				got, err := templates.Render(c, top)
				if diff := cmp.Diff(message(wantErr), message(err)); diff != "" {
					t.Errorf("error (-helm +own):\n%s", diff)
				}
				if wantErr != nil {
					want = nil
				}
				if diff := cmp.Diff(want, got.Files); diff != "" {
					t.Errorf("output (-helm +own):\n%s", diff)
				}
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What is kept of one render does not show in the next one.
func TestRenderAgainWithOtherValues(t *testing.T) {
	const text = "{{ $_ := set .Values.map \"seen\" true }}{{ tpl .Values.text . }} {{ .Values.number }} {{ hasKey .Values.map \"seen\" }}"
	var templates Templates
	for _, n := range []string{"1", "2", "3"} {
		c, top := input(t, "{{ hasKey .Values.map \"seen\" }} "+text)
		all, _ := top["Values"].(chartutil.Values)
		all["number"], all["text"] = n, "{{ .Values.number }}"
		got, err := templates.Render(c, top)
		if want := "false " + n + " " + n + " true"; err != nil || got.Files["web/templates/a.yaml"] != want {
			t.Errorf("%v, %v", got, err)
		}
	}
}

// A chart is fresh when it asks for what differs from run to run, wherever it does.
func TestFresh(t *testing.T) {
	for text, want := range map[string]bool{
		"{{ now }}": true, "{{ randAlphaNum 5 }}": true, "{{ uuidv4 }}": true, "{{ (genCA \"a\" 1).Cert }}": true, "{{ htpasswd \"a\" \"b\" }}": true,
		"{{ date \"2006\" 0 }}": true, "{{ \"abc\" | shuffle }}": true, "{{ randInt 1 2 }}": true, "{{ randBytes 4 }}": true, "{{ bcrypt \"a\" }}": true,
		"{{ if false }}{{ now }}{{ end }}": false, "{{ if true }}{{ now | unixEpoch | len }}{{ end }}": true,
		"{{ tpl \"{{ now }}\" . }}": true, "{{ tpl \"{{ define `x` }}{{ now }}{{ end }}{{ include `x` . }}\" . }}": true,
		"{{ tpl (printf \"{{ n%s }}\" \"ow\") . }}": true, "{{ tpl \"{{ .Values.number }}\" . }}": false,
		"{{ include \"web.labels\" . }}": false, "{{ toYaml .Values }}": false, "{{ lookup \"v1\" \"Secret\" \"\" \"\" }}": false,
		"{{ keys .Values.map }}{{ values .Values.map }}": false, "{{ quote .Values.list .Values.number }}": false, "{{ printf \"%v\" .Values.map }}": false,
		"{{ .Chart.Maintainers }}": true, "{{ toString .Chart.Maintainers }}": true, "{{ toYaml .Chart.Maintainers }}": false, "{{ quote .Chart | sha256sum }}": true,
		"{{ printf \"%p\" .Values.map }}": true, "{{ print . | sha256sum }}": true, "{{ join \"\" .Chart.Maintainers | len }}": true,
		"{{ dict .Chart.Maintainers 1 | len }}": true, "{{ (dict \"a\" .Chart.Maintainers).a | len }}": false, "{{ list 1 . | sortAlpha | len }}": true,
		"{{ .Files.Get \"config/a.ini\" | sha256sum }} {{ .Files.GetBytes \"config/a.ini\" | toString }}": false,
	} {
		c, top := input(t, text)
		got, err := new(Templates).Render(c, top)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got.Fresh != want {
			t.Errorf("%s: fresh is %v", text, got.Fresh)
		}
	}
}

// Every function of Helm's engine is here, and no other. One that sprig adds has to be looked at: does it depend on nothing but
// its arguments?
func TestFunctions(t *testing.T) {
	const lookedAt = 211
	all := sprig.TxtFuncMap()
	if len(all) != lookedAt {
		t.Errorf("sprig has %d functions", len(all))
	}
	hermetic := sprig.HermeticTxtFuncMap()
	for name := range all {
		_, sure := hermetic[name]
		known := slices.Contains(freshNames, name) || slices.Contains([]string{"env", "expandenv", "getHostByName", "date_modify", "dateModify"}, name)
		if !sure && !known {
			t.Errorf("sprig says that %s is not hermetic", name)
		}
	}
	maps.Copy(all, pureFunctions())
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(all)), builtins) {
		c, top := input(t, "{{ if false }}{{ "+name+" }}{{ end }}")
		_, err := helm.Engine{}.Render(c, top)
		_, own := new(Templates).Render(c, top)
		if (err == nil) != (own == nil) {
			t.Errorf("%s: helm: %v, here: %v", name, err, own)
		}
	}
	if _, err := template.New("").Parse("{{ if false }}{{ " + strings.Join(builtins, " }}{{ ") + " }}{{ end }}"); err != nil {
		t.Error(err)
	}
}

func FuzzToYAML(f *testing.F) {
	for _, seed := range []string{
		values, "a: [1, 1.0, -0.0, 1e3, 1e21, 1e-7, 9223372036854775807, 0x10, .5, ~, \"\", \" \", \"x: y\", '#', '- a', 'true', '1', 'null', \"a\\tb\"]",
		`{"<<": {"a": 1}, "": 2, "k\u0085": "\u2028", "\ufeff": "\u007f", "é": "\u00a0", "long": "` + strings.Repeat("word ", 300) + `"}`,
		"a: |\n  text\n\n   more\n", "{}", "[]", "3", "\"\\u0000\"", "- - - a", "? a\n: b", "a: 2020-01-01", "\"\\ud83d\\ude00\": \"\\ud800\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func([]byte, any) error{unmarshalYAML, json.Unmarshal} {
			var v any
			if parse([]byte(text), &v) != nil {
				continue
			}
			want, err := yaml.Marshal(v)
			if got := toYAML(v); err == nil && got != string(bytes.TrimSuffix(want, []byte("\n"))) || err != nil && got != "" {
				t.Errorf("%q: %v\ngot  %q\nwant %q", text, err, got, want)
			}
		}
	})
}

func FuzzTpl(f *testing.F) {
	for _, seed := range []string{
		"{{ .Values.number }}", "a{{ define \"x\" }}b{{ end }}{{ include \"x\" . }}", "{{ range .Values.list }}{{ . }}{{ end }}", "{{- \"a\" -}} b", "}}{{", "{{ tpl . . }}",
		"{{ template \"gotpl\" }}", "{{ block \"b\" . }}{{ end }}", "{{/* */}}", "{{ with .Values.map }}{{ toYaml . }}{{ else }}-{{ end }}", "<no value>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "{{ if") || len(text) > 1000 {
			return // what loops for long
		}
		const call = "{{ tpl .Values.text . }}"
		c, top := input(t, call)
		set := func() {
			all, _ := top["Values"].(chartutil.Values)
			all["text"] = text
		}
		set()
		want, wantErr := helm.Engine{}.Render(c, top)
		c, top = input(t, call)
		set()
		got, err := new(Templates).Render(c, top)
		if got.Fresh {
			return
		}
		if (wantErr == nil) != (err == nil) {
			t.Fatalf("%q: helm %v, own %v", text, wantErr, err)
		}
		if diff := cmp.Diff(want, got.Files); err == nil && diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	})
}

var errNone = errors.New("none")

func TestParseErrorWithoutPlace(t *testing.T) {
	if got := parseError("a", errNone).Error(); got != "parse error in (a): none" {
		t.Error(got)
	}
}
