package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/image"
)

const (
	createdAnnotation   = "org.opencontainers.image.created"
	referenceAnnotation = "vnd.docker.reference.type" // BuildKit's mark on what is no image in an index
	unknownPlatform     = "unknown"
	// maxChildren bounds the images of an index that are looked into.
	maxChildren = 64
)

// A tagged is what a tag pointed to.
type tagged struct {
	digest  string
	content content
}

// A content is what there is to know of a manifest, an index or a config. Exactly one of its parts is meaningful.
type content struct {
	other    string  // why it is no image
	children []child // of an index
	config   v1.Hash // of an image
	created  time.Time
	platform image.Platform // of a config
}

type child struct {
	digest   string
	platform image.Platform // zero: unknown
}

// errUnreadable is for answers that are no JSON, or not what the media type says.
var errUnreadable = errors.New("unreadable content")

// Describe gives digest, build date and platforms of a tag. The date is the index's annotation
// org.opencontainers.image.created, else the newest of its images', of the wanted platforms if some are given: each by the
// same annotation of its manifest, else by its config. What is known by digest is never asked again. What a tag points to is
// remembered for an hour, and longer where a HEAD request finds that it has not changed; Digest finds it out earlier.
func (r *Repository) Describe(ctx context.Context, tag string, platforms []image.Platform) (image.Tag, error) {
	if !tagRE.MatchString(tag) {
		return image.Tag{}, r.badTag(tag)
	}
	top, info, err := r.pointsTo(ctx, tag)
	if err == nil && r.mayHaveMoved(tag, info.Age) {
		if _, err = r.Digest(ctx, tag); err == nil {
			r.confirm(ctx, tag)
			top, info, err = r.pointsTo(ctx, tag)
		}
	}
	if err != nil {
		return image.Tag{}, r.explain(err, tag)
	}
	r.note(info)
	out := image.Tag{Name: tag, Digest: top.digest, FirstSeen: r.r.seen.first(r.place(), tag)}
	switch {
	case top.content.other != "":
		err = fmt.Errorf("%w (%s)", image.ErrNotImage, top.content.other)
	case top.content.children != nil:
		err = r.describeIndex(ctx, &out, top.content, platforms)
	default:
		var c content
		if c, err = r.imageFacts(ctx, tag, top.content); err == nil {
			out.Created, out.Platforms = c.created, []image.Platform{c.platform}
		}
	}
	if err != nil {
		return image.Tag{}, r.explain(err, tag)
	}
	return out, nil
}

// pointsTo is what a tag points to, as far as that is remembered.
func (r *Repository) pointsTo(ctx context.Context, tag string) (tagged, cache.Info, error) {
	return r.r.tagged.GetOrLoad(ctx, r.key(tag), func(ctx context.Context) (tagged, error) {
		t, err := ask(ctx, r, tag, func(ctx context.Context, c *client) (tagged, error) { return readManifest(ctx, c, tag) })
		if err == nil {
			r.justRead.Store(tag, t.digest)
		}
		return t, r.orGone(ctx, tag, err)
	})
}

// mayHaveMoved says whether it is time to ask what a tag points to. Each tag has a time of its own.
func (r *Repository) mayHaveMoved(tag string, age time.Duration) bool {
	spread := fnv.New32a()
	_, _ = spread.Write([]byte(tag)) // it never fails
	if age < tagMemory/2+time.Duration(spread.Sum32()%1024)*(tagMemory/2)/1024 {
		return false
	}
	return r.confirms.Add(1) <= confirmAtOnce || age > confirmLatest
}

// confirm makes what is remembered of a tag young again, unless the digest that was asked for is another one.
func (r *Repository) confirm(ctx context.Context, tag string) {
	key := r.key(tag)
	digest, info, ok := r.r.digests.Peek(key)
	if known, _, there := r.r.tagged.Peek(key); ok && there && info.Stale == nil && known.digest == digest {
		r.r.tagged.Confirm(ctx, key)
	}
}

// describeIndex fills in platforms and date of an index. Its images are only fetched for what the index doesn't say.
func (r *Repository) describeIndex(ctx context.Context, out *image.Tag, index content, wanted []image.Platform) error {
	if len(index.children) == 0 {
		return fmt.Errorf("%w (an index without images)", image.ErrNotImage)
	}
	if len(index.children) > maxChildren {
		return &Error{Registry: r.host, Repository: r.path, Tag: out.Name,
			Problem: fmt.Sprintf("an index of more than %d images is not read", maxChildren)}
	}
	out.Created = index.created
	images := 0
	for _, ch := range index.children {
		known := ch.platform != image.Platform{}
		if known && (!index.created.IsZero() || !isWanted(ch.platform, wanted)) {
			images++
			out.Platforms = append(out.Platforms, ch.platform)
			continue
		}
		c, err := r.childFacts(ctx, out.Name, ch)
		switch {
		case errors.Is(err, image.ErrNotImage):
			continue
		case err != nil:
			return err
		}
		images++
		out.Platforms = append(out.Platforms, c.platform)
		if index.created.IsZero() && isWanted(c.platform, wanted) && c.created.After(out.Created) {
			out.Created = c.created
		}
	}
	if images == 0 {
		return fmt.Errorf("%w (an index without images)", image.ErrNotImage)
	}
	return nil
}

// isWanted treats a wanted platform without variant as any variant.
func isWanted(p image.Platform, wanted []image.Platform) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w image.Platform) bool {
		return w.OS == p.OS && w.Architecture == p.Architecture && (w.Variant == "" || w.Variant == p.Variant)
	})
}

func (r *Repository) childFacts(ctx context.Context, tag string, ch child) (content, error) {
	m, err := r.byDigest(ctx, tag, ch.digest, func(ctx context.Context, c *client) (content, error) {
		t, err := readManifest(ctx, c, ch.digest)
		return t.content, err
	})
	if err != nil {
		return content{}, err
	}
	if m.other != "" || m.children != nil {
		return content{}, image.ErrNotImage
	}
	if ch.platform == (image.Platform{}) {
		return r.imageFacts(ctx, tag, m)
	}
	if m.created.IsZero() { // else the config has nothing more to tell
		if m, err = r.imageFacts(ctx, tag, m); err != nil {
			return content{}, err
		}
	}
	m.platform = ch.platform // what the index says is what a node goes by
	return m, nil
}

// imageFacts is date and platform of an image, by its manifest and config.
func (r *Repository) imageFacts(ctx context.Context, tag string, m content) (content, error) {
	c, err := r.byDigest(ctx, tag, m.config.String(), func(ctx context.Context, c *client) (content, error) {
		raw, err := c.blob(ctx, m.config)
		if err != nil {
			return content{}, err
		}
		return parseConfig(raw)
	})
	if err == nil && !m.created.IsZero() {
		c.created = m.created
	}
	return c, err
}

// byDigest remembers without expiry.
func (r *Repository) byDigest(
	ctx context.Context, tag, digest string, load func(context.Context, *client) (content, error),
) (content, error) {
	c, _, err := r.r.content.GetOrLoad(ctx, r.key("", digest), func(ctx context.Context) (content, error) {
		return ask(ctx, r, tag, load)
	})
	return c, err
}

func readManifest(ctx context.Context, c *client, ref string) (tagged, error) {
	d, err := c.manifest(ctx, ref)
	if err != nil {
		return tagged{}, err
	}
	m, err := parseManifest(d.MediaType, d.Manifest)
	return tagged{d.Digest.String(), m}, err
}

// manifestJSON has what manifests and indexes say, as far as it matters here.
type manifestJSON struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Annotations   map[string]string `json:"annotations"`
}

// parseManifest reads a manifest or an index. The media type of the answer counts, and that in the content where the
// answer's is none of a manifest.
func parseManifest(mt types.MediaType, raw []byte) (content, error) {
	var m manifestJSON
	if err := json.Unmarshal(raw, &m); err != nil {
		return content{}, errUnreadable
	}
	if !mt.IsImage() && !mt.IsIndex() && !mt.IsSchema1() && m.MediaType != "" {
		mt = m.MediaType
	}
	created := parseDate(m.Annotations[createdAnnotation])
	switch {
	case mt.IsSchema1() || m.SchemaVersion == 1:
		return content{other: "Docker's schema 1, which is not supported: push it again with a current tool"}, nil
	case mt.IsIndex() || m.Manifests != nil:
		return content{children: imagesOf(m.Manifests), created: created}, nil
	case m.Config == nil:
		return content{other: "an artifact"}, nil
	case !isImageConfig(m.Config.MediaType):
		return content{other: artifactName(m.Config.MediaType)}, nil
	case len(m.Layers) > 0 && !slices.ContainsFunc(m.Layers, isImageLayer):
		return content{other: "a signature or another artifact"}, nil // cosign gives these an image's config
	case m.Config.Digest.Hex == "":
		return content{}, errUnreadable
	}
	return content{config: m.Config.Digest, created: created}, nil
}

// parseDate reads RFC 3339. What is none is no date.
func parseDate(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// isImageLayer goes by the family: there are more layer types (nydus, encrypted) than a list could hold.
func isImageLayer(d v1.Descriptor) bool {
	return strings.HasPrefix(string(d.MediaType), "application/vnd.oci.image.layer.") ||
		strings.HasPrefix(string(d.MediaType), "application/vnd.docker.image.rootfs.")
}

// artifactName tells what something is instead of an image. An unknown media type is not repeated: it is the pusher's text.
func artifactName(t types.MediaType) string {
	if t == "application/vnd.cncf.helm.config.v1+json" {
		return "a Helm chart"
	}
	return "an artifact"
}

// imagesOf are the entries of an index that may be images; never nil.
func imagesOf(list []v1.Descriptor) []child {
	out := []child{}
	for _, d := range list {
		switch {
		case d.Annotations[referenceAnnotation] != "", d.MediaType.IsIndex(), d.MediaType.IsSchema1(), d.Digest.Hex == "":
			continue
		case d.Platform == nil:
			out = append(out, child{digest: d.Digest.String()})
			continue
		case d.Platform.OS == unknownPlatform, d.Platform.Architecture == unknownPlatform:
			continue
		}
		out = append(out, child{d.Digest.String(), image.Platform{
			OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant,
		}})
	}
	return out
}

// parseConfig reads date and platform of an image's config.
func parseConfig(raw []byte) (content, error) {
	var c struct {
		Created      string `json:"created"`
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return content{}, errUnreadable
	}
	out := content{platform: image.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}}
	out.created = parseDate(c.Created)
	return out, nil
}
