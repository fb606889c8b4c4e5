package fetch_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/render"
	"github.com/tagpin/tagpin/test/acr"
)

func dependency(name, version, repository string) string {
	return "- {name: " + name + ", version: \"" + version + "\", repository: \"" + repository + "\"}\n"
}

// A chart repository with a login: what it has is fetched once, and kept for when it is gone.
func TestChartRepository(t *testing.T) {
	s := startSite(t, "ada", canary)
	w := newWorld(t, s)
	w.publish(s, "stable", "redis", "1.0.0", "1.2.0", "2.0.0")
	w.secret("charts", "ada", canary)
	w.umbrella(dependency("redis", "^1.0.0", s.URL+"/stable"))
	w.start("bindings: [{kind: chart, url: " + s.URL + ", credential: secret:argocd/charts}]")
	w.wants("version: \"1.2.0\"")
	if got := s.log(); got != "GET /stable/index.yaml by ada\nGET /stable/redis-1.2.0.tgz by ada" {
		t.Error(got)
	}
	w.wants("version: \"1.2.0\"")
	if got := s.log(); got != "" {
		t.Errorf("asked again: %s", got)
	}
	if !strings.Contains(w.log.String(), "commit a Chart.lock") {
		t.Errorf("nobody is told that the version may change: %s", &w.log)
	}
	w.publish(s, "stable", "redis", "1.3.0")
	w.now = w.now.Add(2 * time.Minute)
	w.wants("version: \"1.3.0\"")
	s.log()
	s.Close()
	w.now = w.now.Add(48 * time.Hour)
	w.start(w.lines) // even a restart
	w.wants("version: \"1.3.0\"")
	if err := os.RemoveAll(w.cache); err != nil {
		t.Fatal(err)
	}
	w.start(w.lines)
	w.fails("chart redis ^1.0.0 from "+s.URL+"/stable: ", "the connection was refused")
}

// With a lock the index is asked once for all times, and only the locked version renders.
func TestChartLock(t *testing.T) {
	s := startSite(t, "", "")
	w := newWorld(t, s)
	w.publish(s, "stable", "redis", "1.0.0", "1.2.0")
	w.umbrella(dependency("redis", "^1.0.0", s.URL+"/stable"))
	lock := func(version, digest string) {
		w.file(w.repo, "Chart.lock", "dependencies:\n- {name: redis, repository: "+s.URL+"/stable, version: "+version+"}\ndigest: "+digest+"\n")
	}
	w.start("bindings: [{kind: chart, url: " + s.URL + "/stable}]")
	lock("1.0.0", "sha256:0000")
	w.fails("Chart.lock in \".\" is out of step", "helm dependency update")
	lock("1.0.0", lockDigest(t, s.URL+"/stable", "1.0.0"))
	w.wants("version: \"1.0.0\"")
	if strings.Contains(w.log.String(), "Chart.lock") {
		t.Errorf("a lock is not seen: %s", &w.log)
	}
	s.Close()
	w.now = w.now.Add(1000 * time.Hour)
	w.start(w.lines)
	w.wants("version: \"1.0.0\"")
}

func lockDigest(t *testing.T, url, version string) string {
	t.Helper()
	// As Helm writes it: the JSON of what is wanted and of what is locked.
	return sha256Of(`[[{"name":"redis","version":"^1.0.0","repository":"` + url + `"}],[{"name":"redis","version":"` + version +
		`","repository":"` + url + `"}]]`)
}

// What is vendored already is fetched anew only when something else is missing, as helm dependency build does.
func TestVendoredAndLocalDependencies(t *testing.T) {
	s := startSite(t, "", "")
	w := newWorld(t, s)
	w.publish(s, "stable", "redis", "1.0.0", "1.2.0")
	w.umbrella(dependency("redis", "^1.0.0", s.URL+"/stable"))
	w.pack(filepath.Join(w.repo, "charts"), "redis", "1.0.0")
	w.start("")
	w.wants("version: \"1.0.0\"")
	if got := s.log(); got != "" {
		t.Errorf("asked: %s", got)
	}
	w.file(w.repo, "lib/common/Chart.yaml", "apiVersion: v2\nname: common\nversion: 0.3.1\n")
	w.file(w.repo, "lib/common/templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: common}\ndata: {v: \"{{ .Chart.Version }}\"}\n")
	w.umbrella(dependency("redis", "^1.0.0", s.URL+"/stable") + dependency("common", "0.x", "file://lib/common"))
	w.start("bindings: [{kind: chart, url: " + s.URL + "/stable}]")
	w.wants("version: \"1.2.0\"")
	w.wants("data: {v: \"0.3.1\"}")
	w.umbrella(dependency("common", "1.x", "file://lib/common"))
	w.fails("dependency common: the chart's version 0.3.1 does not satisfy \"1.x\"")
	w.umbrella(dependency("common", "0.x", "file://../common"))
	w.fails("\"file://../common\" leads out of the repository")
	w.umbrella(dependency("common", "0.x", "file:///etc"))
	w.fails("\"file:///etc\" leads out of the repository")
	if err := os.Symlink(w.secrets, filepath.Join(w.repo, "away")); err != nil {
		t.Fatal(err)
	}
	w.file(w.repo, ".helmignore", "away\n")
	w.umbrella(dependency("common", "0.x", "file://away"))
	w.fails("leads out of the repository")
	if err := os.Remove(filepath.Join(w.repo, "away")); err != nil {
		t.Fatal(err)
	}
	w.umbrella(dependency("common", "0.x", ""))
	w.fails("it has no repository in Chart.yaml, and is not in charts")
}

// Only what an operator bound is asked, by whom it was bound for.
func TestUnboundCharts(t *testing.T) {
	s := startSite(t, "", "")
	w := newWorld(t, s)
	w.publish(s, "stable", "redis", "1.0.0")
	w.umbrella(dependency("redis", "1.0.0", s.URL+"/stable"))
	for _, settings := range []string{
		"", "bindings: [{kind: file, url: " + s.URL + "}]", "bindings: [{kind: chart, url: " + s.URL + "/stabl}]",
		"bindings: [{kind: chart, url: " + s.URL + ", projects: [other]}]",
	} {
		w.start(settings)
		w.fails("may not have charts fetched from "+s.URL+"/stable", "- kind: chart\n      url: "+s.URL+"/stable\n      projects:\n        - shop\n")
	}
	w.umbrella(dependency("redis", "1.0.0", "@stable"))
	w.start("bindings: [{kind: chart, url: " + s.URL + "/stable, name: other}]")
	w.fails("no chart repository is called \"stable\"")
	if got := s.log(); got != "" {
		t.Errorf("asked: %s", got)
	}
	w.start("bindings: [{kind: chart, url: " + s.URL + "/stable, name: stable}]")
	w.wants("version: \"1.0.0\"")
	w.umbrella(dependency("redis", "1.0.0", "alias:stable"))
	w.wants("version: \"1.0.0\"")
}

// A credential goes to no other host than it is bound for, whatever an index or a redirect says.
func TestCredentialsStayWhereTheyAreBound(t *testing.T) {
	index, archives := startSite(t, "", ""), startSite(t, "", "")
	w := newWorld(t, index)
	w.pack(archives.dir, "redis", "1.0.0")
	w.secret("charts", "ada", canary)
	entry := func(url string) {
		w.file(index.dir, "stable/index.yaml", "entries: {redis: [{name: redis, version: 1.0.0, urls: [\""+url+"\"]}]}\n")
		w.now = w.now.Add(2 * time.Minute)
	}
	w.umbrella(dependency("redis", "1.0.0", index.URL+"/stable"))
	bound := "bindings:\n- {kind: chart, url: " + index.URL + "/stable, credential: secret:argocd/charts}\n"
	pass := func(r *render.Request) { r.Helm.PassCredentials = true }
	// The two sites are one host with two ports: httptest has only loopback. A port of its own is another origin.
	for i, c := range []struct {
		settings string
		change   func(*render.Request)
		by       string
	}{
		{bound, nil, ""},
		{bound, pass, ""},
		{bound + "- {kind: chart, url: " + archives.URL + ", credential: secret:argocd/charts}\n", nil, ""},
		{bound + "- {kind: chart, url: " + archives.URL + ", credential: secret:argocd/charts}\n", pass, " by ada"},
	} {
		entry(archives.URL + "/redis-1.0.0.tgz?n=" + string(rune('a'+i)))
		w.start(c.settings)
		if c.change == nil {
			c.change = func(*render.Request) {}
		}
		w.wants("version: \"1.0.0\"", c.change)
		if got := archives.log(); strings.HasSuffix(got, " by ada") != (c.by != "") {
			t.Errorf("case %d: %s", i, got)
		}
		if got := index.log(); !strings.HasSuffix(got, " by ada") {
			t.Errorf("case %d: %s", i, got)
		}
	}
	// A redirect, to another origin and back to another path of the same.
	entry(index.URL + "/stable/moved.tgz")
	index.answers(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stable/moved.tgz":
			http.Redirect(rw, r, archives.URL+"/redis-1.0.0.tgz?n=moved", http.StatusFound)
		case "/stable/index.yaml":
			data, _ := os.ReadFile(filepath.Join(index.dir, "stable/index.yaml"))
			_, _ = rw.Write(data)
		}
	})
	w.start(bound)
	w.wants("version: \"1.0.0\"")
	if got := archives.log(); got != "GET /redis-1.0.0.tgz?n=moved" {
		t.Error(got)
	}
}

// What a server may not make tagpin do.
func TestHostileRepositories(t *testing.T) {
	s, inner := startSite(t, "", ""), startSite(t, "", "")
	w := newWorld(t, s)
	w.pack(s.dir, "redis", "1.0.0")
	w.file(inner.dir, "secret.tgz", canary)
	plain := newPlain(t, canary)
	w.umbrella(dependency("redis", "1.0.0", s.URL))
	w.start("bindings: [{kind: chart, url: " + s.URL + "}]")
	index := func(entry string) string { return "entries: {redis: [{name: redis, version: 1.0.0, " + entry + "}]}\n" }
	for name, c := range map[string]struct{ index, want string }{
		"a name of this machine": {index("urls: [\"" + inner.named("localhost") + "/secret.tgz\"]"), "host localhost has a loopback address"},
		"metadata":               {index("urls: [\"https://169.254.169.254/latest.tgz\"]"), "a cloud metadata address"},
		"plain http":             {index("urls: [\"" + plain + "/redis.tgz\"]"), "may not have charts fetched from http://"},
		"a file":                 {index("urls: [\"file:///etc/passwd\"]"), "no URL of an archive"},
		"another archive":        {index("digest: 00ff, urls: [redis-1.0.0.tgz]"), "its digest differs"},
		"no archive":             {index("urls: [index.yaml]"), "error unpacking subchart"},
		"nothing there":          {index("urls: [none.tgz]"), "no such file (404)"},
		"no index":               {canary, "has no index of a chart repository"},
		"no chart":               {"entries: {}\n", "has no chart of this name"},
		"no version":             {"entries: {redis: [{version: 3.0.0, urls: [a]}, {version: x, urls: [a]}, {version: 1.0.0}, null]}\n", "none of the 2 versions"},
		"an OCI registry":        {index("urls: [\"oci://registry.example.com/charts/redis:1.0.0\"]"), "kind: chart\n      url: https://registry.example.com/charts/redis"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.file(s.dir, "index.yaml", c.index)
			w.now = w.now.Add(2 * time.Minute)
			w.fails(c.want)
		})
	}
	w.t = t
	w.file(s.dir, "index.yaml", index("urls: [redis-1.0.0.tgz]"))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"to plain http": {func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, plain, http.StatusFound) }, "from https to http"},
		"in a circle":   {func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/x"+r.URL.Path, http.StatusFound) }, "redirects too often"},
		"too much": {func(rw http.ResponseWriter, _ *http.Request) {
			for range 40 {
				_, _ = rw.Write(make([]byte, 1<<20))
			}
		}, "larger than 32 MiB"},
		"cut off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the connection broke"},
		"failing": {func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, canary, http.StatusBadGateway) }, "answered with status 502"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t, w.cache = t, t.TempDir()
			w.start(w.lines)
			s.answers(c.answer)
			w.fails(c.want)
		})
	}
	if got := inner.log(); got != "" {
		t.Errorf("asked: %s", got)
	}
}

// A server that never ends holds a render no longer than the operator says.
func TestSlowRepository(t *testing.T) {
	s := startSite(t, "", "")
	w := newWorld(t, s)
	ended := make(chan struct{})
	s.answers(func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(rw).Flush()
		select {
		case <-r.Context().Done():
		case <-ended:
		}
		panic(http.ErrAbortHandler)
	})
	defer close(ended)
	w.umbrella(dependency("redis", "1.0.0", s.URL))
	w.start("bindings: [{kind: chart, url: " + s.URL + "}]\nlimits: {fetch-timeout: 1s}")
	w.fails("did not finish within 1s", "limits.fetch-timeout")
}

// An OCI registry that wants a login.
func TestChartOfARegistry(t *testing.T) {
	s := acr.Start(t, acr.Options{})
	const host = "registry.cn-hangzhou.aliyuncs.com"
	w := newWorld(t)
	for _, version := range []string{"1.0.0", "1.2.0", "2.0.0-rc.1", "1.2.0+build.5"} {
		archive, err := os.ReadFile(w.pack(t.TempDir(), "redis", version))
		if err != nil {
			t.Fatal(err)
		}
		s.PushChart("charts/redis", strings.ReplaceAll(version, "+", "_"), archive)
	}
	w.secret("charts", acr.User, acr.Password)
	w.conf = filepath.Join(t.TempDir(), "registries.conf")
	w.file(filepath.Dir(w.conf), "registries.conf", s.ConfFile("", host))
	w.umbrella(dependency("redis", "^1.0.0", "oci://"+host+"/charts"))
	w.start("")
	w.fails("may not have charts fetched from https://"+host+"/charts/redis", "kind: chart")
	w.start("bindings: [{kind: chart, url: oci://" + host + "/charts}]")
	w.fails("the registry asks for a login")
	w.start("bindings: [{kind: chart, url: oci://" + host + "/charts, credential: secret:argocd/charts}]")
	w.wants("version: \"1.2.0")
	before := s.Counts().Total()
	w.wants("version: \"1.2.0")
	if after := s.Counts().Total(); after != before {
		t.Errorf("%d requests for what is known", after-before)
	}
	w.umbrella(dependency("redis", "1.2.0+build.5", "oci://"+host+"/charts/"))
	w.wants("version: \"1.2.0+build.5\"")
	w.umbrella(dependency("redis", "3.x", "oci://"+host+"/charts"))
	w.fails("none of the 4 versions of the chart is 3.x")
	w.umbrella(dependency("redis", "9.9.9", "oci://"+host+"/charts"))
	w.fails("no such version of the chart")
	s.Fail(acr.List, acr.Fault{Status: http.StatusServiceUnavailable})
	s.Fail(acr.Manifest, acr.Fault{Status: http.StatusServiceUnavailable})
	w.umbrella(dependency("redis", "^1.0.0", "oci://"+host+"/charts"))
	w.start(w.lines) // it has forgotten all but what is on disk
	w.wants("version: \"1.2.0")
}
