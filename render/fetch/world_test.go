package fetch_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/render"
	"github.com/tagpin/tagpin/render/fetch"
	"github.com/tagpin/tagpin/test/program"
	"github.com/tagpin/tagpin/writeback"
)

const canary = "fetch-Canary-4b1d"

// A site is a real web server over TLS. It counts what it is asked for, and by whom.
type site struct {
	*httptest.Server
	dir            string
	user, password string
	mu             sync.Mutex
	asked          []string
	answer         http.HandlerFunc // in place of the files, when it is not nil
}

func startSite(t *testing.T, user, password string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), user: user, password: password}
	files := http.FileServer(http.Dir(s.dir))
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, secret, known := r.BasicAuth()
		line := r.Method + " " + r.URL.RequestURI()
		if known {
			line += " by " + got
		}
		s.mu.Lock()
		s.asked = append(s.asked, line)
		answer := s.answer
		s.mu.Unlock()
		switch {
		case s.user != "" && (got != s.user || secret != s.password):
			w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
			http.Error(w, canary, http.StatusUnauthorized)
		case answer != nil:
			answer(w, r)
		default:
			if data, err := os.ReadFile(filepath.Join(s.dir, r.URL.Path)); err == nil {
				w.Header().Set("ETag", `"`+sha256Of(string(data))+`"`) // times alone would not tell two writes of one second apart
			}
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// log is what was asked since the last time.
func (s *site) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.asked, "\n")
	s.asked = nil
	return out
}

func (s *site) answers(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// named is the site's URL by another name of this machine.
func (s *site) named(host string) string { return strings.Replace(s.URL, "127.0.0.1", host, 1) }

// A world is a Fetcher with a repository to render, and what the operator set up.
type world struct {
	t       *testing.T
	repo    string // what is rendered
	secrets string
	caDir   string
	cache   string
	conf    string // registries.conf
	lines   string // tagpin.yaml
	now     time.Time
	log     strings.Builder
	fetcher *fetch.Fetcher
}

func newWorld(t *testing.T, sites ...*site) *world {
	w := &world{t: t, repo: t.TempDir(), secrets: t.TempDir(), caDir: t.TempDir(), cache: filepath.Join(t.TempDir(), "cache"), now: time.Now()}
	for _, s := range sites {
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		w.file(w.caDir, "127.0.0.1", string(ca)) // httptest has one certificate for all its servers
	}
	return w
}

func (w *world) file(dir, name, text string) {
	w.t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) secret(name, user, password string) {
	w.file(w.secrets, "argocd/"+name+"/username", user)
	w.file(w.secrets, "argocd/"+name+"/password", password)
}

// start makes the Fetcher, as at the start of the process. What is on disk stays.
func (w *world) start(settings string) {
	w.t.Helper()
	w.lines = settings
	parsed, err := config.Parse("tagpin.yaml", []byte(settings))
	if err != nil {
		w.t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(&w.log)
	secrets := config.OpenSecrets(w.secrets)
	registries, err := registry.New(registry.Options{Secrets: secrets, Settings: parsed, Log: log, ConfPath: w.conf})
	if err != nil {
		w.t.Fatal(err)
	}
	bases, err := writeback.New(writeback.Options{CacheDir: w.cache + "-git", Settings: parsed, Secrets: secrets, CADir: w.caDir})
	if err != nil {
		w.t.Fatal(err)
	}
	w.fetcher = fetch.New(fetch.Options{
		Render: render.Render, Settings: parsed, Secrets: secrets, Charts: registries, Bases: bases, Dir: w.cache, CADir: w.caDir, Log: log,
		Now: func() time.Time { return w.now },
	})
}

func (w *world) render(change ...func(*render.Request)) (string, error) {
	w.t.Helper()
	before := listing(w.t, w.repo)
	r := render.Request{Root: w.repo, Path: ".", App: render.App{Name: "shop"}, For: image.Application{Name: "shop", Project: "shop"}}
	for _, f := range change {
		f(&r)
	}
	got, err := w.fetcher.Render(w.t.Context(), r)
	if after := listing(w.t, w.repo); after != before {
		w.t.Errorf("the repository was changed:\n%s\nbefore:\n%s", after, before)
	}
	if text := w.log.String() + string(got.Manifests); strings.Contains(text, canary) || err != nil && strings.Contains(err.Error(), canary) {
		w.t.Errorf("a secret is shown: %v\n%s", err, text)
	}
	return string(got.Manifests), err
}

// wants renders and looks for a text in the manifests.
func (w *world) wants(text string, change ...func(*render.Request)) {
	w.t.Helper()
	got, err := w.render(change...)
	if err != nil || !strings.Contains(got, text) {
		w.t.Errorf("want %q, got %v\n%s", text, err, got)
	}
}

// fails renders and looks for texts in the error.
func (w *world) fails(texts ...string) {
	w.t.Helper()
	w.failsWith(nil, texts...)
}

func (w *world) failsWith(change func(*render.Request), texts ...string) {
	w.t.Helper()
	if change == nil {
		change = func(*render.Request) {}
	}
	got, err := w.render(change)
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			w.t.Errorf("want the error %q, got %v\n%s", text, err, got)
		}
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			out.WriteString(path + info.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// helm runs the real program.
func helm(t *testing.T, dir string, args ...string) {
	t.Helper()
	tools, err := program.Tools()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(tools, "helm"), args...)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// pack packs a chart that says its version into a directory, and gives the archive's name.
func (w *world) pack(to, name, version string) string {
	w.t.Helper()
	src := w.t.TempDir()
	w.file(src, name+"/Chart.yaml", "apiVersion: v2\nname: "+name+"\nversion: "+version+"\n")
	w.file(src, name+"/values.yaml", "port: 6379\n")
	w.file(src, name+"/templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-"+name+"}\n"+
		"data: {version: \"{{ .Chart.Version }}\", port: \"{{ .Values.port }}\"}\n")
	helm(w.t, src, "package", name, "-d", to)
	return filepath.Join(to, name+"-"+version+".tgz")
}

// publish packs versions of a chart into a site's directory and writes its index with the helm program.
func (w *world) publish(s *site, dir, name string, versions ...string) {
	w.t.Helper()
	to := filepath.Join(s.dir, dir)
	for _, v := range versions {
		w.pack(to, name, v)
	}
	helm(w.t, to, "repo", "index", ".")
}

// umbrella writes a chart with dependencies to the repository.
func (w *world) umbrella(dependencies string) {
	w.file(w.repo, "Chart.yaml", "apiVersion: v2\nname: umbrella\nversion: 1.0.0\ndependencies:\n"+dependencies)
	w.file(w.repo, "templates/own.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {{ toYaml .Values | quote }}\n")
}
