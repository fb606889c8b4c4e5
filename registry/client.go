package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Bounds of one tag list; beyond them something is wrong, or nobody could choose anyway.
const (
	maxPages = 1000
	maxTags  = 200_000
)

// A client asks one repository with one credential. go-containerregistry's Puller inside keeps the token, so that it is
// fetched once, and again when the registry says that it has expired.
type client struct {
	repo   name.Repository
	puller *remote.Puller
}

func newClient(e Endpoint, rt http.RoundTripper, path string, l *login) (*client, error) {
	opts := []name.Option{name.StrictValidation}
	if e.API.Scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	if !pathRE.MatchString(path) || len(path) > 255 {
		return nil, errors.New("no repository can have this name")
	}
	reg, err := name.NewRegistry(e.API.Host, opts...) // by parts: parsed as one, a host without a dot would be Docker Hub's
	if err != nil {
		return nil, errors.New("no registry can have this host: check api_url")
	}
	repo := reg.Repo(path)
	auth := authn.Anonymous
	if !l.anonymous() {
		auth = authn.FromConfig(authn.AuthConfig{Username: l.user, Password: l.password})
	}
	puller, err := remote.NewPuller(
		remote.WithTransport(&sameScheme{rt, e.API.Scheme, repo.Scheme()}),
		remote.WithAuth(auth),
		remote.WithJobs(maxInFlight),
		remote.WithUserAgent("tagpin"),
		// Retrying is ours: see retrier.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	)
	if err != nil {
		return nil, err
	}
	return &client{repo, puller}, nil
}

// list reads all pages, in the registry's order. Names that are no tags by the grammar are left out: nothing may choose
// them, and nothing could pull them.
func (c *client) list(ctx context.Context) ([]string, error) {
	pages, err := c.puller.Lister(ctx, c.repo)
	if err != nil {
		return nil, err
	}
	tags := []string{}
	for n := 0; pages.HasNext(); n++ {
		page, err := pages.Next(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range page.Tags {
			if tagRE.MatchString(t) {
				tags = append(tags, t)
			}
		}
		if n >= maxPages || len(tags) > maxTags {
			return nil, errTooLarge
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// manifest fetches by tag or digest. By digest, the content is verified; by tag, the digest is computed from the content.
func (c *client) manifest(ctx context.Context, ref string) (*remote.Descriptor, error) {
	if isDigest(ref) {
		return c.puller.Get(ctx, c.repo.Digest(ref))
	}
	return c.puller.Get(ctx, c.repo.Tag(ref))
}

// digest asks by HEAD, and by GET where the registry's answer to HEAD leaves the digest out or gives one of another kind.
func (c *client) digest(ctx context.Context, tag string) (string, error) {
	d, err := c.puller.Head(ctx, c.repo.Tag(tag))
	if err == nil && d.Digest.Algorithm == "sha256" {
		return d.Digest.String(), nil
	}
	var (
		answer *transport.Error
		broken *url.Error
	)
	if errors.As(err, &answer) && answer.StatusCode != http.StatusMethodNotAllowed || errors.As(err, &broken) {
		return "", err
	}
	m, err := c.manifest(ctx, tag)
	if err != nil {
		return "", err
	}
	return m.Digest.String(), nil
}

// blob reads a small blob and verifies it against its digest.
func (c *client) blob(ctx context.Context, digest v1.Hash) ([]byte, error) {
	layer, err := c.puller.Layer(ctx, c.repo.Digest(digest.String()))
	if err != nil {
		return nil, err
	}
	body, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body) // bounded by the transport
}

func isDigest(s string) bool {
	_, err := v1.NewHash(s)
	return err == nil
}

func isImageConfig(t types.MediaType) bool {
	return t == types.OCIConfigJSON || t == types.DockerConfigJSON
}

// sameScheme makes relative Links of tag lists resolve to the scheme that go-containerregistry expects for the host. For
// local names (localhost, *.local, private addresses) it expects http even when the ping went over https, and then
// refuses the next page; the request itself is put right again by its own transport.
type sameScheme struct {
	next        http.RoundTripper
	api, expect string
}

func (s *sameScheme) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(req)
	if err != nil || s.api == s.expect || req.URL.Scheme != s.api || resp.Header.Get("Link") == "" {
		return resp, err
	}
	shown := req.Clone(req.Context())
	shown.URL.Scheme = s.expect
	resp.Request = shown
	return resp, nil
}
