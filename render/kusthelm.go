package render

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/image"
)

// inflateCharts renders the helmCharts of a kustomization, as kustomize does with --enable-helm and the helm program, and puts a
// component with the result in their place. Kustomize runs generators after the resources and before the components, so the first
// component adds its resources where the charts' would be. It says whether anything was replaced.
func (k *kustFS) inflateCharts(dir string, kust *types.Kustomization) (bool, error) {
	if !k.opts.helm || len(kust.HelmCharts) == 0 {
		return false, nil // kustomize asks for --enable-helm
	}
	home := types.HelmDefaultHome
	if kust.HelmGlobals != nil && kust.HelmGlobals.ChartHome != "" {
		home = kust.HelmGlobals.ChartHome
	}
	var resources []string
	component := path.Join(filesDir, "charts")
	for i := range kust.HelmCharts {
		inflation := chartInflation{fs: k, dir: dir, home: home, HelmChart: kust.HelmCharts[i]}
		out, err := inflation.manifests()
		if err != nil {
			return false, fmt.Errorf("helmCharts: %s: %w", inflation.Name, err)
		}
		name := strconv.Itoa(i) + ".yaml"
		k.files[path.Join(dir, component, name)] = out
		if len(strings.TrimSpace(string(out))) > 0 {
			resources = append(resources, name)
		}
	}
	data, err := yaml.Marshal(map[string]any{
		"apiVersion": types.ComponentVersion, "kind": types.ComponentKind, "resources": resources,
	})
	if err != nil {
		return false, err
	}
	k.files[path.Join(dir, component, "kustomization.yaml")] = data
	kust.HelmCharts, kust.HelmGlobals = nil, nil
	kust.Components = slices.Insert(kust.Components, 0, component)
	return true, nil
}

// A chartInflation is one entry of helmCharts.
type chartInflation struct {
	fs        *kustFS
	dir, home string // of the kustomization, and of charts as it says
	types.HelmChart
}

// manifests is what `helm template` prints; nothing, when the chart has to be fetched first.
func (c *chartInflation) manifests() ([]byte, error) {
	switch {
	case c.Name == "":
		return nil, errors.New("it has no name")
	case c.NameTemplate != "":
		return nil, errors.New("nameTemplate is not supported: write a releaseName")
	}
	parsed, err := c.load()
	if parsed == nil || err != nil {
		return nil, err
	}
	vals, err := c.values(parsed.origin)
	if err != nil || c.fs.tree.unmet() != nil {
		return nil, err
	}
	loaded, err := parsed.copy()
	if err != nil {
		return nil, err
	}
	r := c.request()
	top, err := renderValues(parsed, loaded, vals, r)
	if err != nil {
		return nil, err
	}
	rendered, err := parsed.templates.Render(loaded, top)
	if err != nil {
		return nil, shorten(err)
	}
	if rendered.Fresh {
		c.fs.tree.reads.dependsOnMore()
	}
	return printRelease(parsed, loaded, rendered.Files, printing{crds: c.IncludeCRDs, hooks: !c.SkipHooks, tests: !c.SkipTests})
}

// request is the render of a chart by itself. The versions of the chart's entry win over those of the cluster.
func (c *chartInflation) request() *Request {
	opts, app := &c.fs.r.Kustomize, &c.fs.r.App
	name := c.ReleaseName
	if name == "" { // --generate-name
		c.fs.tree.reads.dependsOnMore()
		name = fmt.Sprintf("%s-%d", c.Name, time.Now().Unix())
	}
	apis := opts.APIVersions
	if len(apis) == 0 {
		apis = app.APIVersions
	}
	return &Request{
		App: App{KubeVersion: cmp.Or(opts.KubeVersion, app.KubeVersion), APIVersions: apis},
		Helm: image.Helm{
			ReleaseName: name, Namespace: c.Namespace, KubeVersion: c.KubeVersion, APIVersions: c.ApiVersions,
		},
	}
}

// at is the directory in which the chart is looked for. One with a repository and a version has a home of its own.
func (c *chartInflation) at() (string, error) {
	home := c.home
	if c.Version != "" && c.Repo != "" {
		home = path.Join(home, c.Name+"-"+c.Version)
	}
	name, err := join(c.dir, path.Join(home, c.Name))
	if path.IsAbs(c.home) {
		err = errOutside
	}
	if base := mountOf(c.dir); err == nil && base != "" && mountOf(name) != base {
		err = errOutside
	}
	if err != nil {
		return "", fmt.Errorf("chartHome %q %w", c.home, err)
	}
	return name, nil
}

// load reads the chart from the repository, or else from where it was fetched to. It is nil when it has to be fetched.
func (c *chartInflation) load() (*parsedChart, error) {
	dir, err := c.at()
	if err != nil {
		return nil, err
	}
	if c.fs.tree.isDir(dir) {
		files, err := chartFiles(c.fs.tree, dir)
		if err != nil {
			return nil, err
		}
		return c.fs.tree.charts.load(files, dir)
	}
	if c.Repo == "" {
		return nil, fmt.Errorf("there is no chart in %q, and it has no repo", dir)
	}
	version := c.Version
	if version == "" {
		version = "*"
		if c.Devel {
			version = ">0.0.0-0"
		}
	}
	file, ok := c.fs.tree.fetch(Need{Kind: ChartNeed, URL: c.Repo, Name: c.Name, Version: version})
	if !ok {
		return nil, nil //nolint:nilnil // to be fetched
	}
	data, err := readFetched(file, MaxArchive)
	if err != nil {
		return nil, err
	}
	loaded, err := loadArchive(data)
	if err != nil {
		return nil, err
	}
	return &parsedChart{origin: loaded}, installable(loaded, c.Name)
}

// values are those that kustomize gives helm: a value file in place of the chart's own, into which valuesInline is merged, and
// more value files.
func (c *chartInflation) values(loaded *chart.Chart) (map[string]any, error) {
	first, err := c.firstValues(loaded)
	if err != nil {
		return nil, err
	}
	vals, err := mergeYAML(map[string]any{}, first, "the values")
	if err != nil {
		return nil, err
	}
	for _, file := range c.AdditionalValuesFiles {
		data, err := c.file("additionalValuesFiles", file)
		if err != nil {
			return nil, err
		}
		if vals, err = mergeYAML(vals, data, file); err != nil {
			return nil, err
		}
	}
	return vals, nil
}

func (c *chartInflation) firstValues(loaded *chart.Chart) ([]byte, error) {
	if len(c.ValuesInline) > 0 && c.ValuesMerge == "replace" {
		return yaml.Marshal(c.ValuesInline)
	}
	own, err := c.ownValues(loaded)
	if err != nil || len(c.ValuesInline) == 0 {
		return own, err
	}
	chartValues, err := kyaml.Parse(string(own))
	if err != nil {
		return nil, fmt.Errorf("parsing the values: %w", err)
	}
	inline, err := kyaml.FromMap(maps.Clone(c.ValuesInline))
	if err != nil {
		return nil, fmt.Errorf("parsing valuesInline: %w", err)
	}
	over, under := inline, chartValues // the first one wins
	switch c.ValuesMerge {
	case "", "override":
	case "merge":
		over, under = chartValues, inline
	default:
		return nil, fmt.Errorf("valuesMerge %q: it is override, merge or replace", c.ValuesMerge)
	}
	both, err := merge2.Merge(over, under.Copy(), kyaml.MergeOptions{})
	if err != nil {
		return nil, fmt.Errorf("merging valuesInline: %w", err)
	}
	values, err := both.Map()
	if err != nil {
		return nil, fmt.Errorf("merging valuesInline: %w", err)
	}
	return yaml.Marshal(values)
}

// ownValues is the content of valuesFile, by default the chart's values.yaml.
func (c *chartInflation) ownValues(loaded *chart.Chart) ([]byte, error) {
	if c.ValuesFile != "" {
		return c.file("valuesFile", c.ValuesFile)
	}
	if dir, err := c.at(); err == nil && c.fs.tree.isDir(dir) {
		return c.below("valuesFile", path.Join(dir, valuesFile))
	}
	for _, f := range loaded.Raw {
		if f.Name == valuesFile {
			return f.Data, nil
		}
	}
	return nil, errors.New("the chart has no values.yaml, which kustomize wants: set valuesFile")
}

const valuesFile = "values.yaml"

// file reads a value file as kustomize's loader does, also from a URL.
func (c *chartInflation) file(field, name string) ([]byte, error) {
	if isHTTP(name) {
		return remoteFile(c.fs.tree, field, name)
	}
	at, err := join(c.dir, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %q: %w", field, name, err)
	}
	return c.below(field, at)
}

// below reads a file that is below the kustomization, or anywhere if the load restrictor is off.
func (c *chartInflation) below(field, name string) ([]byte, error) {
	at, err := c.fs.tree.real(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %q: %w", field, name, err)
	}
	if c.dir != "." && !strings.HasPrefix(at, c.dir+"/") && c.fs.opts.restrictor != types.LoadRestrictionsNone {
		return nil, fmt.Errorf("%s: %q is not below %q: move it there", field, name, c.dir)
	}
	if base := mountOf(c.dir); base != "" && mountOf(at) != base {
		return nil, fmt.Errorf("%s: %q %w", field, name, errOutside)
	}
	data, err := c.fs.tree.read(at)
	if err != nil {
		return nil, fmt.Errorf("%s: %q %w", field, name, err)
	}
	return data, nil
}
