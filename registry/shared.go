package registry

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/image"
)

// Shared is a second level for the caches, which replicas use together.
type Shared struct {
	// Level gives it for a kind of answers, which are kept for a while.
	Level func(kind string, keep time.Duration) cache.Remote
	// Secret is known to all replicas and to nobody else. Names of credentials are made with it.
	Secret []byte
}

const (
	// keepContent is how long what is known by digest or tag is kept when nobody uses it: a month without a restart.
	keepContent = 30 * 24 * time.Hour
	// keepLists is how long lists may serve in an outage.
	keepLists = cache.DefaultStaleFor
)

// share puts the second level behind the caches. The kinds carry a number: it is another one when what is read from a manifest or
// a config changes, so that no replica reads what an older one understood.
func (r *Registries) share(s Shared) {
	if s.Level == nil {
		return
	}
	r.tags.Share(cache.Sharing[*tagList]{Remote: s.Level("tags1", keepLists), Encode: encodeTags, Decode: decodeTags})
	r.digests.Share(cache.Sharing[string]{Remote: s.Level("digests1", keepLists), Encode: encode[string], Decode: decodeDigest})
	r.tagged.Share(cache.Sharing[tagged]{Remote: s.Level("tagged1", keepContent), Encode: encodeTagged, Decode: decodeTagged})
	r.content.Share(cache.Sharing[content]{
		Remote: s.Level("content1", keepContent), Encode: encodeContent, Decode: decodeContent, Prolong: keepContent / 2,
	})
	r.acr.pushes.Share(cache.Sharing[[]image.Tag]{Remote: s.Level("pushes1", keepLists), Encode: encode[[]image.Tag], Decode: decodePushes})
}

var errNotOurs = errors.New("not what this version writes")

func encode[T any](v T) ([]byte, error) { return json.Marshal(v) }

// A tagList is what a registry listed, with the times at which tags were first seen where that was not the first list. It is
// not changed once it is made.
type tagList struct {
	tags []string
	seen map[string]time.Time
}

type tagListJSON struct {
	Tags []string             `json:"tags"`
	Seen map[string]time.Time `json:"seen,omitempty"`
}

func encodeTags(l *tagList) ([]byte, error) { return json.Marshal(tagListJSON{l.tags, l.seen}) }

func decodeTags(data []byte) (*tagList, error) {
	var l tagListJSON
	if json.Unmarshal(data, &l) != nil || l.Tags == nil || len(l.Tags) > maxTags {
		return nil, errNotOurs
	}
	if !slices.IsSorted(l.Tags) || slices.ContainsFunc(l.Tags, func(t string) bool { return !tagRE.MatchString(t) }) {
		return nil, errNotOurs
	}
	return &tagList{slices.Compact(l.Tags), l.Seen}, nil
}

func decodeDigest(data []byte) (digest string, err error) {
	if json.Unmarshal(data, &digest) != nil || !isDigest(digest) {
		return "", errNotOurs
	}
	return digest, nil
}

func decodePushes(data []byte) (tags []image.Tag, err error) {
	if json.Unmarshal(data, &tags) != nil || tags == nil || len(tags) > maxTags {
		return nil, errNotOurs
	}
	for _, t := range tags {
		if !tagRE.MatchString(t.Name) || t.Digest != "" && !isDigest(t.Digest) {
			return nil, errNotOurs
		}
	}
	return tags, nil
}

type contentJSON struct {
	Other    string          `json:"other,omitempty"`
	Index    bool            `json:"index,omitempty"`
	Children []childJSON     `json:"children,omitempty"`
	Config   string          `json:"config,omitempty"`
	Created  time.Time       `json:"created,omitzero"`
	Platform *image.Platform `json:"platform,omitempty"`
}

type childJSON struct {
	Digest   string          `json:"digest"`
	Platform *image.Platform `json:"platform,omitempty"`
}

type taggedJSON struct {
	Digest  string      `json:"digest"`
	Content contentJSON `json:"content"`
}

func (c content) toJSON() contentJSON {
	out := contentJSON{Other: c.other, Index: c.children != nil, Created: c.created, Platform: known(c.platform)}
	if c.config.Hex != "" {
		out.Config = c.config.String()
	}
	for _, ch := range c.children {
		out.Children = append(out.Children, childJSON{ch.digest, known(ch.platform)})
	}
	return out
}

func known(p image.Platform) *image.Platform {
	if p == (image.Platform{}) {
		return nil
	}
	return &p
}

func (j contentJSON) content() (content, error) {
	c := content{other: j.Other, created: j.Created}
	if j.Platform != nil {
		c.platform = *j.Platform
	}
	if j.Config != "" {
		var err error
		if c.config, err = v1.NewHash(j.Config); err != nil {
			return content{}, errNotOurs
		}
	}
	if j.Index {
		c.children = []child{}
	}
	for _, ch := range j.Children {
		if !isDigest(ch.Digest) || !j.Index {
			return content{}, errNotOurs
		}
		one := child{digest: ch.Digest}
		if ch.Platform != nil {
			one.platform = *ch.Platform
		}
		c.children = append(c.children, one)
	}
	return c, nil
}

func encodeContent(c content) ([]byte, error) { return json.Marshal(c.toJSON()) }

func decodeContent(data []byte) (content, error) {
	var j contentJSON
	if json.Unmarshal(data, &j) != nil {
		return content{}, errNotOurs
	}
	return j.content()
}

func encodeTagged(t tagged) ([]byte, error) {
	return json.Marshal(taggedJSON{t.digest, t.content.toJSON()})
}

func decodeTagged(data []byte) (tagged, error) {
	var j taggedJSON
	if json.Unmarshal(data, &j) != nil || !isDigest(j.Digest) {
		return tagged{}, errNotOurs
	}
	c, err := j.Content.content()
	if err == nil && c.other == "" && c.children == nil && c.config.Hex == "" {
		err = errNotOurs // neither an index nor an image, nor told to be something else
	}
	return tagged{j.Digest, c}, err
}
