package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// helmTemplate does what `helm template . --name-template NAME --include-crds …` does in dir. It is made of Helm's packages
// below action.Install, which would bring a Kubernetes client along and validate schemas before they can be looked at.
func helmTemplate(ctx context.Context, t *tree, dir string, r *Request) ([]byte, error) {
	if v := r.Helm.Version; v != "" && v != "v3" {
		return nil, fmt.Errorf("helm.version %q is not supported: leave it out, or set v3", v)
	}
	parsed, err := completeChart(t, dir, r)
	if err != nil {
		return nil, err
	}
	c, err := parsed.copy()
	if err != nil {
		return nil, err
	}
	vals, err := userValues(t, dir, r)
	if err != nil {
		return nil, err
	}
	if err := t.unmet(); err != nil {
		return nil, err
	}
	defaults, err := chartDefaults(c, parsed.copy, vals, r.Images)
	if err != nil {
		return nil, err
	}
	if err := injectHelm(vals, defaults, r.Images); err != nil {
		return nil, err
	}
	if err := interrupted(ctx); err != nil {
		return nil, err
	}
	top, err := renderValues(parsed, c, vals, r)
	if err != nil {
		return nil, err
	}
	if err := interrupted(ctx); err != nil {
		return nil, err
	}
	rendered, err := parsed.templates.Render(c, top)
	if err != nil {
		return nil, err
	}
	if rendered.Fresh {
		t.reads.dependsOnMore()
	}
	return printRelease(parsed, c, rendered.Files, printing{crds: !r.Helm.SkipCrds, hooks: true, tests: !r.Helm.SkipTests})
}

// completeChart loads the chart in dir, with the dependencies that it lacks. What has to be fetched for them is told by t.unmet;
// then the chart is incomplete.
func completeChart(t *tree, dir string, r *Request) (*parsedChart, error) {
	files, err := chartFiles(t, dir)
	if err != nil {
		return nil, err
	}
	p, err := t.charts.load(files, dir)
	var missing *missingError
	if !errors.As(err, &missing) {
		return p, err
	}
	if files, err = buildDependencies(t, dir, r, p.origin, files); err != nil || t.unmet() != nil {
		return p, err
	}
	return t.charts.load(files, dir)
}

// renderValues is the root object of the templates: .Values, .Release, .Capabilities, .Chart.
func renderValues(p *parsedChart, c *chart.Chart, vals map[string]any, r *Request) (chartutil.Values, error) {
	name := releaseName(r)
	if err := chartutil.ValidateReleaseName(name); err != nil {
		return nil, fmt.Errorf("release name %q: %w; set helm.releaseName", name, err)
	}
	caps, err := capabilities(r)
	if err != nil {
		return nil, err
	}
	if want := c.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, caps.KubeVersion.Version) {
		return nil, fmt.Errorf("the chart %s requires kubeVersion %q, which is incompatible with Kubernetes %s", c.Name(), want,
			caps.KubeVersion.Version)
	}
	if err := chartutil.ProcessDependenciesWithMerge(c, vals); err != nil {
		return nil, fmt.Errorf("processing dependencies: %w", err)
	}
	if !r.Helm.SkipSchemaValidation {
		if err := p.schemas.compile(c); err != nil {
			return nil, err
		}
	}
	opts := chartutil.ReleaseOptions{Name: name, Namespace: releaseNamespace(r), Revision: 1, IsInstall: true}
	top, err := chartutil.ToRenderValuesWithSchemaValidation(c, vals, opts, caps, true)
	if err != nil || r.Helm.SkipSchemaValidation {
		return top, err
	}
	merged, _ := top["Values"].(chartutil.Values)
	return top, p.schemas.validate(c, merged)
}

func releaseName(r *Request) string {
	if r.Helm.ReleaseName != "" {
		return r.Helm.ReleaseName
	}
	if _, name, found := strings.Cut(r.App.Name, "_"); found {
		return name
	}
	return r.App.Name
}

func releaseNamespace(r *Request) string {
	for _, ns := range []string{r.Helm.Namespace, r.App.Namespace} {
		if ns != "" {
			return ns
		}
	}
	return defaultNamespace
}

func capabilities(r *Request) (*chartutil.Capabilities, error) {
	version, apis := r.App.KubeVersion, r.App.APIVersions
	if version == "" {
		version = DefaultKubeVersion
	}
	if r.Helm.KubeVersion != "" {
		version = r.Helm.KubeVersion
	}
	if len(r.Helm.APIVersions) > 0 {
		apis = r.Helm.APIVersions
	}
	parsed, err := chartutil.ParseKubeVersion(strings.ReplaceAll(version, "+", "")) // as Argo CD 2.14 passes it on
	if err != nil {
		return nil, fmt.Errorf("the Kubernetes version %q (helm.kubeVersion, or the cluster's): %w", version, err)
	}
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = *parsed
	caps.APIVersions = slices.Concat(chartutil.DefaultVersionSet, apis) // never append to Helm's shared slice
	return caps, nil
}

// printing says what `helm template` prints beside the manifests.
type printing struct{ crds, hooks, tests bool }

// printRelease puts the rendered files into the order of `helm template`: CRDs, manifests in the order of installation, hooks.
func printRelease(parsed *parsedChart, c *chart.Chart, rendered map[string]string, p printing) ([]byte, error) {
	maps.DeleteFunc(rendered, func(name, _ string) bool { return strings.HasSuffix(name, "NOTES.txt") })
	manifests, hooks, err := parsed.documents.sort(rendered)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if p.crds {
		for _, crd := range c.CRDObjects() {
			printSource(&out, crd.Filename, string(crd.File.Data))
		}
	}
	for _, m := range manifests {
		printSource(&out, m.file, m.text)
	}
	all := bytes.NewBuffer(append(bytes.TrimSpace(out.Bytes()), '\n'))
	for _, h := range hooks {
		if p.hooks && (p.tests || h.use != testHook) {
			printSource(all, h.file, h.text)
		}
	}
	return all.Bytes(), nil
}

func printSource(w *bytes.Buffer, name, content string) {
	for _, s := range []string{"---\n# Source: ", name, "\n", content, "\n"} {
		w.WriteString(s)
	}
}
