// Package fetch brings what a render needs from elsewhere: charts, kustomize's remote bases, single files. Make a Fetcher with the
// renderer that it stands before, and give its Render method where a renderer is wanted.
//
// It runs in the server and reads as little as it can of what it brings: charts and kustomizations are read by the renderer, which
// has no network, and which says in a render.NeedsError what it wants. From where something may be fetched, and with which
// credential, is said by the operator's bindings alone. What was fetched is kept on disk, so that a render which names exact
// versions asks nobody the second time.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

const (
	// maxRounds bounds how deep needs may be nested: a base in a base in a base.
	maxRounds = 10
	// maxNeeds bounds what one render may have fetched.
	maxNeeds = 200
	// atATime is how much of it is fetched at a time.
	atATime = 4
	// loadTimeout bounds one of it. It is longer than a render waits: the next one finds what came too late for the first.
	loadTimeout = 2 * time.Minute
)

// Charts pulls charts from OCI registries. repository is host/path; an empty credential means the registry's own.
type Charts interface {
	ChartTags(ctx context.Context, app image.Application, repository string, bound config.Credential) ([]string, error)
	Chart(ctx context.Context, app image.Application, repository, tag string, bound config.Credential) ([]byte, error)
}

// Bases reads Git repositories. An empty credential means none.
type Bases interface {
	BaseCommit(ctx context.Context, repository, ref string, c config.Credential) (string, error)
	BaseTree(ctx context.Context, repository, sha, dir string, c config.Credential) error
}

// Options make a Fetcher.
type Options struct {
	// Render is the renderer that is asked again when its needs are met.
	Render   func(context.Context, render.Request) (render.Result, error)
	Settings config.Settings
	Secrets  config.Secrets
	Charts   Charts
	Bases    Bases
	// Dir is where what was fetched is kept. It may be deleted while nothing runs.
	Dir string
	// CADir has a file with the CA of each host that needs one: Argo CD's argocd-tls-certs-cm. May be empty.
	CADir string
	// Log is told of what did not stop a render. Nil: the standard logger.
	Log logrus.FieldLogger
	// Now replaces time.Now in tests.
	Now func() time.Time
}

// A Fetcher is safe for concurrent use.
type Fetcher struct {
	o       Options
	store   *store
	http    *client
	moving  *cache.Cache[record] // what a URL, a range or a branch stood for
	indexes *cache.Cache[*index]
	parsing sync.Mutex
}

// New makes a Fetcher. Its directory is made when something is kept.
func New(o Options) *Fetcher {
	if o.Log == nil {
		o.Log = logrus.StandardLogger()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Fetcher{
		o:     o,
		store: &store{dir: o.Dir, limit: int64(o.Settings.Limits.FetchCacheBytes), now: o.Now},
		http:  newClient(o.Settings, o.CADir),
		moving: cache.New[record](cache.Options{
			TTL: cache.DefaultTTL, ErrorTTL: cache.DefaultErrorTTL, StaleFor: cache.DefaultStaleFor, ServeStale: passing, Now: o.Now,
			LoadTimeout: loadTimeout,
		}),
		indexes: cache.New[*index](cache.Options{MaxItems: maxIndexes, Now: o.Now}),
	}
}

// Render renders, and brings what that needs. Like every renderer it may return after the end of ctx.
func (f *Fetcher) Render(ctx context.Context, r render.Request) (render.Result, error) {
	r.ChartRepositories = f.named(r.For)
	r.Fetched = map[string]string{}
	left := f.o.Settings.Limits.FetchTimeout
	for range maxRounds {
		result, err := f.o.Render(ctx, r)
		var needs *render.NeedsError
		if !errors.As(err, &needs) {
			return result, err
		}
		if len(needs.Needs)+len(r.Fetched) > maxNeeds {
			return render.Result{}, fmt.Errorf("the application needs more than %d charts, bases and files from elsewhere: keep some in "+
				"the repository", maxNeeds)
		}
		begin := f.o.Now()
		if err := f.bring(ctx, left, &r, needs.Needs); err != nil {
			return render.Result{}, err
		}
		left -= f.o.Now().Sub(begin)
	}
	return render.Result{}, fmt.Errorf("what was fetched needs something else, and so on for more than %d rounds: look for bases that "+
		"name each other", maxRounds)
}

// bring fetches for at most the time that is left. Everything that fails is told, in the order of the needs.
func (f *Fetcher) bring(ctx context.Context, left time.Duration, r *render.Request, needs []render.Need) error {
	within, cancel := context.WithTimeoutCause(ctx, left, &tooSlowError{f.o.Settings.Limits.FetchTimeout})
	defer cancel()
	paths, failures := make([]string, len(needs)), make([]error, len(needs))
	var work errgroup.Group
	work.SetLimit(atATime)
	for i, n := range needs {
		work.Go(func() error {
			w := want{Fetcher: f, Need: n, r: r}
			var err error
			if paths[i], err = w.get(within); err != nil {
				failures[i] = fmt.Errorf("%s: %w", n, explain(within, err))
			}
			return nil
		})
	}
	_ = work.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	for i, n := range needs {
		r.Fetched[n.Key()] = paths[i]
	}
	return nil
}

// named are the chart repositories that this application may call by a name.
func (f *Fetcher) named(app image.Application) map[string]string {
	urls := map[string]string{}
	for _, b := range f.o.Settings.Bindings {
		if b.Name == "" {
			continue
		}
		if u, err := f.o.Settings.ChartRepository(string(b.Name), who(app)); err == nil {
			urls[string(b.Name)] = u.String()
		}
	}
	return urls
}

// who is the application as bindings know it.
func who(app image.Application) config.App {
	return config.App{Name: app.Name, Project: app.Project, RepoURL: app.RepoURL, Path: app.Path, Branch: app.TargetRevision}
}

// A want is one need of one render.
type want struct {
	*Fetcher
	render.Need
	r *render.Request
}

var errUnknownNeed = errors.New("nobody knows how to fetch this")

func (w want) get(ctx context.Context) (string, error) {
	switch w.Kind {
	case render.ChartNeed:
		return w.chart(ctx)
	case render.FileNeed:
		return w.file(ctx)
	case render.BaseNeed:
		return w.base(ctx)
	case render.ResourceNeed:
		return w.resource(ctx)
	}
	return "", errUnknownNeed
}
