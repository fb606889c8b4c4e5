// Package update tests the update loop with real parts: a registry that answers like ACR, git's own HTTP backend, and the
// packages as cmd puts them together.
package update

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/resolve"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback"
)

const (
	acrHost    = "registry.cn-hangzhou.aliyuncs.com"
	echo       = "haoshuwei24/echo-server"
	echoServer = acrHost + "/" + echo
	gitUser    = "robot"
	// Canaries: they may be in no log, error, status or commit.
	gitPassword = "git-Canary-password"
)

// A world is a registry, a Git server and what an operator sets up.
type world struct {
	t       testing.TB
	reg     *acr.Server
	git     *gitserver.Server
	secrets string
	conf    string
	log     *lockedBuffer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, reg: acr.Start(t, acr.Options{}), git: gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}), log: &lockedBuffer{}}
	w.secrets = t.TempDir()
	for path, text := range map[string]string{
		"argocd/acr/acr": acr.User + ":" + acr.Password, "argocd/git-creds/username": gitUser, "argocd/git-creds/password": gitPassword,
	} {
		full := filepath.Join(w.secrets, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.conf = filepath.Join(t.TempDir(), "registries.conf")
	if err := os.WriteFile(w.conf, []byte(w.reg.ConfFile("secret:argocd/acr#acr", acrHost)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, canary := range []string{"Canary", acr.Leak} { // every password has the word in it
			if strings.Contains(w.log.String(), canary) {
				t.Errorf("the log gives %q away:\n%s", canary, w.log)
			}
			for _, repo := range w.git.Repositories() {
				if strings.Contains(w.git.Git(repo, "log", "--all", "--format=fuller", "-p"), canary) {
					t.Errorf("a commit of %s gives %q away", repo, canary)
				}
			}
		}
		if t.Failed() {
			t.Logf("log:\n%s", w.log)
		}
	})
	return w
}

// An updater is one process's loop.
type updater struct {
	*reconcile.Loop
	registries *registry.Registries
	cache      string
}

// updater makes a loop with caches of its own. ttl is that of tag lists.
func (w *world) updater(ttl time.Duration) *updater {
	w.t.Helper()
	return w.updaterOf(ttl, writeback.Options{Settings: w.settings("")})
}

// settings bind the credential to the Git server; more is added to them.
func (w *world) settings(more string) config.Settings {
	w.t.Helper()
	s, err := config.Parse("tagpin.yaml", fmt.Appendf(nil, "bindings:\n- {credential: secret:argocd/git-creds, kind: git, url: %q}\n%s",
		strings.TrimSuffix(w.git.URL("x"), "/x.git"), more))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// updaterOf is updater with options of its own for writing.
func (w *world) updaterOf(ttl time.Duration, o writeback.Options, change ...func(*reconcile.Options)) *updater {
	w.t.Helper()
	log := logrus.New()
	log.SetOutput(w.log)
	log.SetLevel(logrus.DebugLevel)
	secrets := config.OpenSecrets(w.secrets)
	registries, err := registry.New(registry.Options{ConfPath: w.conf, Secrets: secrets, Settings: o.Settings, CacheTTL: ttl, Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	o.CacheDir, o.Secrets = w.t.TempDir(), secrets
	writer, err := writeback.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	options := reconcile.Options{
		Store: reconcile.NewMemory(), Resolver: resolver{registries}, Writer: writer, Identity: registries.Identity, Log: log, Distance: time.Nanosecond,
	}
	for _, f := range change {
		f(&options)
	}
	if options.Verifier != nil {
		options.Overrides = writer
	}
	loop := reconcile.New(options)
	return &updater{loop, registries, o.CacheDir}
}

type resolver struct{ r *registry.Registries }

func (r resolver) Resolve(ctx context.Context, app image.Application, e image.Entry) (image.Choice, error) {
	return r.ResolveSince(ctx, app, e, time.Time{})
}

func (r resolver) Lists(ctx context.Context, app image.Application, e image.Entry, tag string) (bool, error) {
	repo, err := r.r.Repository(ctx, app, e)
	return err == nil && repo.Lists(tag), err
}

func (r resolver) ResolveSince(ctx context.Context, app image.Application, e image.Entry, moment time.Time) (image.Choice, error) {
	repo, err := r.r.Repository(ctx, app, e)
	if err != nil {
		return image.Choice{}, err
	}
	repo.Since(moment)
	choice, err := resolve.Resolve(ctx, repo, e, time.Now())
	choice.Stale = repo.Staleness()
	return choice, err
}

func (r resolver) Newer(ctx context.Context, app image.Application, e image.Entry, tag, than string) (bool, error) {
	repo, err := r.r.Repository(ctx, app, e)
	if err != nil {
		return false, err
	}
	return resolve.Newer(ctx, repo, e, tag, than)
}

// hint is what a render of an application tells. parameters are name, value, name, value, ….
func (w *world) hint(repo, app, path string, parameters ...string) reconcile.Hint {
	w.t.Helper()
	h := reconcile.Hint{
		App:  image.Application{Name: app, Project: "default", RepoURL: w.git.URL(repo), Path: path, TargetRevision: "main", Revision: w.git.Tip(repo, "main")},
		Seen: time.Now(),
	}
	set := map[string]string{"image-list": "echoserver=" + echoServer, "write-back-method": "git:secret:argocd/git-creds"}
	for i := 0; i < len(parameters); i += 2 {
		set[parameters[i]] = parameters[i+1]
	}
	for name, value := range set {
		if value != "" {
			h.Parameters = append(h.Parameters, image.Parameter{Name: name, String: &value})
		}
	}
	slices.SortFunc(h.Parameters, func(a, b image.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return h
}

// check observes and checks once.
func (u *updater) check(t *testing.T, hints ...reconcile.Hint) reconcile.Summary {
	t.Helper()
	for _, h := range hints {
		u.Observe(h)
	}
	u.Take(t.Context())
	return u.Check(t.Context())
}

// line is what git prints, without the last line break.
func (w *world) line(args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(w.git.Git(args[0], args[1:]...))
}

// status is that of one application.
func (u *updater) status(t *testing.T, app string) reconcile.Status {
	t.Helper()
	for _, s := range u.Status() {
		if s.App.Name == app {
			return s
		}
	}
	t.Fatalf("no status of %s among %+v", app, u.Status())
	return reconcile.Status{}
}

func wantState(t *testing.T, s reconcile.Status, state image.State, reason string) {
	t.Helper()
	if s.State != state || !strings.Contains(s.Reason, reason) {
		t.Errorf("%s is %s (%s), want %s (…%s…)", s.App.Name, s.State, s.Reason, state, reason)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
