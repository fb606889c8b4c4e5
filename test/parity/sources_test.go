package parity

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
)

const login = "ada:parity-Canary"

// Charts, bases and files from elsewhere render what Argo CD renders with its own downloads.
func TestSources(t *testing.T) {
	s := startSources(t)
	dir := t.TempDir()
	for _, f := range s.archive(t, "testdata/sources/repository.txtar") {
		write(t, dir, f.Name, string(f.Data))
	}
	for _, chart := range []string{"locked", "locked-v1"} { // Helm writes the lock, which holds this run's URLs
		helm(t, dir, "dependency", "update", chart)
		if err := os.RemoveAll(filepath.Join(dir, chart, "charts")); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "charts")
	data, err := os.ReadFile("testdata/sources/cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	if err := yaml.UnmarshalStrict([]byte(s.urls.Replace(string(data))), &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { s.compare(t, "file://"+dir, c) })
	}
}

// sources are servers with charts, bases and files, and a bench that may ask them.
type sources struct {
	bench
	urls *strings.Replacer // of the test data's names for them
}

func startSources(t *testing.T) sources {
	open, closed := startSite(t, ""), startSite(t, login)
	registry := acr.Start(t, acr.Options{TLS: true, Public: true})
	repositories := gitserver.Start(t, gitserver.Options{})
	s := sources{urls: strings.NewReplacer("OPEN", open.URL, "CLOSED", closed.URL, "REGISTRY", registry.Host(), "GIT", repositories.URL("bases"))}

	ca := filepath.Join(t.TempDir(), "ca.pem")
	bundle := append(certificate(open), registry.CA()...)
	if err := os.WriteFile(ca, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", ca) // of helm, kustomize and tagpin alike
	user, password, _ := strings.Cut(login, ":")
	s.bench = startWith(t, map[string]string{
		"registries.conf": strings.ReplaceAll(registry.ConfFile("", registry.Host()), "insecure: true", "ca_file: "+ca),
		"tagpin.yaml": s.urls.Replace(`
bindings:
- {kind: chart, url: OPEN/stable}
- {kind: chart, url: CLOSED/private, credential: secret:argocd/charts, name: private}
- {kind: chart, url: "oci://REGISTRY/charts"}
- {kind: file, url: OPEN}
- {kind: base, url: GIT}
`),
		"argocd/charts/username": user, "argocd/charts/password": password,
	})
	s.repos = []*v1alpha1.Repository{
		{Type: "helm", Name: "private", Repo: closed.URL + "/private", Username: user, Password: password},
	}
	s.publish(t, open, closed, registry)
	bases := map[string]string{}
	for _, f := range s.archive(t, "testdata/sources/bases.txtar") {
		bases[f.Name] = string(f.Data)
	}
	repositories.Create("bases", bases)
	repositories.Git("bases", "tag", "v1", repositories.Tip("bases", "main"))
	return s
}

func certificate(s *site) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// A site serves files over TLS, to those who know its login.
type site struct {
	*httptest.Server
	dir string
}

func startSite(t *testing.T, login string) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	files := http.FileServer(http.Dir(s.dir))
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); login != "" && user+":"+password != login {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s sources) archive(t *testing.T, name string) []txtar.File {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return txtar.Parse([]byte(s.urls.Replace(string(data)))).Files
}

// publish packs the charts of testdata/sources/charts.txtar in some versions each, with the helm program.
func (s sources) publish(t *testing.T, open, closed *site, registry *acr.Server) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range s.archive(t, "testdata/sources/charts.txtar") {
		if name, ok := strings.CutPrefix(f.Name, "files/"); ok {
			write(t, open.dir, name, string(f.Data))
			continue
		}
		write(t, dir, f.Name, string(f.Data))
	}
	for _, to := range []string{filepath.Join(open.dir, "stable"), filepath.Join(closed.dir, "private")} {
		for _, version := range []string{"1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "1.3.0+build.5"} {
			helm(t, dir, "package", "cache", "--version", version, "-d", to)
			helm(t, dir, "package", "common", "--version", version, "-d", to)
		}
		helm(t, to, "repo", "index", ".")
	}
	for _, version := range []string{"1.0.0", "1.2.0", "1.3.0+build.5"} {
		archive, err := os.ReadFile(filepath.Join(open.dir, "stable", fmt.Sprintf("cache-%s.tgz", version)))
		if err != nil {
			t.Fatal(err)
		}
		registry.PushChart("charts/cache", strings.ReplaceAll(version, "+", "_"), archive)
	}
}

// helm runs the program with a home of its own.
func helm(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("helm", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("helm %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
