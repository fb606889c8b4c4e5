package fetch

import (
	"context"
	"errors"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/render"
)

// maxFile is the largest single file, in bytes: as large as one of the repository may be.
const maxFile = 10 << 20

// A document is something on an HTTP server that may be another thing tomorrow: a file, an index.
type document struct {
	source
	url   string
	limit int64
	kind  config.Kind
}

func (d document) key() []string { return []string{string(d.kind), d.url, d.identity} }

// file brings a single file.
func (w want) file(ctx context.Context) (string, error) {
	src, err := w.source(config.File, w.URL)
	if err != nil {
		return "", err
	}
	got, _, err := w.document(ctx, document{src, w.URL, maxFile, config.File}, false)
	if err != nil {
		return "", err
	}
	return w.store.blob(got.Digest)
}

// resource brings what an entry of a kustomization's resources names: the file at its URL, or else, if the server has none, the Git
// repository. The operator's bindings say which of the two may be asked for.
func (w want) resource(ctx context.Context) (string, error) {
	src, fileErr := w.source(config.File, w.URL)
	_, baseErr := w.source(config.Base, w.Repository)
	var unbound *config.UnboundError
	switch {
	case errors.As(fileErr, &unbound) && errors.As(baseErr, &unbound):
		return "", errors.Join(fileErr, errors.New("or, if it is a Git repository: kind: base, url: "+render.Bare(w.Repository)))
	case errors.As(fileErr, &unbound):
		return w.base(ctx)
	case fileErr != nil:
		return "", fileErr
	}
	got, _, err := w.document(ctx, document{src, w.URL, maxFile, config.File}, false)
	var status *statusError
	if baseErr == nil && (err == nil && got.HTML || errors.As(err, &status)) {
		return w.base(ctx)
	}
	if err != nil {
		return "", err
	}
	return w.store.blob(got.Digest)
}

// document gives what a document was when it was last asked for, at most a minute ago; or, in an outage, whenever that was. asked
// says that it was asked for just now. again asks in any case.
func (w want) document(ctx context.Context, d document, again bool) (got record, asked bool, err error) {
	if w.r.Streamed {
		got, err = w.keptOnly(d.key()...)
		return got, true, err
	}
	get := w.moving.GetOrLoad
	if again {
		get = w.moving.Refresh
	}
	got, info, err := get(ctx, cache.Key(d.key()...), func(ctx context.Context) (record, error) { return w.ask(ctx, d) })
	if info.Stale != nil {
		w.old(ctx, info.Stale)
	}
	return got, !info.Hit, err
}

// keptOnly answers without asking anybody.
func (w want) keptOnly(key ...string) (record, error) {
	if r, ok := w.store.recall(key...); ok {
		return r, nil
	}
	return record{}, errUploaded
}

// ask puts the question to the server. In an outage what is kept on disk stands in, so that a restart changes nothing.
func (w want) ask(ctx context.Context, d document) (record, error) {
	known, ok := w.store.recall(d.key()...)
	if ok {
		if _, err := w.store.blob(known.Digest); err != nil {
			known, ok = record{}, false
		}
	}
	q, err := w.question(d.source, d.url, d.limit)
	if err != nil {
		return record{}, err
	}
	q.known = known
	a, err := w.http.get(ctx, q)
	switch {
	case err != nil && ok && passing(err):
		w.old(ctx, err)
		return known, nil
	case err != nil && !passing(err):
		w.store.forget(d.key()...) // a refusal withdraws what was known
		return record{}, err
	case err != nil:
		return record{}, err
	case a.same:
		return known, nil
	}
	digest, err := w.store.put(a.data)
	if err != nil {
		return record{}, err
	}
	got := record{Digest: digest, ETag: a.etag, Modified: a.modified, HTML: a.html}
	return got, w.store.note(got, d.key()...)
}

// question is one about a URL of a source, with the credential of its binding.
func (w want) question(src source, url string, limit int64) (question, error) {
	q := question{url: url, limit: limit, mayKnow: src.binding.Covers}
	if src.binding.Credential == (config.Credential{}) {
		return q, nil
	}
	var err error
	q.login, err = w.o.Secrets.Login(src.binding.Credential)
	return q, err
}

// old tells that something known stands in for what can't be had.
func (w want) old(ctx context.Context, err error) {
	w.o.Log.WithField("application", w.r.For.Name).Warnf("%s can't be asked for, and is used as it was: %v", w.Need, explain(ctx, err))
}
