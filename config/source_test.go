package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sources = `
bindings:
- {kind: chart, url: https://charts.example.com, name: stable}
- {kind: chart, url: https://charts.example.com/private, credential: secret:argocd/charts}
- {kind: chart, url: https://charts.example.com/shop, credential: secret:argocd/shop, projects: [shop], name: shop}
- {kind: file, url: https://files.example.com/values, applications: [shop]}
- {kind: base, url: https://git.example.com/bases.git, credential: secret:argocd/git}
- {kind: git, url: https://git.example.com/shop, credential: secret:argocd/git}
`

func TestSource(t *testing.T) {
	s := parse(t, sources)
	shop := App{Name: "shop", Project: "shop"}
	for _, tt := range []struct {
		kind       Kind
		url        string
		app        App
		credential string // or an error's text
	}{
		{Chart, "https://charts.example.com/stable", shop, ""},
		{Chart, "oci://charts.example.com/stable", shop, ""},
		{Chart, "https://charts.example.com/private/x", shop, "secret:argocd/charts"},
		{Chart, "https://charts.example.com/privatex", shop, ""},
		{Chart, "https://charts.example.com/shop", shop, "secret:argocd/shop"},
		{Chart, "https://charts.example.com/shop", App{Name: "other", Project: "other"}, ""},
		{Chart, "https://charts.example.com/shop", App{Name: "old"}, ""},
		{File, "https://files.example.com/values/a.yaml", shop, ""},
		{Base, "https://git.example.com/bases", shop, "secret:argocd/git"},
		{Chart, "http://charts.example.com/stable", shop, "may not have charts fetched from http://charts.example.com/stable"},
		{Chart, "https://git.example.com/shop", shop, "kind: chart"},
		{Base, "https://git.example.com/shop", shop, "may not have a base fetched"},
		{File, "https://files.example.com/values/a.yaml", App{Name: "other"}, "applications:\n        - other\n"},
		{File, "https://files.example.com/value", shop, "url: https://files.example.com/value"},
		{File, "https://canary:canary@files.example.com/values/a", shop, "user information"},
	} {
		b, err := s.Source(Use{Kind: tt.kind, URL: tt.url, App: tt.app})
		got := b.Credential.String()
		if b.Credential == (Credential{}) {
			got = ""
		}
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != tt.credential || err != nil && (!strings.Contains(got, tt.credential) || tt.credential == "") {
			t.Errorf("%s %s for %+v: %s", tt.kind, tt.url, tt.app, got)
		}
		if strings.Contains(got, "canary") {
			t.Errorf("a secret is shown: %s", got)
		}
	}
}

// The lines of the error are settings that allow what was refused.
func TestSourceErrorShowsTheLines(t *testing.T) {
	use := Use{Kind: Chart, URL: "https://charts.example.com/a", App: App{Name: "shop"}}
	_, err := Default().Source(use)
	var unbound *UnboundError
	if !errors.As(err, &unbound) || !strings.HasSuffix(err.Error(), unbound.Add) {
		t.Fatal(err)
	}
	if _, err := parse(t, unbound.Add).Source(use); err != nil {
		t.Error(err)
	}
	old := parse(t, "bindings: [{kind: chart, url: https://charts.example.com/a, projects: [shop]}]")
	if _, err := old.Source(use); err == nil || !strings.Contains(err.Error(), "before v3.0") {
		t.Error(err)
	}
}

func TestChartRepository(t *testing.T) {
	s := parse(t, sources)
	for name, want := range map[string]string{"stable": "https://charts.example.com", "shop": "https://charts.example.com/shop", "none": "", "": ""} {
		u, err := s.ChartRepository(name, App{Name: "shop", Project: "shop"})
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%s: %s, %v", name, u, err)
		}
	}
	if u, err := s.ChartRepository("shop", App{Name: "other", Project: "other"}); err == nil {
		t.Errorf("another project's repository: %s", u)
	}
}

func TestLogin(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CHARTS", "ada:canary:x\n")
	t.Setenv("EMPTY", "")
	for file, text := range map[string]string{
		"argocd/both/username": "ada", "argocd/both/password": "canary:x\n", "argocd/field/login": "ada:canary:x",
		"argocd/half/username": "ada", "argocd/lines/login": "ada:canary\nx",
	} {
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]string{
		"secret:argocd/both": "", "secret:argocd/field#login": "", "env:CHARTS": "",
		"secret:argocd/half": "holds no username and password", "secret:argocd/lines#login": "one line",
		"secret:argocd/none": "holds no username and password", "secret:argocd/field#none": "is mounted and has no field none", "env:EMPTY": "one line",
		"ext:/bin/login": "can't be used here", "pullsecret:argocd/both": "can't be used here",
	} {
		c, err := ParseCredential(ref)
		if err != nil {
			t.Fatal(err)
		}
		l, err := OpenSecrets(dir).Login(c)
		switch {
		case want == "" && (err != nil || l != Login{"ada", "canary:x"}):
			t.Errorf("%s: %v, %v", ref, l, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary")):
			t.Errorf("%s: %v", ref, err)
		}
	}
}
