package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
)

// A Repository answers for one image repository, with one application's credential. Errors are *Error, or wrap
// image.ErrNotImage or image.ErrTagGone.
type Repository struct {
	r     *Registries
	ep    *Endpoint
	via   *host
	app   image.Application
	entry image.Entry
	bound config.Credential // by the operator, for charts; empty: none
	host  string            // as the user knows it
	path  string            // below the registry

	origin   string         // see Registries.origin
	identity string         // see Registries.Identity
	instance *instancePlace // the listed ACR instance that it is on; nil: none

	since    time.Time    // answers must be younger; zero: by their TTL
	confirms atomic.Int32 // how many tags Describe has asked about again
	justRead sync.Map     // the digests of the tags whose manifests this Repository read itself

	cred    atomic.Pointer[login]
	noField atomic.Bool  // the Secret argocd/acr would serve, and lacks its field
	stale   atomic.Int64 // nanoseconds
}

// Tags lists all tags, sorted, without repeats. It is never a partial list. After an outage (but not after a refusal) it may
// be the last known one: see Staleness.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	key := r.key()
	r.r.asked.note(r.identity, answerKey{r.r.tags, key})
	list, info, err := get(ctx, r, r.r.tags, key, r.loadTags)
	if err != nil {
		return nil, r.explain(err, "")
	}
	r.note(info)
	r.r.seen.learn(r.place(), list, r.r.opts.Now())
	return slices.Clone(list.tags), nil
}

func (r *Repository) loadTags(ctx context.Context) (*tagList, error) {
	if last, _, ok := r.r.tags.Peek(r.key()); ok {
		r.r.seen.learn(r.place(), last, r.r.opts.Now()) // another replica's, from before
	}
	tags, err := ask(ctx, r, "", func(ctx context.Context, c *client) ([]string, error) { return c.list(ctx) })
	if err != nil {
		return nil, err
	}
	return r.r.seen.observe(r.place(), tags, r.r.opts.Now()), nil
}

// Digest is what a tag points to, asked anew when the last answer is older than the TTL of tag lists.
func (r *Repository) Digest(ctx context.Context, tag string) (string, error) {
	if !tagRE.MatchString(tag) {
		return "", r.badTag(tag)
	}
	if digest, ok := r.justRead.Load(tag); ok {
		return digest.(string), nil // a moment ago
	}
	key := r.key(tag)
	r.r.asked.note(r.identity, answerKey{r.r.digests, key})
	digest, info, err := get(ctx, r, r.r.digests, key, func(ctx context.Context) (string, error) {
		d, err := ask(ctx, r, tag, func(ctx context.Context, c *client) (string, error) { return c.digest(ctx, tag) })
		return d, r.orGone(ctx, tag, err)
	})
	if err != nil {
		return "", r.explain(err, tag)
	}
	r.note(info)
	if known, _, ok := r.r.tagged.Peek(key); ok && known.digest != digest && info.Stale == nil {
		r.r.tagged.MarkStale(key) // it was moved: Describe reads it again
	}
	return digest, nil
}

// Since makes this Repository's lists and digests answers to questions put after a moment.
func (r *Repository) Since(moment time.Time) { r.since = moment }

// Lists says whether a tag is in the list that is known, without asking.
func (r *Repository) Lists(tag string) bool {
	if list, _, ok := r.r.tags.Peek(r.key()); ok && slices.Contains(list.tags, tag) {
		return true
	}
	pushes, _, _ := r.r.acr.pushes.Peek(r.pushesKey())
	return slices.ContainsFunc(pushes, func(t image.Tag) bool { return t.Name == tag })
}

// get asks a cache, for what is young enough.
func get[T any](ctx context.Context, r *Repository, c *cache.Cache[T], key string, load func(context.Context) (T, error)) (T, cache.Info, error) {
	if r.since.IsZero() {
		return c.GetOrLoad(ctx, key, load)
	}
	return c.GetSince(ctx, key, r.since, load)
}

// Staleness is how old the oldest answer was that stood in for one that could not be had; zero when all were fresh.
func (r *Repository) Staleness() time.Duration { return time.Duration(r.stale.Load()) }

func (r *Repository) note(info cache.Info) {
	for info.Stale != nil {
		old := r.stale.Load()
		if int64(info.Age) <= old || r.stale.CompareAndSwap(old, int64(info.Age)) {
			return
		}
	}
}

// orGone tells a tag that vanished from one that is there and cannot be read: after a 404, only a fresh list knows. A list
// that lacks the tag already has been read since the caller's, so that many vanished tags cost one list.
func (r *Repository) orGone(ctx context.Context, tag string, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound {
		return err
	}
	list, info, known := r.r.tags.Peek(r.key())
	if !known || info.Stale != nil || slices.Contains(list.tags, tag) {
		var listErr error
		if list, _, listErr = r.r.tags.Refresh(ctx, r.key(), r.loadTags); listErr != nil {
			return listErr
		}
	}
	if slices.Contains(list.tags, tag) {
		return err
	}
	return fmt.Errorf("%s/%s:%s: %w", r.host, r.path, tag, image.ErrTagGone)
}

func (r *Repository) badTag(tag string) error {
	if len(tag) > 128 {
		tag = tag[:128] + "…"
	}
	return &Error{Registry: r.host, Repository: r.path, Problem: fmt.Sprintf("%q is no valid tag", tag)}
}

// problem explains what stands in the way before anything was asked.
func (r *Repository) problem(err error) error {
	return &Error{Registry: r.host, Repository: r.path, Problem: err.Error(), cause: err}
}

// place names the repository, whoever asks.
func (r *Repository) place() string { return cache.Key(r.origin, r.path) }

// key names an answer: what a credential may see, no other one is shown.
func (r *Repository) key(parts ...string) string {
	return cache.Key(append([]string{r.origin, r.path, r.cred.Load().fingerprint(r.r.names)}, parts...)...)
}

// client is the one for this repository and credential.
func (r *Repository) client() (*client, error) {
	l := r.cred.Load()
	key := cache.Key(r.path, l.secret())
	r.via.mu.Lock()
	defer r.via.mu.Unlock()
	if c := r.via.clients[key]; c != nil {
		return c, nil
	}
	c, err := newClient(*r.ep, r.via.rt, r.path, l)
	if err != nil {
		return nil, err
	}
	if len(r.via.clients) >= maxClients {
		clear(r.via.clients)
	}
	r.via.clients[key] = c
	return c, nil
}

// ask puts a question. When the credential is refused and has changed meanwhile, it asks once more with the new one.
func ask[T any](ctx context.Context, r *Repository, tag string, question func(context.Context, *client) (T, error)) (T, error) {
	c, err := r.client()
	if err != nil {
		return *new(T), r.problem(err)
	}
	v, err := question(ctx, c)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusUnauthorized && r.relogin(ctx) {
		if c, err = r.client(); err != nil {
			return *new(T), r.problem(err)
		}
		v, err = question(ctx, c)
	}
	return v, r.explain(err, tag)
}

// relogin reads the credential again and says whether it is another one.
func (r *Repository) relogin(ctx context.Context) bool {
	old := r.cred.Load()
	if r.instance != nil && !old.anonymous() && old.who != "" {
		r.r.acr.forget(r.instance, old)
	}
	r.r.logins.forget(old)
	l, err := r.resolveLogin(ctx)
	if err != nil || l.secret() == old.secret() {
		return false
	}
	r.cred.Store(l)
	return true
}
