package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/render"
)

// chart brings the archive of a chart.
func (w want) chart(ctx context.Context) (string, error) {
	if repository, ok := strings.CutPrefix(w.URL, ociScheme); ok {
		return w.ociChart(ctx, strings.TrimSuffix(repository, "/")+"/"+w.Name)
	}
	src, err := w.source(config.Chart, w.URL)
	if err != nil {
		return "", err
	}
	// A locked version is asked for once; the repository may be gone after that.
	locked := []string{"locked", w.URL, w.Name, w.Version, src.identity}
	if path, ok := w.kept(locked); w.Locked && ok {
		return path, nil
	}
	found, err := w.find(ctx, src)
	if err != nil {
		return "", err
	}
	path, got, err := w.archive(ctx, src, found)
	if err == nil && w.Locked && got.Digest != "" { // one in an OCI registry has a record of its own
		err = w.store.note(got, locked...)
	}
	return path, err
}

const ociScheme = "oci://"

// kept is the blob that a record names, if both are there.
func (w want) kept(key []string) (string, bool) {
	r, ok := w.store.recall(key...)
	if !ok {
		return "", false
	}
	path, err := w.store.blob(r.Digest)
	return path, err == nil
}

// find looks the version up in the repository's index. A version that is not in it may be newer than what is known of the index.
func (w want) find(ctx context.Context, src source) (*chartVersion, error) {
	d := document{src, strings.TrimSuffix(w.URL, "/") + "/index.yaml", maxIndex, config.Chart}
	found, asked, err := w.findIn(ctx, d, false)
	if err != nil && !asked {
		found, _, err = w.findIn(ctx, d, true)
	}
	if err == nil {
		w.unlocked(found.Version)
	}
	return found, err
}

func (w want) findIn(ctx context.Context, d document, again bool) (found *chartVersion, asked bool, err error) {
	got, asked, err := w.document(ctx, d, again)
	if err != nil {
		return nil, true, err
	}
	i, err := w.index(ctx, got.Digest)
	if err != nil {
		return nil, true, err
	}
	found, err = i.find(w.Name, w.Version, w.Locked)
	return found, asked, err
}

// unlocked tells that the same commit may render another chart tomorrow.
func (w want) unlocked(version string) {
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(w.Version, "v")); w.Locked || err == nil {
		return
	}
	w.o.Log.WithField("application", w.r.For.Name).Warnf("chart %s: %q stands for %s now, and may stand for a newer one at the next render: "+
		"commit a Chart.lock (helm dependency update), or name the version", w.Name, w.Version, version)
}

// archive downloads what an index names. It may be on another host, which then gets no credential, unless the application passes
// it on and the operator has bound the same credential for that URL as well.
func (w want) archive(ctx context.Context, src source, v *chartVersion) (string, record, error) {
	at, err := resolveURL(w.URL, v.URLs[0])
	if err != nil {
		return "", record{}, err
	}
	if repository, ok := strings.CutPrefix(at, ociScheme); ok {
		repository, tag := cutTag(repository)
		path, err := w.pull(ctx, repository, tag)
		return path, record{}, err
	}
	key := []string{"archive", at, v.Digest, src.identity}
	if path, ok := w.kept(key); ok {
		r, _ := w.store.recall(key...)
		return path, r, nil
	}
	if w.r.Streamed {
		return "", record{}, errUploaded
	}
	if err := w.mayAsk(src, at); err != nil {
		return "", record{}, err
	}
	got, _, err := w.moving.GetOrLoad(ctx, cache.Key(key...), func(ctx context.Context) (record, error) { return w.download(ctx, src, at, v.Digest) })
	if err != nil {
		return "", record{}, err
	}
	path, err := w.store.blob(got.Digest)
	return path, got, errors.Join(err, w.store.note(got, key...))
}

func (w want) download(ctx context.Context, src source, at, digest string) (record, error) {
	q, err := w.question(src, at, render.MaxArchive)
	if err != nil {
		return record{}, err
	}
	q.mayKnow = func(url string) bool {
		return src.binding.Covers(url) || w.r.Helm.PassCredentials && w.sameCredential(src, url)
	}
	a, err := w.http.get(ctx, q)
	if err != nil {
		return record{}, err
	}
	sum := sha256.Sum256(a.data)
	if want := strings.TrimPrefix(digest, "sha256:"); want != "" && !strings.EqualFold(want, hex.EncodeToString(sum[:])) {
		return record{}, errors.New("the archive is not the one that the repository's index describes (its digest differs)")
	}
	got, err := w.store.put(a.data)
	return record{Digest: got}, err
}

// sameCredential says whether the operator bound a source's credential for another URL, too.
func (w want) sameCredential(src source, url string) bool {
	url, _, _ = strings.Cut(url, "?")
	b, err := w.o.Settings.Source(config.Use{Kind: config.Chart, URL: url, App: who(w.r.For)})
	return err == nil && b.Credential == src.binding.Credential
}

// mayAsk holds plain http to URLs that are bound as such.
func (w want) mayAsk(src source, at string) error {
	if strings.HasPrefix(at, "https://") || src.binding.Covers(at) {
		return nil
	}
	_, err := w.source(config.Chart, at)
	return err
}

// resolveURL is where an index says that an archive is.
func resolveURL(repository, ref string) (string, error) {
	base, err := url.Parse(strings.TrimSuffix(repository, "/") + "/")
	if err != nil {
		return "", errNotURL
	}
	u, err := base.Parse(ref)
	if err != nil || !slices.Contains([]string{"https", "http", "oci"}, u.Scheme) || u.Host == "" {
		return "", errors.New("the repository's index names something that is no URL of an archive")
	}
	u.User = nil
	return u.String(), nil
}

// cutTag takes a chart's reference apart: host[:port]/path:tag.
func cutTag(reference string) (repository, tag string) {
	if i := strings.LastIndex(reference, ":"); i > strings.LastIndex(reference, "/") {
		return reference[:i], reference[i+1:]
	}
	return reference, ""
}

// ociChart brings a chart of an OCI registry.
func (w want) ociChart(ctx context.Context, repository string) (string, error) {
	if _, err := semver.NewVersion(w.Version); err == nil {
		return w.pull(ctx, repository, tagOf(w.Version))
	}
	src, err := w.source(config.Chart, ociScheme+repository)
	if err != nil {
		return "", err
	}
	key := []string{"newest", repository, w.Version, src.identity}
	if w.r.Streamed {
		known, err := w.keptOnly(key...)
		if err != nil {
			return "", err
		}
		return w.pull(ctx, repository, known.Tag)
	}
	tags, err := w.o.Charts.ChartTags(ctx, w.r.For, repository, src.binding.Credential)
	if known, ok := w.store.recall(key...); ok && passing(err) {
		w.old(ctx, err)
		return w.pull(ctx, repository, known.Tag)
	}
	if err != nil {
		return "", err
	}
	versions := make([]string, len(tags))
	for i, tag := range tags {
		versions[i] = strings.ReplaceAll(tag, "_", "+")
	}
	version, err := choose(versions, w.Version, w.Locked)
	if err != nil {
		return "", err
	}
	w.unlocked(version)
	if err := w.store.note(record{Tag: tagOf(version)}, key...); err != nil {
		return "", err
	}
	return w.pull(ctx, repository, tagOf(version))
}

// tagOf is a version as a tag, which can't have a plus.
func tagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }

// pull brings the archive at a tag, once.
func (w want) pull(ctx context.Context, repository, tag string) (string, error) {
	src, err := w.source(config.Chart, ociScheme+repository)
	if err != nil {
		return "", err
	}
	key := []string{"oci", repository, tag, src.identity}
	if path, ok := w.kept(key); ok {
		return path, nil
	}
	if w.r.Streamed {
		return "", errUploaded
	}
	got, _, err := w.moving.GetOrLoad(ctx, cache.Key(key...), func(ctx context.Context) (record, error) {
		data, err := w.o.Charts.Chart(ctx, w.r.For, repository, tag, src.binding.Credential)
		if err != nil {
			return record{}, fmt.Errorf("%s: %w", repository, err)
		}
		digest, err := w.store.put(data)
		return record{Digest: digest}, err
	})
	if err != nil {
		return "", err
	}
	path, err := w.store.blob(got.Digest)
	return path, errors.Join(err, w.store.note(got, key...))
}
