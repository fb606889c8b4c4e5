package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// MaxArchive is the largest archive of a chart, in bytes: Helm's bound for what is in it is maxChart.
const MaxArchive = 32 << 20

const subcharts = "charts/"

// A dependencyBuild does what `helm dependency build` does when a dependency is missing in charts/: all that have a repository
// are brought anew, also those that are there, and archives that no dependency asks for are left out. Nothing is written.
type dependencyBuild struct {
	tree  *tree
	dir   string
	r     *Request
	chart *chart.Chart
	files []*loader.BufferedFile
}

// buildDependencies returns the chart's files with its dependencies. What has to be fetched first is told by t.unmet.
func buildDependencies(t *tree, dir string, r *Request, c *chart.Chart, files []*loader.BufferedFile) ([]*loader.BufferedFile, error) {
	b := &dependencyBuild{tree: t, dir: dir, r: r, chart: c}
	if err := b.keep(files); err != nil {
		return nil, err
	}
	wanted, locked, err := b.wanted()
	if err != nil {
		return nil, err
	}
	for _, d := range wanted {
		if err := b.add(d, locked); err != nil {
			return nil, fmt.Errorf("dependency %s: %w", d.Name, err)
		}
	}
	return b.files, nil
}

// keep takes over the files but for the archives in charts/ of dependencies that have a repository.
func (b *dependencyBuild) keep(files []*loader.BufferedFile) error {
	for _, f := range files {
		name, below := strings.CutPrefix(f.Name, subcharts)
		if !below || strings.Contains(name, "/") || path.Ext(name) != ".tgz" {
			b.files = append(b.files, f)
			continue
		}
		archived, err := loadArchive(f.Data)
		if err != nil {
			return fmt.Errorf("%s: %w", path.Join(b.dir, f.Name), err)
		}
		if slices.ContainsFunc(b.chart.Metadata.Dependencies, func(d *chart.Dependency) bool {
			return d.Name == archived.Name() && d.Repository == ""
		}) {
			b.files = append(b.files, f)
		}
	}
	return nil
}

// wanted are the dependencies of Chart.lock, which must be in step with those of Chart.yaml, or else those of Chart.yaml.
func (b *dependencyBuild) wanted() (deps []*chart.Dependency, locked bool, err error) {
	v1 := b.chart.Metadata.APIVersion == chart.APIVersionV1
	wanted := make([]*chart.Dependency, len(b.chart.Metadata.Dependencies))
	for i, d := range b.chart.Metadata.Dependencies {
		own := *d
		wanted[i] = &own
	}
	lock := b.chart.Lock
	oldSum := digest(map[string][]*chart.Dependency{"dependencies": wanted}) // Helm 2 took it before names became URLs
	for _, d := range wanted {
		if d.Repository, err = b.repository(d.Repository); err != nil {
			return nil, false, fmt.Errorf("dependency %s: %w", d.Name, err)
		}
	}
	if lock == nil {
		return wanted, false, nil
	}
	if sum := digest([2][]*chart.Dependency{wanted, lock.Dependencies}); sum != lock.Digest && (!v1 || oldSum != lock.Digest) {
		name := "Chart.lock"
		if v1 {
			name = "requirements.lock"
		}
		return nil, false, fmt.Errorf("%s in %q is out of step with the dependencies: run `helm dependency update %s` and commit it",
			name, b.dir, b.dir)
	}
	return lock.Dependencies, true, nil
}

// digest is that of Helm's resolver.
func digest(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// repository is the URL of one that is called by a name.
func (b *dependencyBuild) repository(url string) (string, error) {
	name, named := strings.CutPrefix(url, "@")
	if !named {
		name, named = strings.CutPrefix(url, "alias:")
	}
	if !named {
		return url, nil
	}
	if known, ok := b.r.ChartRepositories[name]; ok {
		return known, nil
	}
	return "", fmt.Errorf("no chart repository is called %q: write its URL in Chart.yaml, or have an operator give its binding in "+
		"tagpin.yaml that name", name)
}

func (b *dependencyBuild) add(d *chart.Dependency, locked bool) error {
	if d.Repository == "" {
		return b.vendored(d)
	}
	if local, ok := strings.CutPrefix(d.Repository, "file://"); ok {
		return b.local(d, local)
	}
	file, ok := b.tree.fetch(Need{Kind: ChartNeed, URL: d.Repository, Name: d.Name, Version: d.Version, Locked: locked})
	if !ok {
		return nil
	}
	data, err := readFetched(file, MaxArchive)
	if err != nil {
		return err
	}
	name := subcharts + d.Name + "-" + path.Base(file) + ".tgz"
	if !slices.ContainsFunc(b.files, func(f *loader.BufferedFile) bool { return f.Name == name }) { // one, under two aliases
		b.files = append(b.files, &loader.BufferedFile{Name: name, Data: data})
	}
	return nil
}

// vendored checks a dependency without a repository, which must be there already.
func (b *dependencyBuild) vendored(d *chart.Dependency) error {
	for _, have := range b.chart.Dependencies() {
		if have.Name() == d.Name {
			return fits(have, d)
		}
	}
	return fmt.Errorf("it has no repository in Chart.yaml, and is not in %s", path.Join(b.dir, subcharts))
}

// local adds a chart of this repository. Helm packs it; here its files are added as a directory of charts/.
func (b *dependencyBuild) local(d *chart.Dependency, at string) error {
	if path.IsAbs(at) {
		return fmt.Errorf("%q %w: write a path relative to the chart", d.Repository, errOutside)
	}
	dir, err := join(b.dir, at)
	if err != nil {
		return fmt.Errorf("%q %w", d.Repository, err)
	}
	files, err := chartFiles(b.tree, dir)
	if err != nil {
		return err
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		return fmt.Errorf("loading the chart in %q: %w", dir, err)
	}
	if err := fits(c, d); err != nil {
		return err
	}
	for _, f := range files {
		// No name of a directory that a chart brings itself.
		b.files = append(b.files, &loader.BufferedFile{Name: subcharts + d.Name + ".file-dependency/" + f.Name, Data: f.Data})
	}
	return nil
}

// fits checks a chart's version against the dependency's.
func fits(c *chart.Chart, d *chart.Dependency) error {
	constraint, err := semver.NewConstraint(d.Version)
	if err != nil {
		return fmt.Errorf("its version %q in Chart.yaml is no constraint: %w", d.Version, err)
	}
	v, err := semver.NewVersion(c.Metadata.Version)
	if err != nil {
		return fmt.Errorf("the chart's version %q: %w", c.Metadata.Version, err)
	}
	if !constraint.Check(v) {
		return fmt.Errorf("the chart's version %s does not satisfy %q", c.Metadata.Version, d.Version)
	}
	return nil
}
