// Package registry asks OCI registries about tags. Call New once, then Repository for each image:
//
//	regs, err := registry.New(registry.Options{ConfPath: "registries.conf", Secrets: secrets, Settings: settings})
//	repo, err := regs.Repository(ctx, app, entry)
//	tags, err := repo.Tags(ctx)
//
// A Repository is what package resolve asks. Behind it are registries.conf with its credentials, go-containerregistry as
// the client, limits and retries per registry, a guard on what is dialled, and the caches: tag lists for a minute, content
// by digest for as long as there is room.
package registry

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/network"
)

// Options configure Registries. The zero value asks public registries anonymously.
type Options struct {
	// ConfPath is the registries.conf; empty: none.
	ConfPath string
	// ConfRequired makes a missing file an error at the start. Without it, the file counts from when it appears.
	ConfRequired bool
	// Secrets is the directory of mounted Secrets; the zero value makes references to Secrets errors.
	Secrets config.Secrets
	// Settings hold the operator's bindings and network rules.
	Settings config.Settings
	// Credentials is a reference from a command line, "[<registry>=]<reference>", that goes before those of registries.conf:
	// for that registry, or for all.
	Credentials string
	// CacheTTL is how long a tag list is fresh; zero: cache.DefaultTTL.
	CacheTTL time.Duration
	// Shared is a second level for the caches; the zero value is none.
	Shared Shared
	// Log gets what no caller can be told, such as a broken new registries.conf. Nil: logrus.StandardLogger.
	Log logrus.FieldLogger
	// Wrap, if set, sees each request that goes out, below retries, limits and caches.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Told, if set, hears of each request. It must not block.
	Told func(Attempt)
	// Env replaces os.Getenv in tests. Read are DOCKER_CONFIG, and the variables of RRSA for instances that the operator lists.
	Env func(string) string
	// Now replaces time.Now in tests.
	Now func() time.Time
}

// Registries is safe for concurrent use.
type Registries struct {
	opts     Options
	conf     *confFile
	override *override
	requests atomic.Int64

	names   cache.Fingerprints
	tags    *cache.Cache[*tagList]
	tagged  *cache.Cache[tagged]  // tag → content, for Describe
	digests *cache.Cache[string]  // tag → digest, for Digest
	content *cache.Cache[content] // by digest: manifests and configs
	seen    *sightings
	logins  *loginCache
	asked   *asked
	acr     *acr

	mu     sync.Mutex
	of     *conf             // the version that hosts were made for
	hosts  map[string]*host  // by Endpoint identity
	quotas map[string]*quota // by origin
}

// A host is one registry as it is reached now.
type host struct {
	rt      http.RoundTripper
	mu      sync.Mutex
	clients map[string]*client // by repository path and credential
}

const (
	// tagMemory is how long Describe trusts what a tag pointed to, at most. Half of it to all of it, so that a thousand tags that
	// were read together are not asked about together again.
	tagMemory = time.Hour
	// confirmAtOnce is how many of these questions one resolution puts; the rest wait for the next, but not beyond confirmLatest.
	confirmAtOnce = 32
	confirmLatest = 24 * time.Hour
	// The bounds of what is kept.
	maxHosts   = 256
	maxClients = 1024 // per host
	maxContent = 50_000
	maxTagged  = 50_000
)

// New loads registries.conf. A file that is missing or broken at this moment is an error.
func New(o Options) (*Registries, error) {
	if o.CacheTTL == 0 {
		o.CacheTTL = cache.DefaultTTL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logrus.StandardLogger()
	}
	if o.Env == nil {
		o.Env = os.Getenv
	}
	conf, err := openConf(o)
	if err != nil {
		return nil, err
	}
	over, err := parseOverride(o.Credentials)
	if err != nil {
		return nil, err
	}
	stale := cache.Options{
		TTL: o.CacheTTL, ErrorTTL: cache.DefaultErrorTTL, StaleFor: cache.DefaultStaleFor, ServeStale: ServeStale, Now: o.Now,
	}
	memory := stale
	memory.TTL, memory.MaxItems = 0, maxTagged // Describe goes by the age
	r := &Registries{
		opts: o, conf: conf, override: over, names: cache.NewFingerprints(o.Shared.Secret),
		tags:    cache.New[*tagList](stale),
		digests: cache.New[string](stale),
		tagged:  cache.New[tagged](memory),
		content: cache.New[content](cache.Options{ErrorTTL: cache.DefaultErrorTTL, MaxItems: maxContent, Now: o.Now}),
		seen:    newSightings(),
		logins:  newLoginCache(o.Now),
		asked:   newAsked(),
		hosts:   map[string]*host{},
		quotas:  map[string]*quota{},
	}
	if r.acr, err = newACR(o, stale, r.count); err != nil {
		return nil, err
	}
	r.share(o.Shared)
	return r, nil
}

// Repository finds the registry of an image and the credential that applies: the entry's pull-secret where the operator
// bound it for this application, else the one of registries.conf, else what docs/acr.md says for ACR, else none. It asks
// nothing of the registry yet, but it may get a temporary login. Use a new one for each resolution: it follows changes of registries.conf and of Secrets, and Staleness tells of this one's answers.
func (r *Registries) Repository(ctx context.Context, app image.Application, e image.Entry) (*Repository, error) {
	return r.repository(ctx, app, e, config.Credential{})
}

// repository is Repository. A credential that isn't empty goes before all others: the operator bound it.
func (r *Registries) repository(ctx context.Context, app image.Application, e image.Entry, bound config.Credential) (*Repository, error) {
	c := r.conf.current()
	ep, path := c.find(e.Image)
	repo := &Repository{
		r: r, ep: ep, app: app, entry: e, bound: bound, host: registryName(e.Image), path: path,
		origin: r.origin(ep), identity: r.Identity(e.Image), instance: r.acr.find(ep),
	}
	l, err := repo.resolveLogin(ctx)
	if api := repo.explainAPI(err); api != nil {
		return nil, api
	}
	if err != nil {
		return nil, repo.problem(err)
	}
	repo.cred.Store(l)
	if repo.via, err = r.hostOf(c, ep); err != nil {
		return nil, repo.problem(err)
	}
	if _, err := repo.client(); err != nil {
		return nil, repo.problem(err)
	}
	return repo, nil
}

// Requests counts what has been sent to registries, token servers and blob stores, retries included.
func (r *Registries) Requests() int64 { return r.requests.Load() }

// ConfProblem is what is wrong with the present registries.conf, if the last good version is used in its place.
func (r *Registries) ConfProblem() error {
	r.conf.current()
	return r.conf.problem()
}

// hostOf returns the one way to a registry, so that its limits hold for everybody together. A new registries.conf makes new
// ones; those in use live on with their users.
func (r *Registries) hostOf(c *conf, e *Endpoint) (*host, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of != c || len(r.hosts) >= maxHosts {
		r.of = c
		clear(r.hosts)
		clear(r.quotas)
	}
	id := e.identity()
	if h := r.hosts[id]; h != nil {
		return h, nil
	}
	g := guard{named: r.named, acr: e.ACR != nil || isACR(e.API.Hostname())}
	if e.Named {
		g.own = e.API.Hostname()
	}
	b := bounded{named: e.Named, quota: r.quota(e), told: r.opts.Told}
	rt, err := newTransport(*e, g, b, r.trusted(e))
	if err != nil {
		return nil, err
	}
	h := &host{rt: rt, clients: map[string]*client{}}
	r.hosts[id] = h
	return h, nil
}

// quota is that of all host names of a registry together. Where entries differ, the lower limit holds.
func (r *Registries) quota(e *Endpoint) *quota {
	name, limit := r.origin(e), e.perSecond()
	q := r.quotas[name]
	if q == nil {
		q = newQuota(limit)
		r.quotas[name] = q
	}
	if rate.Limit(limit) < q.rate.Limit() {
		q.rate.SetLimit(rate.Limit(limit))
	}
	return q
}

// trusted is count and, for ACR, the check of where credentials go.
func (r *Registries) trusted(e *Endpoint) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		if t := r.trust(e); t != nil {
			t.next = r.count(next)
			return t
		}
		return r.count(next)
	}
}

// trust is that check, or nil.
func (r *Registries) trust(e *Endpoint) *acrTrust {
	if e.ACR == nil && !isACR(e.API.Hostname()) {
		return nil
	}
	region, instance := r.claims(e)
	return &acrTrust{
		host: e.API.Host, region: region, instance: instance, log: r.opts.Log,
		named: func(host string) bool { return r.opts.Settings.MayDial(host, netip.Addr{}) },
	}
}

// count is the wrap that every transport gets.
func (r *Registries) count(next http.RoundTripper) http.RoundTripper {
	if r.opts.Wrap != nil {
		next = r.opts.Wrap(next)
	}
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		r.requests.Add(1)
		return next.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// named says whether the operator named a host: with its port as an api_url of registries.conf, or in tagpin.yaml.
func (r *Registries) named(host, port string, addr netip.Addr) bool {
	return slices.ContainsFunc(r.conf.current().entries, func(e Endpoint) bool {
		return e.API.Hostname() == host && network.PortOf(e.API) == port
	}) || r.opts.Settings.MayDial(host, addr)
}
