package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
)

// The media types of a chart's archive; the second is that of Helm 3.7 and older.
const (
	chartLayer    types.MediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	oldChartLayer types.MediaType = "application/tar+gzip"
	// maxChartBytes is the largest archive: Helm's bound for what is in it is 100 MiB.
	maxChartBytes = 32 << 20
)

// ChartTags lists the tags of a chart's repository, host/path. The credential is the one that the operator bound for it; an
// empty one means that of registries.conf.
func (r *Registries) ChartTags(ctx context.Context, app image.Application, repository string, bound config.Credential) ([]string, error) {
	repo, err := r.chartRepository(ctx, app, repository, bound)
	if err != nil {
		return nil, err
	}
	return repo.Tags(ctx)
}

// Chart is the archive of a chart at a tag, with ChartTags' credential. It is verified against the digest that the tag's
// manifest names.
func (r *Registries) Chart(ctx context.Context, app image.Application, repository, tag string, bound config.Credential) ([]byte, error) {
	repo, err := r.chartRepository(ctx, app, repository, bound)
	if err != nil {
		return nil, err
	}
	if !tagRE.MatchString(tag) {
		return nil, repo.badTag(tag)
	}
	ctx = context.WithValue(ctx, blobLimit{}, int64(maxChartBytes))
	archive, err := ask(ctx, repo, tag, func(ctx context.Context, c *client) ([]byte, error) { return readChart(ctx, c, tag) })
	var e *Error
	switch {
	case err == nil && archive == nil:
		return nil, &Error{Registry: repo.host, Repository: repo.path, Tag: tag, Problem: "this is no Helm chart: check the name and the version"}
	case errors.As(err, &e) && e.Status == http.StatusNotFound:
		return nil, &Error{Registry: repo.host, Repository: repo.path, Tag: tag, Status: e.Status, Code: e.Code,
			Problem: "there is no such version of the chart, or this account may not see it"}
	}
	return archive, err
}

func (r *Registries) chartRepository(ctx context.Context, app image.Application, repository string, bound config.Credential) (*Repository, error) {
	host, path, ok := strings.Cut(repository, "/")
	if !ok {
		return nil, fmt.Errorf("%q names no repository: write oci://<registry>/<path>", repository)
	}
	return r.repository(ctx, app, image.Entry{Image: image.Image{Registry: host, Repository: path}}, bound)
}

// readChart returns nothing for what is no chart.
func readChart(ctx context.Context, c *client, tag string) ([]byte, error) {
	d, err := c.manifest(ctx, tag)
	if err != nil {
		return nil, err
	}
	if !d.MediaType.IsImage() {
		return nil, nil
	}
	m, err := v1.ParseManifest(bytes.NewReader(d.Manifest))
	if err != nil {
		return nil, errUnreadable
	}
	for _, layer := range m.Layers {
		if layer.MediaType == chartLayer || layer.MediaType == oldChartLayer {
			if layer.Size > maxChartBytes {
				return nil, errTooLarge
			}
			return c.blob(ctx, layer.Digest)
		}
	}
	return nil, nil
}
