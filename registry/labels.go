package registry

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/tagpin/tagpin/image"
)

// Labels are those of an image's config; of an index, those of its first image of the wanted platforms. ref is a tag or a digest.
// Like dates they are the pusher's word. Nothing is kept: they are asked for once, when an update is told.
func (r *Repository) Labels(ctx context.Context, ref string, platforms []image.Platform) (map[string]string, error) {
	if !tagRE.MatchString(ref) && !isDigest(ref) {
		return nil, r.badTag(ref)
	}
	return ask(ctx, r, ref, func(ctx context.Context, c *client) (map[string]string, error) {
		top, err := readManifest(ctx, c, ref)
		if err != nil {
			return nil, err
		}
		m := top.content
		if i := slices.IndexFunc(m.children, func(ch child) bool { return isWanted(ch.platform, platforms) }); i >= 0 {
			if top, err = readManifest(ctx, c, m.children[i].digest); err != nil {
				return nil, err
			}
			m = top.content
		}
		if m.config.Hex == "" {
			return nil, image.ErrNotImage
		}
		raw, err := c.blob(ctx, m.config)
		if err != nil {
			return nil, err
		}
		var config struct {
			Config struct{ Labels map[string]string }
		}
		if json.Unmarshal(raw, &config) != nil {
			return nil, errUnreadable
		}
		return config.Config.Labels, nil
	})
}
