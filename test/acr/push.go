package acr

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// An Image is what Push makes: of the zero value, an image for linux/amd64 without a date.
type Image struct {
	// Created is the config's date; each further image of an index is Spread later.
	Created time.Time
	Spread  time.Duration
	// Platforms are "linux/amd64", "linux/arm64/v8". More than one makes an index.
	Platforms []string
	// Index makes an index even of one platform.
	Index bool
	// Annotations go on the manifest, or on the index where there is one.
	Annotations map[string]string
	// Parts are the annotations of an index's images, Labels those of every config.
	Parts, Labels map[string]string
	// Attestation adds an attestation to the index, as BuildKit does.
	Attestation bool
	// Chart makes a Helm chart instead of an image.
	Chart bool
	// Seed makes images differ that would else be equal; the tag, when it is empty.
	Seed string
}

// Push puts an image into the registry under a tag and returns its digest.
func (s *Server) Push(repo, tag string, img Image) string {
	if s.tb != nil {
		s.tb.Helper()
	}
	digest, err := s.push(repo, tag, img)
	s.check(err)
	return digest
}

// TryPush is Push for who can do without.
func (s *Server) TryPush(repo, tag string, img Image) error {
	_, err := s.push(repo, tag, img)
	return err
}

// PushMany pushes count images with the tags v0.0.0, v0.0.1, …, each built a minute after the one before.
func (s *Server) PushMany(repo string, count int, first time.Time) {
	var g errgroup.Group
	g.SetLimit(8)
	for i := range count {
		g.Go(func() error {
			_, err := s.push(repo, fmt.Sprintf("v0.0.%d", i), Image{Created: first.Add(time.Duration(i) * time.Minute)})
			return err
		})
	}
	s.check(g.Wait())
}

// Delete removes what the tag points to, and so every tag of the same digest.
func (s *Server) Delete(repo, tag string) {
	ref, err := name.NewTag(backend+"/"+repo+":"+tag, name.Insecure)
	s.check(err)
	desc, err := remote.Head(ref, s.direct(repo))
	s.check(err)
	s.check(remote.Delete(ref.Context().Digest(desc.Digest.String()), s.direct(repo)))
}

// direct goes past the proxy, with a token of our own making.
func (s *Server) direct(repo string) remote.Option {
	return remote.WithTransport(pushTransport{s, repo})
}

type pushTransport struct {
	s    *Server
	repo string
}

func (t pushTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := t.s.token("pusher", []access{{"repository", t.repo, []string{"pull", "push", "delete"}}})
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+token)
	return t.s.way.RoundTrip(req)
}

// push puts an image into docker-registry itself, and tells of it.
func (s *Server) push(repo, tag string, img Image) (string, error) {
	digest, err := s.put(repo, tag, img)
	if err == nil {
		s.tell(Arrival{repo, tag, digest})
	}
	return digest, err
}

func (s *Server) put(repo, tag string, img Image) (string, error) {
	ref, err := name.NewTag(backend+"/"+repo+":"+tag, name.Insecure)
	if err != nil {
		return "", err
	}
	if img.Seed == "" {
		img.Seed = tag
	}
	if len(img.Platforms) == 0 {
		img.Platforms = []string{"linux/amd64"}
	}
	if img.Index || len(img.Platforms) > 1 || img.Attestation {
		idx, err := index(img)
		if err != nil {
			return "", err
		}
		digest, err := idx.Digest()
		if err != nil {
			return "", err
		}
		return digest.String(), remote.WriteIndex(ref, idx, s.direct(repo))
	}
	one, err := single(img, img.Platforms[0])
	if err != nil {
		return "", err
	}
	if len(img.Annotations) > 0 {
		one = mutate.Annotations(one, img.Annotations).(v1.Image)
	}
	digest, err := one.Digest()
	if err != nil {
		return "", err
	}
	return digest.String(), remote.Write(ref, one, s.direct(repo))
}

func single(img Image, platform string) (v1.Image, error) {
	base := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, err
	}
	labels := maps.Clone(img.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["seed"] = img.Seed
	out, err := mutate.ConfigFile(base, &v1.ConfigFile{
		Created: v1.Time{Time: img.Created}, OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		Config: v1.Config{Labels: labels}, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	if len(img.Parts) > 0 {
		out = mutate.Annotations(out, img.Parts).(v1.Image)
	}
	if img.Chart {
		return mutate.ConfigMediaType(out, "application/vnd.cncf.helm.config.v1+json"), nil
	}
	return mutate.ConfigMediaType(out, types.OCIConfigJSON), nil
}

func index(img Image) (v1.ImageIndex, error) {
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for n, platform := range img.Platforms {
		part := img
		part.Created = img.Created.Add(time.Duration(n) * img.Spread)
		one, err := single(part, platform)
		if err != nil {
			return nil, err
		}
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			return nil, err
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: p}})
	}
	if img.Attestation {
		one, err := single(Image{Seed: img.Seed + " attestation"}, strings.Join([]string{"unknown", "unknown"}, "/"))
		if err != nil {
			return nil, err
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"},
		}})
	}
	if len(img.Annotations) > 0 {
		idx = mutate.Annotations(idx, img.Annotations).(v1.ImageIndex)
	}
	return idx, nil
}
