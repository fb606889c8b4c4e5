package registry

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
)

func mustConf(t *testing.T, text string) *conf {
	t.Helper()
	entries, err := ParseConf([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &conf{entries}
}

func TestFindRegistry(t *testing.T) {
	const hub = "- {name: hub, prefix: docker.io, api_url: 'https://hub-mirror.example'}\n"
	const rest = `- {name: ghcr, prefix: ghcr.io, api_url: 'https://ghcr.io', defaultns: ours}
- {name: team, prefix: ghcr.io/team, api_url: 'https://team.example'}
- {name: port, prefix: 'reg.example:5000', api_url: 'https://reg.example:5000'}
`
	for _, c := range []struct{ conf, image, api, repository string }{
		{rest, "ghcr.io/team/app", "https://team.example", "team/app"},
		{rest, "ghcr.io/team", "https://team.example", "team"},
		{rest, "ghcr.io/teams/app", "https://ghcr.io", "teams/app"},
		{rest, "GHCR.io/other/app", "https://ghcr.io", "other/app"},
		{rest, "ghcr.io/app", "https://ghcr.io", "ours/app"},
		{rest, "reg.example:5000/a/b/c", "https://reg.example:5000", "a/b/c"},
		{rest, "reg.example/a", "https://reg.example", "a"},
		{rest, "nginx", "https://index.docker.io", "library/nginx"},
		{rest, "docker.io/nginx", "https://index.docker.io", "library/nginx"},
		{rest, "docker.io/bitnami/redis", "https://index.docker.io", "bitnami/redis"},
		{rest + hub, "nginx", "https://hub-mirror.example", "library/nginx"},
		{rest + hub, "index.docker.io/nginx", "https://hub-mirror.example", "library/nginx"},
		{rest + hub + "- {name: d, api_url: 'https://d.example'}\n", "nginx", "https://d.example", "nginx"},
		{rest + "- {name: d, prefix: d.example, api_url: 'https://d.example', default: true, defaultns: base}\n", "nginx", "https://d.example", "base/nginx"},
		{rest + "- {name: d, api_url: 'https://d.example'}\n", "docker.io/nginx", "https://index.docker.io", "library/nginx"},
	} {
		img := image.Image{Repository: c.image}
		if host, path, ok := strings.Cut(c.image, "/"); ok && strings.ContainsAny(host, ".:") {
			img = image.Image{Registry: host, Repository: path}
		}
		e, repository := mustConf(t, "registries:\n"+c.conf).find(img)
		if e.API.String() != c.api || repository != c.repository {
			t.Errorf("%s: %s %s, want %s %s", c.image, e.API, repository, c.api, c.repository)
		}
	}
}

func TestAHostWithoutADotIsNotDockerHub(t *testing.T) {
	e, path := mustConf(t, "registries:\n- {name: h, prefix: harbor.corp, api_url: 'https://harbor'}\n").
		find(image.Image{Registry: "harbor.corp", Repository: "team/app"})
	c, err := newClient(*e, nil, path, nil)
	if err != nil || c.repo.RegistryStr() != "harbor" || c.repo.RepositoryStr() != "team/app" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestRequestLimits(t *testing.T) {
	c := mustConf(t, "registries:\n- {name: a, prefix: a.example, api_url: 'https://a.example', limit: 3}\n"+
		"- {name: b, prefix: b.example, api_url: 'https://b.example'}\n")
	for host, want := range map[string]int{"a.example": 3, "b.example": 20, "c.example": 20, "docker.io": 10, "": 10} {
		if e, _ := c.find(image.Image{Registry: host, Repository: "team/app"}); e.perSecond() != want {
			t.Errorf("%q: %d requests per second, want %d", host, e.perSecond(), want)
		}
	}
}

func TestDockerConfig(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("user:auth:with:colons"))
	const host = "reg.example"
	entry := func(key, name string) string { return fmt.Sprintf(`%q:{"username":%q,"password":"p"}`, key, name) }
	for _, c := range []struct{ name, auths, repository, user, err string }{
		{"host", entry(host, "u"), "team/app", "u", ""},
		{"url", entry("https://reg.example/v1/", "u"), "team/app", "u", ""},
		{"https port", entry("Reg.example:443", "u"), "team/app", "u", ""},
		{"auth field", `"reg.example":{"auth":"` + auth + `"}`, "team/app", "user", ""},
		{"auth before username", `"reg.example":{"auth":"` + auth + `","username":"x","password":"y"}`, "team/app", "user", ""},
		{"another host that begins alike", entry("reg.example.evil.io", "u"), "team/app", "", "has no entry for reg.example"},
		{"a host that ends alike", entry("xreg.example", "u"), "team/app", "", "has no entry for reg.example"},
		{"another port", entry("reg.example:5000", "u"), "team/app", "", "has no entry for reg.example"},
		{"longest path", entry(host, "host") + "," + entry("reg.example/team", "team") + "," + entry("reg.example/team/app", "app"), "team/app", "app", ""},
		{"path on segments", entry(host, "host") + "," + entry("reg.example/tea", "tea"), "team/app", "host", ""},
		{"url and host", entry("https://reg.example", "url") + "," + entry(host, "host"), "team/app", "host", ""},
		{"identity token", `"reg.example":{"identitytoken":"Canary"}`, "a/b", "", "identity token"},
		{"empty entry", `"reg.example":{}`, "a/b", "", "neither auth nor"},
		{"bad base64", `"reg.example":{"auth":"Canary!"}`, "a/b", "", "no base64"},
		{"auth without colon", `"reg.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("Canary")) + `"}`, "a/b", "", "user:password"},
		{"no json", `Canary`, "a/b", "", "no docker config"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ref := config.Credential{Kind: config.PullSecret, Namespace: "ns", Name: "s", Field: config.PullSecretField}
			for range 20 { // whatever the order of a map
				l, err := fromDockerConfig(ref, []byte(`{"auths":{`+c.auths+`}}`), []string{host}, c.repository)
				switch {
				case c.err != "":
					if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "Canary") {
						t.Fatalf("error %v, want %q", err, c.err)
					}
				case err != nil || l.user != c.user:
					t.Fatalf("%v, %v", l, err)
				}
			}
		})
	}
}

func TestConfFileIsReadAgain(t *testing.T) {
	// As the kubelet lays out a ConfigMap: registries.conf → ..data/registries.conf, ..data → a directory per version.
	dir := t.TempDir()
	version := 0
	publish := func(text string) {
		version++
		v := filepath.Join(dir, fmt.Sprintf("..v%d", version))
		if err := os.Mkdir(v, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(v, "registries.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(v, filepath.Join(dir, "..new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	const good = "registries:\n- {name: A, prefix: a.example, api_url: 'https://one.example'}\n"
	publish(good)
	path := filepath.Join(dir, "registries.conf")
	if err := os.Symlink("..data/registries.conf", path); err != nil {
		t.Fatal(err)
	}
	log, out := logrus.New(), &strings.Builder{}
	log.SetOutput(out)
	now := time.Now()
	r, err := New(Options{ConfPath: path, ConfRequired: true, Log: log, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	api := func() string {
		now = now.Add(confCheck)
		e, _ := r.conf.current().find(image.Image{Registry: "a.example", Repository: "x/y"})
		return e.API.Host
	}
	if api() != "one.example" || r.ConfProblem() != nil {
		t.Fatal(api(), r.ConfProblem())
	}
	publish(strings.ReplaceAll(good, "one", "two"))
	if api() != "two.example" {
		t.Errorf("the change was not seen: %s", api())
	}
	publish("registries:\n- {nam: A}\n")
	for range 3 {
		if api() != "two.example" {
			t.Errorf("the broken file is in use: %s", api())
		}
	}
	if p := r.ConfProblem(); p == nil || !strings.Contains(p.Error(), `line 2: unknown key "nam"`) {
		t.Errorf("problem %v", p)
	}
	if n := strings.Count(out.String(), "is broken"); n != 1 {
		t.Errorf("told %d times:\n%s", n, out)
	}
	publish(good)
	if api() != "one.example" || r.ConfProblem() != nil {
		t.Errorf("repaired: %s, %v", api(), r.ConfProblem())
	}
	os.Remove(path)
	if api() != "one.example" || r.ConfProblem() == nil {
		t.Errorf("removed: %s, %v", api(), r.ConfProblem())
	}
}

func TestMissingAndBrokenConfAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registries.conf")
	if _, err := New(Options{ConfPath: path, ConfRequired: true}); err == nil || !strings.Contains(err.Error(), "--registries-conf-path") {
		t.Errorf("missing: %v", err)
	}
	if _, err := New(Options{ConfPath: path}); err != nil {
		t.Errorf("missing, and nobody asked for it: %v", err)
	}
	if err := os.WriteFile(path, []byte("registries:\n- {name: A, api_url: 'https://a.example', ca_file: /nowhere/ca.pem}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{ConfPath: path}); err == nil || !strings.Contains(err.Error(), "ca_file") {
		t.Errorf("broken: %v", err)
	}
}

func program(t *testing.T, script string) config.Credential {
	t.Helper()
	path := filepath.Join(t.TempDir(), "login")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return config.Credential{Kind: config.Ext, Path: path}
}

func TestExtAndEnvLogins(t *testing.T) {
	t.Setenv("TAGPIN_TEST_LOGIN", "user:Canary")
	now := time.Now()
	c := newLoginCache(func() time.Time { return now })
	ran := filepath.Join(t.TempDir(), "ran")
	ref := program(t, `echo x >> `+ran+`; echo "user:pass$TAGPIN_TEST_LOGIN"`)
	runs := func() int { data, _ := os.ReadFile(ran); return strings.Count(string(data), "x") }
	for range 3 {
		l, err := c.get(t.Context(), ref, time.Minute)
		if err != nil || l.user != "user" || l.password != "pass" { // an empty environment
			t.Fatalf("%v, %v", l, err)
		}
	}
	if runs() != 1 {
		t.Errorf("ran %d times", runs())
	}
	now = now.Add(time.Hour)
	l, _ := c.get(t.Context(), ref, time.Minute)
	if runs() != 2 {
		t.Errorf("expired: ran %d times", runs())
	}
	c.forget(l)
	if _, err := c.get(t.Context(), ref, 0); err != nil || runs() != 3 {
		t.Errorf("forgotten: ran %d times, %v", runs(), err)
	}
	now = now.Add(1000 * time.Hour)
	if _, err := c.get(t.Context(), ref, 0); err != nil || runs() != 3 {
		t.Errorf("without credsexpire: ran %d times, %v", runs(), err)
	}

	for script, want := range map[string]string{
		"echo Canary; exit 3":             "status 3",
		"echo Canary":                     "user:password",
		"echo user:Canary; echo another":  "user:password",
		"":                                "user:password",
		"head -c 100000 /dev/zero; sleep": "one line",
	} {
		_, err := c.get(t.Context(), program(t, script), 0)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Canary") {
			t.Errorf("%q: %v, want %q", script, err, want)
		}
	}
	if _, err := c.get(t.Context(), config.Credential{Kind: config.Ext, Path: "/nowhere/login"}, 0); err == nil {
		t.Error("a missing program")
	}
	if l, err := c.get(t.Context(), config.Credential{Kind: config.Env, Var: "TAGPIN_TEST_LOGIN"}, 0); err != nil || l.user != "user" {
		t.Errorf("%v, %v", l, err)
	}
	if _, err := c.get(t.Context(), config.Credential{Kind: config.Env, Var: "TAGPIN_TEST_NONE"}, 0); err == nil {
		t.Error("a variable that is not set")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		header string
		want   time.Duration
		ok     bool
	}{
		{"", 0, false}, {"soon", 0, false}, {"-5", 0, false}, {"3", 3 * time.Second, true}, {"999999999999", 31 * time.Second, true},
		{"Thu, 01 Jan 2026 00:00:07 GMT", 7 * time.Second, true}, {"Thu, 01 Jan 2025 00:00:07 GMT", 0, true},
	} {
		if got, ok := retryAfter(c.header, now); got != c.want || ok != c.ok {
			t.Errorf("%q: %v, %t; want %v, %t", c.header, got, ok, c.want, c.ok)
		}
	}
}

func TestParseManifest(t *testing.T) {
	const config = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`
	for _, c := range []struct{ name, mediaType, raw, other string }{
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, "schema 1"},
		{"schema 1 by content", "application/json", `{"schemaVersion":1,"fsLayers":[]}`, "schema 1"},
		{"image", "application/vnd.oci.image.manifest.v1+json", `{` + config + `,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip"}]}`, ""},
		{"nydus image", "application/vnd.oci.image.manifest.v1+json", `{` + config + `,"layers":[{"mediaType":"application/vnd.oci.image.layer.nydus.blob.v1"}]}`, ""},
		{"without media type", "", `{` + config + `}`, ""},
		{"cosign signature", "application/vnd.oci.image.manifest.v1+json", `{` + config + `,"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json"}]}`, "signature"},
		{"artifact", "application/vnd.oci.image.manifest.v1+json", `{"config":{"mediaType":"Canary"}}`, "artifact"},
		{"no config", "application/vnd.oci.artifact.manifest.v1+json", `{"blobs":[]}`, "artifact"},
	} {
		got, err := parseManifest(types.MediaType(c.mediaType), []byte(c.raw))
		if err != nil || (got.other == "") != (c.other == "") || !strings.Contains(got.other, c.other) || strings.Contains(got.other, "Canary") {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestSightings(t *testing.T) {
	s := newSightings()
	t0 := time.Unix(1e9, 0)
	s.observe("a", []string{"v1"}, t0)
	s.observe("a", []string{"v1", "v2"}, t0.Add(time.Hour))
	s.observe("a", []string{"v1", "v2"}, t0.Add(2*time.Hour))
	if !s.first("a", "v1").IsZero() || !s.first("a", "v2").Equal(t0.Add(time.Hour)) {
		t.Errorf("%v %v", s.first("a", "v1"), s.first("a", "v2"))
	}
	for i := range maxSeen + 10 {
		s.observe(fmt.Sprint(i), []string{"v1"}, t0.Add(3*time.Hour+time.Duration(i)))
	}
	if len(s.repos) != maxSeen || !s.first("a", "v2").IsZero() {
		t.Errorf("%d repositories", len(s.repos))
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add("application/vnd.oci.image.index.v1+json", []byte(`{"manifests":[{"digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","platform":{"os":"linux","architecture":"amd64"}}]}`))
	f.Add("application/vnd.oci.image.manifest.v1+json", []byte(`{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"annotations":{"org.opencontainers.image.created":"2026-01-01T00:00:00Z"}}`))
	f.Add("", []byte(`null`))
	f.Fuzz(func(t *testing.T, mediaType string, raw []byte) {
		m, err := parseManifest(types.MediaType(mediaType), raw)
		if err == nil && m.other == "" && m.children == nil && m.config.Hex == "" && len(raw) > 0 {
			t.Errorf("an image without a config: %s", raw)
		}
		for _, c := range m.children {
			if !isDigest(c.digest) {
				t.Errorf("digest %q", c.digest)
			}
		}
		_, _ = parseConfig(raw)
	})
}

func FuzzDockerConfig(f *testing.F) {
	f.Add([]byte(`{"auths":{"reg.example":{"auth":"dXNlcjpwYXNz"}}}`))
	f.Add([]byte(`{"auths":{"https://reg.example/team":{"username":"u","password":"p"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := fromDockerConfig(config.Credential{}, data, []string{"reg.example"}, "team/app")
		if err == nil && (l.user == "" || l.password == "") {
			t.Errorf("half a login from %s", data)
		}
	})
}
