package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"
)

// What a chart's directory may hold: Helm's own bounds for a packed chart, and a number of files that no chart comes near.
// They also end a walk through symlinks that lead back up.
const (
	maxChart      = 100 << 20
	maxChartFile  = 5 << 20
	maxChartFiles = 20_000
)

// chartFiles reads the files of a chart that .helmignore leaves, in the order in which Helm reads them. The loader gets
// them from memory because its own walk follows symlinks to anywhere.
func chartFiles(t *tree, dir string) ([]*loader.BufferedFile, error) {
	rules := ignore.Empty()
	if data, err := t.read(path.Join(dir, ignore.HelmIgnore)); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("parsing %s: %w", path.Join(dir, ignore.HelmIgnore), err)
		}
	}
	rules.AddDefaults()
	w := chartWalk{tree: t, dir: dir, rules: rules}
	if err := w.walk("."); err != nil {
		return nil, err
	}
	return w.files, nil
}

type chartWalk struct {
	tree  *tree
	dir   string
	rules *ignore.Rules
	seen  int
	size  int
	files []*loader.BufferedFile
}

func (w *chartWalk) walk(dir string) error {
	names, err := w.tree.list(path.Join(w.dir, dir))
	if err != nil {
		return fmt.Errorf("reading %s: %w", path.Join(w.dir, dir), err)
	}
	for _, base := range names {
		if err := w.visit(path.Join(dir, base)); err != nil {
			return err
		}
	}
	return nil
}

func (w *chartWalk) visit(name string) error {
	full := path.Join(w.dir, name)
	if w.seen++; w.seen > maxChartFiles {
		return fmt.Errorf("the chart in %s has more than %d files: list what is none of its own in .helmignore", w.dir,
			maxChartFiles)
	}
	info, err := w.tree.stat(full)
	if errors.Is(err, errOutside) {
		return fmt.Errorf("the symlink %s %w: charts can only hold what is in the repository", full, err)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", full, err)
	}
	if w.rules.Ignore(name, info) {
		return nil
	}
	if info.IsDir() {
		return w.walk(name)
	}
	return w.add(name, info)
}

func (w *chartWalk) add(name string, info fs.FileInfo) error {
	full := path.Join(w.dir, name)
	if info.Size() > maxChartFile {
		return fmt.Errorf("%s is larger than %d MiB, the most that Helm takes in a chart: list it in .helmignore", full,
			maxChartFile>>20)
	}
	data, err := w.tree.read(full)
	if err != nil {
		return fmt.Errorf("reading %s: %w", full, err)
	}
	if w.size += len(data); w.size > maxChart {
		return fmt.Errorf("the chart in %s is larger than %d MiB: list what is none of its own in .helmignore", w.dir,
			maxChart>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	w.files = append(w.files, &loader.BufferedFile{Name: name, Data: data})
	return nil
}

// loadChart parses a chart. Where only installable fails, it returns the chart as well.
func loadChart(files []*loader.BufferedFile, dir string) (*chart.Chart, error) {
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("loading the chart in %q: %w", dir, err)
	}
	sortDependencies(c)
	return c, installable(c, dir)
}

// loadArchive reads a packed chart.
func loadArchive(data []byte) (*chart.Chart, error) {
	c, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("unpacking the chart: %w", err)
	}
	sortDependencies(c)
	return c, nil
}

// A missingError says that charts/ lacks dependencies.
type missingError struct {
	dir   string
	names []string
}

func (e *missingError) Error() string {
	return fmt.Sprintf("dependencies that are found in Chart.yaml, but missing in charts/ directory: %s; correct their names, or run "+
		"`helm dependency build %s` and commit its charts/ directory", strings.Join(e.names, ", "), e.dir)
}

// sortDependencies gives subcharts an order. Helm leaves them in that of a Go map, which shows in the order of their CRDs.
func sortDependencies(c *chart.Chart) {
	subcharts := slices.SortedFunc(slices.Values(c.Dependencies()), func(a, b *chart.Chart) int {
		return strings.Compare(a.Name()+" "+a.Metadata.Version, b.Name()+" "+b.Metadata.Version)
	})
	for _, sub := range subcharts {
		sortDependencies(sub)
	}
	c.SetDependencies(subcharts...)
}

// installable makes the checks of `helm template`.
func installable(c *chart.Chart, dir string) error {
	if kind := c.Metadata.Type; kind != "" && kind != "application" {
		return fmt.Errorf("the chart %s in %q is of type %q, which cannot be installed: it is there for other charts to use, "+
			"so point spec.source.path at one of those", c.Name(), dir, kind)
	}
	var missing []string
	for _, want := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(have *chart.Chart) bool { return have.Name() == want.Name }) {
			missing = append(missing, want.Name)
		}
	}
	if len(missing) > 0 {
		return &missingError{dir: dir, names: missing}
	}
	return nil
}
