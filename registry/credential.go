package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
)

const (
	// extTimeout and maxExtOutput bound an ext: program; the time is argocd-image-updater's.
	extTimeout   = 10 * time.Second
	maxExtOutput = 64 << 10
)

// A login is a user name and a password, and the reference that they came by. Nil is anonymous.
type login struct {
	ref            config.Credential
	user, password string
	// label stands for ref where there is none.
	label string
	// who names the identity behind a temporary password, which stays when the password is renewed.
	who string
}

func (l *login) anonymous() bool { return l == nil }

// fingerprint names it in the keys of caches.
func (l *login) fingerprint(f cache.Fingerprints) string {
	if l.anonymous() {
		return "anonymous"
	}
	if l.who != "" {
		return "renewed " + f.Of([]byte(l.who))
	}
	return f.Of([]byte(l.password), l.user)
}

// secret is another one for each password.
func (l *login) secret() string {
	if l.anonymous() {
		return "anonymous"
	}
	return cache.Fingerprint([]byte(l.password), l.user)
}

// String says where it came from.
func (l *login) String() string {
	if l.label != "" {
		return l.label
	}
	return l.ref.String()
}

func parseLogin(ref config.Credential, text string) (*login, error) {
	l, err := config.ParseLogin(ref, text)
	if err != nil {
		return nil, err
	}
	return &login{ref: ref, user: l.User, password: l.Password}, nil
}

// resolveLogin reads the credential that applies to the repository now.
func (r *Repository) resolveLogin(ctx context.Context) (*login, error) {
	switch {
	case r.bound.Kind == config.Secret && r.bound.Field == "":
		l, err := r.r.opts.Secrets.Login(r.bound)
		return &login{ref: r.bound, user: l.User, password: l.Password}, err
	case r.bound != config.Credential{}:
		return r.read(ctx, r.bound)
	case r.entry.PullSecret != "":
		ref, err := r.boundSecret()
		if err != nil {
			return nil, err
		}
		return r.read(ctx, ref)
	case r.r.override != nil && r.r.override.applies(r.host):
		return r.read(ctx, r.r.override.credential)
	case r.ep.Credentials != nil:
		return r.read(ctx, *r.ep.Credentials)
	case r.instance != nil:
		return r.r.acr.login(ctx, r.instance)
	}
	return r.impliedLogin(ctx)
}

// boundSecret is the application's own reference, if the operator bound it for this repository and application.
func (r *Repository) boundSecret() (config.Credential, error) {
	host, ref, err := config.ParseRegistryCredential(r.entry.PullSecret)
	switch {
	case err != nil:
		return ref, fmt.Errorf("pull-secret: %w", err)
	case ref.OperatorOnly():
		return ref, fmt.Errorf("pull-secret %s: only operators may use env: and ext:, in registries.conf; "+
			"use pullsecret:<namespace>/<name> or secret:<namespace>/<name>#<field>", ref)
	case host != "" && !sameHost(host, r.host):
		return ref, fmt.Errorf("pull-secret %s is meant for another registry than %s: change what stands before =", ref, r.host)
	}
	_, err = r.r.opts.Settings.Bound(config.Use{
		Credential: ref.String(), Kind: config.Registry, URL: "https://" + r.host + "/" + r.path,
		App: config.App{
			Name: r.app.Name, Project: r.app.Project, RepoURL: r.app.RepoURL, Path: r.app.Path, Branch: r.app.TargetRevision,
		},
	})
	return ref, err
}

func (r *Repository) read(ctx context.Context, ref config.Credential) (*login, error) {
	switch ref.Kind {
	case config.Secret:
		if ref.Field == "" {
			return nil, fmt.Errorf("%s: name the field after #", ref)
		}
		text, err := r.r.opts.Secrets.Read(ref.Namespace, ref.Name, ref.Field)
		if err != nil {
			return nil, err
		}
		return parseLogin(ref, text)
	case config.PullSecret:
		text, err := r.r.opts.Secrets.Read(ref.Namespace, ref.Name, config.PullSecretField)
		if err != nil {
			return nil, err
		}
		return fromDockerConfig(ref, []byte(text), r.hostNames(), r.path)
	case config.Env, config.Ext:
		return r.r.logins.get(ctx, ref, r.ep.CredsExpire)
	}
	return nil, fmt.Errorf("%s: unknown kind of credential", ref)
}

// hostNames are the names under which a docker config may hold this registry.
func (r *Repository) hostNames() []string {
	names := []string{r.host, r.ep.API.Host}
	if r.host == dockerHub {
		names = append(names, dockerHubAPI, "registry-1.docker.io")
	}
	return names
}

// loginCache keeps what env and ext gave, for as long as credsexpire says: a program may be slow. Secrets are files and are
// read each time instead.
type loginCache struct {
	now func() time.Time
	mu  sync.Mutex
	by  map[config.Credential]*keptLogin
}

type keptLogin struct {
	mu    sync.Mutex // held while a program runs, so that it runs once
	login *login
	at    time.Time
}

func newLoginCache(now func() time.Time) *loginCache {
	return &loginCache{now: now, by: map[config.Credential]*keptLogin{}}
}

// get returns the kept login, or a new one when it is older than expire (0: never).
func (c *loginCache) get(ctx context.Context, ref config.Credential, expire time.Duration) (*login, error) {
	c.mu.Lock()
	kept := c.by[ref]
	if kept == nil {
		kept = &keptLogin{}
		c.by[ref] = kept
	}
	c.mu.Unlock()
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if kept.login != nil && (expire == 0 || c.now().Sub(kept.at) < expire) {
		return kept.login, nil
	}
	text, err := produce(ctx, ref)
	if err != nil {
		return nil, err
	}
	l, err := parseLogin(ref, text)
	if err == nil {
		kept.login, kept.at = l, c.now()
	}
	return l, err
}

// forget drops a login that was refused, unless it has been replaced already.
func (c *loginCache) forget(l *login) {
	if l.anonymous() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.by[l.ref]; kept != nil && kept.mu.TryLock() {
		if kept.login == l {
			kept.login = nil
		}
		kept.mu.Unlock()
	}
}

func produce(ctx context.Context, ref config.Credential) (string, error) {
	if ref.Kind == config.Env {
		text, ok := os.LookupEnv(ref.Var)
		if !ok {
			return "", fmt.Errorf("%s: the variable is not set in tagpin's environment", ref)
		}
		return text, nil
	}
	ctx, cancel := context.WithTimeout(ctx, extTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, ref.Path) //nolint:gosec // named by the operator, absolute, without arguments
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // for children that keep the pipe open
	out := &atMost{limit: maxExtOutput}
	cmd.Stdout = out
	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: did not end within %v", ref, extTimeout)
	case out.over:
		return "", fmt.Errorf("%s: must print one line of the form user:password", ref)
	case err != nil:
		return "", fmt.Errorf("%s: %w", ref, errExt(err))
	}
	return out.buf.String(), nil
}

// errExt keeps the exit status and drops paths and output.
func errExt(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("the program ended with status %d", exit.ExitCode())
	}
	return errors.New("the program cannot be run: check that it is there and executable")
}

// atMost is a buffer that stops the writer beyond its limit.
type atMost struct {
	buf   bytes.Buffer
	limit int
	over  bool
}

func (a *atMost) Write(p []byte) (int, error) {
	if a.buf.Len()+len(p) > a.limit {
		a.over = true
		return 0, errTooLarge
	}
	return a.buf.Write(p)
}

// An override is a credential from the command line, for one registry or, with an empty host, for all.
type override struct {
	host       string
	credential config.Credential
}

func parseOverride(s string) (*override, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // none
	}
	host, ref, err := config.ParseRegistryCredential(s)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	return &override{host, ref}, nil
}

func (o *override) applies(host string) bool { return o.host == "" || sameHost(o.host, host) }
