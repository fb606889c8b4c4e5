package fetch_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
	"github.com/tagpin/tagpin/test/gitserver"
)

func valueFiles(names ...string) func(*render.Request) {
	return func(r *render.Request) { r.Helm.ValueFiles = names }
}

func TestValueFilesFromURLs(t *testing.T) {
	s := startSite(t, "ada", canary)
	w := newWorld(t, s)
	w.umbrella("")
	w.file(s.dir, "team/values.yaml", "color: red\n")
	w.secret("files", "ada", canary)
	url := s.URL + "/team/values.yaml?token=" + canary
	w.start("")
	w.failsWith(valueFiles(url), "may not have a file fetched from "+s.URL+"/team/values.yaml", "kind: file")
	w.start("bindings: [{kind: file, url: " + s.URL + "/team}]")
	w.failsWith(valueFiles(url), s.URL+"/team/values.yaml: the server asks for a login (401)")
	w.start("bindings: [{kind: file, url: " + s.URL + "/team, credential: secret:argocd/files}]")
	w.wants("color: red", valueFiles(url))
	w.wants("text: ", func(r *render.Request) { r.Helm.FileParameters = map[string]string{"text": url} })
	s.log()
	w.wants("color: red", valueFiles(url))
	if got := s.log(); got != "" {
		t.Errorf("asked again within a minute: %s", got)
	}
	w.file(s.dir, "team/values.yaml", "color: blue\n")
	w.now = w.now.Add(2 * time.Minute)
	w.wants("color: blue", valueFiles(url))
	s.answers(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, canary, http.StatusServiceUnavailable) })
	w.start(w.lines)
	w.wants("color: blue", valueFiles(url))
	if !strings.Contains(w.log.String(), "is used as it was: the server answered with status 503") {
		t.Errorf("nobody is told: %s", &w.log)
	}
	// A refusal withdraws what was known, also for an outage after it.
	s.answers(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, canary, http.StatusForbidden) })
	w.now = w.now.Add(2 * time.Minute)
	w.failsWith(valueFiles(url), "refused access (403)")
	s.answers(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, canary, http.StatusServiceUnavailable) })
	w.now = w.now.Add(2 * time.Minute)
	w.failsWith(valueFiles(url), "status 503")
	w.failsWith(valueFiles("ftp://example.com/x"), "not from \"ftp\"")
	w.failsWith(valueFiles("https://ada:"+canary+"@"+strings.TrimPrefix(s.URL, "https://")+"/team/values.yaml"), "user information")
	s.answers(func(rw http.ResponseWriter, _ *http.Request) {
		for range 11 {
			_, _ = rw.Write([]byte(strings.Repeat("a", 1<<20)))
		}
	})
	w.now = w.now.Add(2 * time.Minute)
	w.failsWith(valueFiles(url), "larger than 10 MiB")
}

// A certificate that nobody vouches for is refused.
func TestUntrustedCertificate(t *testing.T) {
	s := startSite(t, "", "")
	w := newWorld(t)
	w.umbrella("")
	w.start("bindings: [{kind: file, url: " + s.URL + "}]")
	w.failsWith(valueFiles(s.URL+"/x"), "certificate is not trusted")
	w.file(w.caDir, "127.0.0.1", "no certificate")
	w.start(w.lines)
	w.failsWith(valueFiles(s.URL+"/y"), "holds no PEM certificate")
}

const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "

func TestBasesAndResources(t *testing.T) {
	g := gitserver.Start(t, gitserver.Options{Username: "ada", Password: canary, TLS: true})
	s := startSite(t, "", "")
	w := newWorld(t, s)
	w.file(w.caDir, "localhost", "")
	g.Create("bases", map[string]string{
		"shop/kustomization.yaml": "resources: [a.yaml, ../common]\nnamePrefix: base-\n", "shop/a.yaml": object + "a}\ndata: {v: one}\n",
		"common/kustomization.yaml": "resources: [c.yaml]\n", "common/c.yaml": object + "c}\n",
		"debug/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -debug\n",
		"away/kustomization.yaml":  "resources: [../../../other]\n",
		"page/kustomization.yaml":  "resources: [\"" + s.URL + "/more.yaml\"]\n",
	})
	first := g.Tip("bases", "main")
	w.file(s.dir, "more.yaml", object+"more}\n")
	w.file(s.dir, "patch.yaml", object+"base-a}\ndata: {patched: yes-it-is}\n")
	w.file(s.dir, "conf.ini", "k=v\n")
	w.secret("git", "ada", canary)
	w.file(w.caDir, "127.0.0.1", string(g.CA)) // both servers have httptest's certificate
	base := g.URL("bases")
	kustomize := func(text string) { w.file(w.repo, "kustomization.yaml", text) }
	kustomize("resources: [\"" + base + "//shop?ref=main\"]\n")
	w.start("")
	w.fails("may not have a base fetched from "+strings.TrimSuffix(base, ".git"), "kind: base")
	w.start("bindings: [{kind: git, url: " + base + ", credential: secret:argocd/git}]")
	w.fails("may not have a base fetched") // what may write pins may not be spent by a kustomization
	bound := "bindings:\n- {kind: base, url: " + base + ", credential: secret:argocd/git}\n- {kind: file, url: " + s.URL + "}\n"
	w.start(bound)
	w.wants("name: base-a\n")
	w.wants("name: base-c\n")
	kustomize("resources: [\"" + base + "/shop?ref=main\", \"" + s.URL + "/more.yaml\"]\npatches: [{path: \"" + s.URL + "/patch.yaml\"}]\n" +
		"components: [\"" + base + "//debug\"]\nconfigMapGenerator: [{name: conf, files: [\"" + s.URL + "/conf.ini\", \"k=" + s.URL + "/conf.ini\"]}]\n")
	for _, text := range []string{"name: base-a-debug\n", "patched: yes-it-is", "name: more-debug\n", "name: conf-debug-", "  conf.ini: |\n    k=v\n", "  k: |\n    k=v\n"} {
		w.wants(text)
	}
	// A branch moves, a commit doesn't.
	g.CommitAs("bases", "main", "Ada <ada@example.com>", "two", map[string]string{"shop/a.yaml": object + "a}\ndata: {v: two}\n"})
	kustomize("resources: [\"" + base + "//shop?ref=" + first + "\"]\n")
	w.wants("v: one")
	kustomize("resources: [\"" + base + "//shop?ref=main\"]\n")
	w.now = w.now.Add(2 * time.Minute)
	w.wants("v: two")
	// A base may name a file that is bound, and nothing outside of itself.
	kustomize("resources: [\"" + base + "//page\"]\n")
	w.wants("name: more\n")
	w.file(w.repo, "other/kustomization.yaml", "resources: [../x.yaml]\n")
	kustomize("resources: [\"" + base + "//away\"]\n")
	w.fails("leads out of the base's repository")
	kustomize("resources: [\"" + base + "//none\"]\n")
	w.fails("has no directory \"none\"")
	kustomize("resources: [\"" + base + "//shop?ref=none\"]\n")
	w.fails("there is no tag and no branch \"none\"")
	kustomize("resources: [\"" + s.URL + "/nothing.yaml\"]\n")
	w.fails("no such file (404)")
	// The server goes away, and with it nothing that rendered.
	g.Fail(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusBadGateway); return true })
	w.now = w.now.Add(48 * time.Hour)
	w.start(bound)
	kustomize("resources: [\"" + base + "//shop?ref=main\"]\n")
	w.wants("v: two")
	kustomize("resources: [\"" + base + "//shop?ref=" + first + "\"]\n")
	w.wants("v: one")
}

// Uploaded files ask nobody and spend no credential: they may use what anybody may have, if it is here.
func TestUploadedFiles(t *testing.T) {
	open, locked := startSite(t, "", ""), startSite(t, "ada", canary)
	w := newWorld(t, open)
	w.file(open.dir, "v.yaml", "color: red\n")
	w.file(locked.dir, "v.yaml", "color: blue\n")
	w.publish(open, "stable", "redis", "1.0.0")
	w.secret("files", "ada", canary)
	w.umbrella(dependency("redis", "^1.0.0", open.URL+"/stable"))
	w.start("bindings:\n- {kind: file, url: " + open.URL + "}\n- {kind: chart, url: " + open.URL + "}\n- {kind: file, url: " + locked.URL +
		", credential: secret:argocd/files}\n")
	uploaded := func(files ...string) func(*render.Request) {
		return func(r *render.Request) {
			r.Streamed = true
			r.Helm.ValueFiles = files
		}
	}
	w.failsWith(uploaded(open.URL+"/v.yaml"), "uploaded files are rendered without asking anybody")
	w.wants("color: red", valueFiles(open.URL+"/v.yaml"))
	w.wants("color: blue", valueFiles(locked.URL+"/v.yaml"))
	open.log()
	locked.log()
	w.wants("color: red", uploaded(open.URL+"/v.yaml"))
	w.failsWith(uploaded(locked.URL+"/v.yaml"), "uploaded files are rendered without asking anybody")
	if got := open.log() + locked.log(); got != "" {
		t.Errorf("asked: %s", got)
	}
}

// What one credential may see, no other one is shown.
func TestCacheIsOfOneCredential(t *testing.T) {
	s := startSite(t, "ada", canary)
	w := newWorld(t, s)
	w.umbrella("")
	w.file(s.dir, "v.yaml", "color: red\n")
	w.secret("ada", "ada", canary)
	w.secret("bob", "bob", canary)
	file := valueFiles(s.URL + "/v.yaml")
	w.start("bindings:\n- {kind: file, url: " + s.URL + ", credential: secret:argocd/ada, applications: [shop]}\n" +
		"- {kind: file, url: " + s.URL + ", credential: secret:argocd/bob, applications: [other]}\n" +
		"- {kind: file, url: " + s.URL + ", applications: [third]}\n")
	w.wants("color: red", file)
	for _, name := range []string{"other", "third"} {
		w.failsWith(func(r *render.Request) { file(r); r.For = image.Application{Name: name} }, "(401)")
	}
	w.secret("ada", "ada", "another "+canary) // the Secret is rotated, and the new one is no good
	w.failsWith(file, "(401)")
}

// The cache keeps to its size, and what is damaged is fetched anew.
func TestCacheIsBounded(t *testing.T) {
	s := startSite(t, "", "")
	w := newWorld(t, s)
	w.umbrella("")
	w.start("bindings: [{kind: file, url: " + s.URL + "}]\nlimits: {fetch-cache-bytes: 3Mi}")
	big := func(name string) func(*render.Request) {
		w.file(s.dir, name, "x: "+strings.Repeat(name[:1], 1<<20)+"\n")
		return valueFiles(s.URL + "/" + name)
	}
	for _, name := range []string{"a.yaml", "b.yaml", "c.yaml"} {
		w.wants(strings.Repeat(name[:1], 100), big(name))
	}
	w.failsWith(big("d.yaml"), "have the operator raise limits.fetch-cache-bytes")
	for _, name := range []string{"d.yaml", "e.yaml", "f.yaml", "g.yaml"} {
		w.now = w.now.Add(11 * time.Minute)
		w.wants(strings.Repeat(name[:1], 100), big(name))
	}
	var sum int64
	blobs, err := os.ReadDir(filepath.Join(w.cache, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		info, err := b.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
		w.file(filepath.Join(w.cache, "blobs"), b.Name(), "x: damaged\n")
	}
	if sum > 5<<20 {
		t.Errorf("%d bytes are kept", sum)
	}
	w.start(w.lines)
	w.wants("ggg", valueFiles(s.URL+"/g.yaml"))
}
