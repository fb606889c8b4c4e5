package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry/aliyun"
)

// acr is what only ACR has: the listed instances, and the times of pushes.
type acr struct {
	*instances
	pushes *cache.Cache[[]image.Tag]
	ids    *cache.Cache[string] // of repositories
}

func newACR(o Options, lists cache.Options, wrap func(http.RoundTripper) http.RoundTripper) (*acr, error) {
	i, err := newInstances(o, wrap)
	if err != nil {
		return nil, err
	}
	ids := lists
	ids.TTL = tagMemory // a repository that is made anew gets another id
	return &acr{instances: i, pushes: cache.New[[]image.Tag](lists), ids: cache.New[string](ids)}, nil
}

// Pushes lists all tags with the time when each was last pushed, sorted by name. Only ACR's Enterprise edition tells that, and
// only for an instance that the operator listed: else the error wraps errors.ErrUnsupported and says what is missing. It
// costs one request for each 100 tags. Digest is ACR's word for the tag's content: it can tell two tags apart, but what
// ACR writes there for an index is not documented, so it is nothing to pin.
func (r *Repository) Pushes(ctx context.Context) ([]image.Tag, error) {
	if r.instance == nil {
		return nil, r.tellsNoPushes()
	}
	if _, err := r.r.acr.identity(r.instance); err != nil {
		return nil, r.problem(err)
	}
	key := r.pushesKey()
	r.r.asked.note(r.identity, answerKey{r.r.acr.pushes, key})
	tags, info, err := get(ctx, r, r.r.acr.pushes, key, func(ctx context.Context) ([]image.Tag, error) {
		tags, err := r.loadPushes(ctx, key)
		return tags, r.explain(err, "")
	})
	if err != nil {
		return nil, r.explain(err, "")
	}
	r.note(info)
	return slices.Clone(tags), nil
}

// pushesKey is empty where the API can't be asked.
func (r *Repository) pushesKey() string {
	if r.instance == nil {
		return ""
	}
	who, err := r.r.acr.identity(r.instance)
	if err != nil {
		return ""
	}
	return cache.Key(r.origin, r.path, r.r.names.Of([]byte(who)))
}

// loadPushes asks the API. An id that means nothing any more is looked up again, once.
func (r *Repository) loadPushes(ctx context.Context, key string) ([]image.Tag, error) {
	if !strings.Contains(r.path, "/") {
		return nil, r.problem(errors.New("ACR has no repository without a namespace: write <namespace>/<name>"))
	}
	var tags []aliyun.Tag
	for attempt := 1; ; attempt++ {
		id, info, err := r.r.acr.ids.GetOrLoad(ctx, key, r.repositoryID)
		if err != nil {
			return nil, err
		}
		err = r.askAPI(ctx, func(keys aliyun.Keys) (err error) {
			tags, err = r.r.acr.api.Tags(ctx, r.instance.api(), keys, id)
			return err
		})
		var answer *aliyun.Error
		switch {
		case err == nil:
			return imageTags(tags), nil
		case attempt == 1 && info.Hit && errors.As(err, &answer) && answer.Gone:
			r.r.acr.ids.Delete(key)
		default:
			return nil, err
		}
	}
}

func (r *Repository) repositoryID(ctx context.Context) (id string, err error) {
	err = r.askAPI(ctx, func(keys aliyun.Keys) (err error) {
		id, err = r.r.acr.api.RepositoryID(ctx, r.instance.api(), keys, r.path)
		return err
	})
	return id, err
}

func (r *Repository) askAPI(ctx context.Context, question func(aliyun.Keys) error) error {
	return apiFailure(r.r.acr.asking(ctx, r.instance, question))
}

func imageTags(tags []aliyun.Tag) []image.Tag {
	out := make([]image.Tag, 0, len(tags))
	for _, t := range tags {
		if !tagRE.MatchString(t.Name) {
			continue
		}
		one := image.Tag{Name: t.Name, Pushed: t.Updated}
		if isDigest(t.Digest) {
			one.Digest = t.Digest
		}
		out = append(out, one)
	}
	return out
}

// tellsNoPushes says why, and what would help.
func (r *Repository) tellsNoPushes() error {
	h, known := r.ep.acrHost()
	what := "this registry doesn't tell when a tag was pushed: only ACR's Enterprise edition does"
	switch {
	case r.ep.ACR != nil:
		what = fmt.Sprintf("instance %s is not listed under acr: instances: in tagpin.yaml, so its API can't be asked when tags were pushed: "+
			"the operator can add it", r.ep.ACR.ID)
	case known && h.edition == enterprise:
		what = fmt.Sprintf("the Enterprise instance %q in %s is not listed under acr: instances: in tagpin.yaml, so its API can't be asked "+
			"when tags were pushed: the operator can add it", h.instance, h.region)
	case known:
		what = "ACR's personal edition doesn't tell when a tag was pushed: only Enterprise instances do"
	}
	e := &Error{Registry: r.host, Repository: r.path, Problem: what + "; or use newest-build, semver or numerical", cause: errors.ErrUnsupported}
	return e
}

// An apiError is one that came from the API or from asking it.
type apiError struct{ err error }

func (e *apiError) Error() string { return e.err.Error() }
func (e *apiError) Unwrap() error { return e.err }

func apiFailure(err error) error {
	if err == nil {
		return nil
	}
	return &apiError{err}
}

// explainAPI is explain for the API's answers and failures; nil for everything else.
func (r *Repository) explainAPI(err error) *Error {
	var (
		api     *apiError
		answer  *aliyun.Error
		missing *setupError
	)
	if !errors.As(err, &api) {
		return nil
	}
	e := &Error{Registry: r.host, Repository: r.path}
	switch {
	case errors.As(err, &missing):
		e.Problem, e.cause = missing.Error(), missing
	case errors.As(err, &answer):
		e.Status, e.Code, e.Retryable = answer.Status, answer.Code, answer.Retryable
		e.Problem = fmt.Sprintf("ACR's API refuses %s: %s", answer.Action, answer.Problem)
	default:
		problem, retryable := r.aboutFailure(err)
		e.Problem, e.Retryable = fmt.Sprintf("asking ACR's API for instance %s: %s", r.instance.ID, problem), retryable
		e.cause = endOf(err)
	}
	return e
}

// A setupError is wrong on this side: a Secret, a variable, a mounted token.
type setupError struct{ err error }

func (e *setupError) Error() string { return e.err.Error() }
func (e *setupError) Unwrap() error { return e.err }
