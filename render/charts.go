package render

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/mitchellh/copystructure"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/tagpin/tagpin/render/engine"
)

// DefaultCharts is how much Charts keep by default, in bytes of the charts' files. What is made of them takes some times that.
const DefaultCharts = 32 << 20

// Charts keep what was parsed of charts, for renders of the same files: a chart is known by the content of its files and by
// nothing else. They are safe for concurrent use, and no render sees what another one changed.
type Charts struct {
	limit int
	mu    sync.Mutex
	kept  []*parsedChart // the one that was used last is the last
	size  int
}

// NewCharts makes Charts that keep at most limit bytes of files, and at least the chart that was used last.
func NewCharts(limit int) *Charts { return &Charts{limit: limit} }

// Start is the package's Start.
func (c *Charts) Start(ctx context.Context, r Request) *Job { return start(ctx, c, &r) }

// Render is the package's Render.
func (c *Charts) Render(ctx context.Context, r Request) (Result, error) {
	return c.Start(ctx, r).Wait(ctx)
}

// RenderToEnd returns only when nothing of the render runs any more, which may be after the end of ctx.
func (c *Charts) RenderToEnd(ctx context.Context, r Request) (Result, error) {
	job := c.Start(ctx, r)
	<-job.Done()
	return job.Wait(context.WithoutCancel(ctx))
}

// A parsedChart is a chart, and what renders of it need not do again.
type parsedChart struct {
	key       [sha256.Size]byte
	size      int
	origin    *chart.Chart // which no render uses itself
	templates engine.Templates
	documents documents
	schemas   schemas
}

// load parses the files of a chart, unless it did that before. With a *missingError it returns the chart as well.
func (c *Charts) load(files []*loader.BufferedFile, dir string) (*parsedChart, error) {
	key, size := contentOf(files)
	if p := c.find(key); p != nil {
		return p, installable(p.origin, dir)
	}
	origin, err := loadChart(files, dir)
	if origin == nil {
		return nil, err
	}
	p := &parsedChart{key: key, size: size, origin: origin}
	c.keep(p)
	return p, err
}

// contentOf is what a chart is known by, and its size in bytes.
func contentOf(files []*loader.BufferedFile) (key [sha256.Size]byte, size int) {
	h := sha256.New()
	for _, f := range files {
		h.Write(binary.AppendUvarint(nil, uint64(len(f.Name))))
		h.Write([]byte(f.Name))
		h.Write(binary.AppendUvarint(nil, uint64(len(f.Data))))
		h.Write(f.Data)
		size += len(f.Data)
	}
	return [sha256.Size]byte(h.Sum(nil)), size
}

func (c *Charts) find(key [sha256.Size]byte) *parsedChart {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.kept, func(p *parsedChart) bool { return p.key == key })
	if i < 0 {
		return nil
	}
	p := c.kept[i]
	c.kept = append(slices.Delete(c.kept, i, i+1), p)
	return p
}

func (c *Charts) keep(p *parsedChart) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(c.kept, func(other *parsedChart) bool { return other.key == p.key }) {
		return // parsed at the same time by another render
	}
	c.kept = append(c.kept, p)
	c.size += p.size
	for len(c.kept) > 1 && c.size > c.limit {
		c.size -= c.kept[0].size
		c.kept = slices.Delete(c.kept, 0, 1)
	}
}

// copy is the chart for one render, which changes its metadata, values and dependencies. Files are shared: nothing can change
// one.
func (p *parsedChart) copy() (*chart.Chart, error) { return copyChart(p.origin) }

func copyChart(c *chart.Chart) (*chart.Chart, error) {
	metadata, err := copystructure.Copy(c.Metadata)
	if err != nil {
		return nil, err
	}
	own := &chart.Chart{Lock: c.Lock, Templates: c.Templates, Values: c.Values, Schema: c.Schema, Files: c.Files}
	own.Metadata, _ = metadata.(*chart.Metadata)
	for _, sub := range c.Dependencies() {
		copied, err := copyChart(sub)
		if err != nil {
			return nil, err
		}
		own.AddDependency(copied)
	}
	return own, nil
}
